"""Too much at once, and clients that do not read: bounded, said as an error, and nothing held for longer."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from scr.gateway.connections import MOST_PIPELINED, SPARE, _network, protocol
from scr.gateway.settings import Settings

from .conftest import Open, Running, chat
from .recorder import COMPLETION, EVENTS, Handler, Recorder

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"
OUT = chat("Who wrote Hamlet?", scr={"mode": "off"})


def connected(gateway: Running, *, room: int | None = None) -> socket.socket:
    """A connection; ``room`` is how many bytes its client's side takes before they are read."""
    url = httpx.URL(gateway.url)
    one = socket.socket()
    if room is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    one.settimeout(20)
    one.connect((url.host, url.port or 80))
    return one


def asking(body: object, path: str = CHAT) -> bytes:
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n\r\n"
    return head.encode() + raw


GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


def said(connection: socket.socket) -> httpx.Response:
    """The answer on a connection that ends with it."""
    with connection:
        raw = b""
        while part := connection.recv(4096):
            raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return httpx.Response(int(first.split()[1]), headers=[line.split(": ", 1) for line in lines], content=body)


def is_overload(answer: httpx.Response) -> bool:
    """Whether it is the error of a gateway that has too much to do, in the protocol's form."""
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} == set(error)
    assert int(answer.headers["retry-after"]) > 0
    return (answer.status_code, error["type"], error["code"]) == (503, "server_error", "overloaded")


def is_reset(connection: socket.socket) -> bool:
    """Whether a connection is broken off, once what has come on it is read."""
    try:
        while connection.recv(2**20):
            pass
    except ConnectionResetError:
        return True
    return False


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def held_up(upstream: Recorder) -> Iterator[threading.Event]:
    """The model server answers nothing until this is set."""
    go_on, usual = threading.Event(), upstream.answer

    def wait(handler: Handler) -> None:
        assert go_on.wait(30)
        usual(handler)

    upstream.answer = wait
    yield go_on
    go_on.set()


def test_requests_under_way_are_bounded(open_gateway: Open, upstream: Recorder, held_up: threading.Event) -> None:
    gateway = open_gateway(max_requests=3)
    with ExitStack() as stack:
        waiting = [stack.enter_context(connected(gateway)) for _ in range(3)]
        for one in waiting:
            one.sendall(asking(OUT))
        until(lambda: len(upstream.sent) == 3)
        for path in (CHAT, "/scr/search", "/console", "/nowhere"):
            refused = gateway.client.post(path, json=OUT)
            assert is_overload(refused), path
            assert len(refused.headers["x-scr-trace"]) == 16
        assert "3 requests" in refused.json()["error"]["message"]
        assert gateway.client.get("/health").status_code == 200
        page = gateway.client.get("/metrics").text
        assert 'scr_overloads_total{limit="requests"} 4.0' in page
        assert len(upstream.sent) == 3
        held_up.set()
        for one in waiting:
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
    for _ in range(5):  # what was refused, or left, is not counted on
        with connected(gateway) as one:
            one.sendall(asking(OUT)[:-1])
    until(lambda: gateway.client.post(CHAT, json=OUT).status_code == 200)


def test_bodies_under_way_are_bounded_together(
    open_gateway: Open, held_up: threading.Event, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scr.gateway.load.BODIES", 2)
    gateway = open_gateway(max_body=100_000)
    large = {**OUT, "user": "x" * 80_000}
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(gateway)).sendall(asking(large))
        until(lambda: len(upstream.sent) == 2)
        assert is_overload(gateway.client.post(CHAT, json=large))
        assert 'scr_overloads_total{limit="bytes"} 1.0' in gateway.client.get("/metrics").text
        held_up.set()
        until(lambda: gateway.client.post(CHAT, json=large).status_code == 200)


def test_connections_are_bounded(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(max_connections=4)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(connected(gateway))
        for request in (asking(OUT), GET % b"/v1/models", GET % b"/console/login"):
            one = connected(gateway)
            one.sendall(request)
            refused = said(one)
            assert is_overload(refused)
            assert refused.headers["connection"] == "close"
        for path in (b"/health", b"/metrics"):
            one = connected(gateway)
            one.sendall(GET % path)
            answer = said(one)  # which ends with its answer
            assert answer.status_code == 200
        assert 'scr_overloads_total{limit="connections"} 3.0' in answer.text
        spare = [stack.enter_context(connected(gateway)) for _ in range(SPARE)]
        assert is_overload(said(connected(gateway))), "without waiting for a request"
        spare[0].sendall(asking(OUT))
        assert is_overload(said(spare[0]))
    assert upstream.sent == []

    def served() -> bool:
        with connected(gateway) as one:
            one.sendall(asking(OUT))
            return one.recv(4096).startswith(b"HTTP/1.1 200 ")

    until(served)


def test_a_spare_connection_is_one_like_others_when_others_have_left(open_gateway: Open) -> None:
    gateway = open_gateway(max_connections=1)
    first, second = connected(gateway), connected(gateway)
    first.close()
    time.sleep(0.3)
    with second:
        for _ in range(2):
            second.sendall(asking(OUT))
            answer = b""
            while not answer.endswith(COMPLETION):
                part = second.recv(4096)
                assert part
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_health_is_asked_of_the_model_server_once_for_all_who_ask_at_once(
    open_gateway: Open, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    usual = Handler.say

    def slowly(handler: Handler, *given: object, **more: str) -> None:
        nonlocal asked
        asked += handler.path == "/health"
        time.sleep(0.5)
        usual(handler, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Handler, "say", slowly)
    gateway = open_gateway()

    async def ask_all() -> list[int]:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=20) as client:
            return [one.status_code for one in await asyncio.gather(*(client.get("/health") for _ in range(30)))]

    assert asyncio.run(ask_all()) == [200] * 30
    assert asked < 5
    assert not upstream.sent
    upstream.die()
    assert gateway.client.get("/health").status_code == 503, "an answer is not kept"


def test_readers_who_take_long_do_not_make_the_store_ill(open_gateway: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, begun, go_on = open_gateway(), threading.Semaphore(0), threading.Event()

    def search(*_: object, **__: object) -> list[list[object]]:
        begun.release()
        assert go_on.wait(30)
        return [[]]

    monkeypatch.setattr("scr.store.FactStore.search", search)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(gateway)).sendall(asking({"text": "x"}, "/scr/search"))
        for _ in range(2):
            assert begun.acquire(timeout=20)
        try:
            assert gateway.client.get("/health").json()["store"] == "ok"
        finally:
            go_on.set()


def test_connections_of_one_address_are_bounded(open_gateway: Open) -> None:
    gateway = open_gateway(max_connections_per_address=3)

    def served(address: str) -> bool:
        url = httpx.URL(gateway.url)
        with socket.create_connection((url.host, url.port or 80), 20, (address, 0)) as one:
            one.sendall(GET % b"/health")
            return one.recv(4096).startswith(b"HTTP/1.1 200 ")

    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(connected(gateway))
        refused = said(connected(gateway))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
        assert int(refused.headers["retry-after"]) > 0
        assert not served("127.0.0.1")
        assert served("127.0.0.2"), "others are not counted with it"
    until(lambda: served("127.0.0.1"))


def test_of_an_ipv6_address_the_first_half_counts() -> None:
    assert _network("2001:db8::1") == _network("2001:db8:0:0:ffff::2") != _network("2001:db8:0:1::1")
    assert _network("fe80::1%eth0") == _network("fe80::2%eth0")
    assert _network("192.0.2.1") != _network("192.0.2.2")


def test_requests_that_wait_on_one_connection_are_bounded(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway()
    few = asking(OUT) * MOST_PIPELINED
    with connected(gateway) as one:
        one.sendall(few)
        answers = b""
        while answers.count(b"HTTP/1.1 200 ") < MOST_PIPELINED:
            part = one.recv(2**16)
            assert part
            answers += part
    sent = len(upstream.sent)
    assert sent == MOST_PIPELINED
    with connected(gateway) as one:
        one.sendall(few * 20)
        with suppress(ConnectionResetError):
            while one.recv(2**16):
                pass
    time.sleep(0.2)
    assert len(upstream.sent) - sent <= MOST_PIPELINED + 1


def floods(upstream: Recorder, left: threading.Event) -> None:
    """Have the model server write without end, until nobody takes it any more."""

    def flood(handler: Handler) -> None:
        handler.begin_events()
        event = EVENTS[2] * 2000
        try:
            while True:
                handler.chunk(event)
        except OSError:
            left.set()
            raise

    upstream.answer = flood


def test_a_client_that_reads_nothing_is_left_and_so_is_the_model_server(
    open_gateway: Open, upstream: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, left = open_gateway(write_timeout=1.0), threading.Event()
    floods(upstream, left)
    with connected(gateway, room=2**14) as deaf, caplog.at_level(logging.WARNING, "scr.gateway"):
        deaf.sendall(asking({**OUT, "stream": True}))
        begun = time.monotonic()
        assert left.wait(15), "the model server works for nobody"
        assert time.monotonic() - begun > 0.9, "it was given its time"
        until(lambda: "scr_requests_under_way 1.0" in gateway.client.get("/metrics").text)
        assert is_reset(deaf)
    assert "took nothing" in caplog.text
    assert gateway.client.get("/health").status_code == 200


def test_a_client_that_reads_slowly_is_not_left(open_gateway: Open, upstream: Recorder) -> None:
    """It takes much longer than others are given to take anything."""
    gateway, content = open_gateway(write_timeout=1.0), json.dumps({"text": "x" * 2_000_000}).encode()
    upstream.answer = lambda handler: handler.say(200, content)
    with connected(gateway, room=2**14) as slow:
        # An explained answer is written in one piece, which waits for the whole time.
        slow.sendall(asking({**OUT, "scr": {"mode": "explain"}}).replace(b"Host", b"Connection: close\r\nHost"))
        raw, begun = b"", time.monotonic()
        while part := slow.recv(2**16):
            raw += part
            time.sleep(0.1)
    assert time.monotonic() - begun > 2
    assert len(raw) > len(content), "all of it has come"


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_the_rest_of_an_answer_does_not_wait_for_ever(
    open_gateway: Open, upstream: Recorder, connection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it is written, and less is left than anybody waits for: only the connection is held."""
    monkeypatch.setattr("scr.gateway.connections.SEND_BUFFER", 1)  # the least there is
    gateway = open_gateway(write_timeout=1.0)
    upstream.answer = lambda handler: handler.say(200, b"x" * 60_000)
    with connected(gateway, room=1) as deaf:
        deaf.sendall(asking(OUT).replace(b"Host: localhost", f"Host: localhost\r\nConnection: {connection}".encode()))
        until(lambda: "scr_requests_total{" in gateway.client.get("/metrics").text)
        time.sleep(0.5)
        time.sleep(2)
        assert is_reset(deaf)


def test_an_answer_that_is_read_is_whole_however_large(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(write_timeout=1.0)
    upstream.answer = lambda handler: handler.say(200, b"x" * 2**24)
    assert gateway.client.post(CHAT, json=OUT).content == b"x" * 2**24


def test_worker_processes_get_the_bounds(tmp_path: Path) -> None:
    settings = Settings(
        "http://localhost:1", tmp_path, max_connections=7, max_connections_per_address=3, write_timeout=8.0
    )
    sent = pickle.loads(pickle.dumps(protocol(settings)))  # as uvicorn sends it to them
    assert sent.keywords == {"most": 7, "most_of_one": 3, "patience": 8.0}


def test_as_many_files_may_be_opened_as_connections_need() -> None:
    pytest.importorskip("resource")
    code = """
import resource, sys
from scr.gateway.serving import make_room
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (300, min(most, 2000)))
make_room(10); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
make_room(500); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
make_room(5000); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["300", "1256", "2000"]
    assert "--max-connections" in done.stderr
