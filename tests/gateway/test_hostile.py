"""What strangers send: no failure of the gateway's own, and nothing left behind.

``SCR_FUZZED_BODIES=10000 SCR_STREAMS=1000`` tries more than is bearable in every run, and ``SCR_HOSTILE_RESULTS=FILE``
writes down what was counted. Gateway, clients and the recording server are one process, whose descriptors and memory
these are.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.common import write_result
from scr.gateway import heads

from .conftest import ASKED, LYON, Open, Running, chat
from .recorder import COMPLETION, EVENTS, Handler, Recorder

BODIES = int(os.environ.get("SCR_FUZZED_BODIES", "2000"))
STREAMS = int(os.environ.get("SCR_STREAMS", "200"))
CHAT = "/v1/chat/completions"
ROUTES = (CHAT, "/v1/completions", "/scr/facts", "/scr/search", "/scr/check", "/scr/undo", "/scr/facts/import")
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**40, "", " ", "\x00", "\ud800", "\u202e", "x" * 3000, ASKED, [], {}, [[]], [None],
    [{"role": "user", "content": ASKED}], {"mode": "explain"}, {"mode": []}, {"namespace": "\ud800"},
    {"as_of": "9999-12-31T23:59:59-23:59"}, [{"type": "text", "text": ASKED}], [{"type": "text"}], "user", "2026-13-01",
)  # fmt: skip
KEYS = ("messages", "role", "content", "prompt", "scr", "stream", "text", "query", "k", "as_of", "namespace", "count",
        "mode", "type", "valid_from", "on_conflict", "model", "\ud800", "")  # fmt: skip


def fuzzed(chance: random.Random) -> bytes:
    """A body that is almost one: values where others belong, then bytes of it changed, cut or doubled."""

    def value(depth: int) -> Any:
        if depth == 0 or chance.random() < 0.4:
            return chance.choice(VALUES)
        if chance.random() < 0.3:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        return {chance.choice(KEYS): value(depth - 1) for _ in range(chance.randrange(5))}

    document = value(4) if chance.random() < 0.2 else {chance.choice(KEYS): value(3) for _ in range(4)}
    raw = bytearray(json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(chance.choice((0, 0, 0, 1, 3))):
        place = chance.randrange(len(raw) + 1)
        change = chance.randrange(3)
        if change == 0:
            raw[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 4)))
        elif change == 1:
            del raw[place : place + chance.randrange(1, 20)]
        else:
            raw[place:place] = raw[: chance.randrange(60)]
    return bytes(raw)


@pytest.fixture
def gateway(open_gateway: Open) -> Running:
    """One that looks at one fact a question: it is not the classifier's arithmetic that is tried here."""
    return open_gateway(k=1)


@dataclass(frozen=True)
class Held:
    """What this process holds."""

    descriptors: int
    tasks: int
    memory_mib: int

    @classmethod
    def now(cls) -> Held:
        process = psutil.Process()
        # By type: isinstance asks an object for its __class__, and some deprecated objects of torch warn when asked.
        tasks = [one for one in gc.get_objects() if issubclass(type(one), asyncio.Task) and not one.done()]
        return cls(process.num_fds(), len(tasks), process.memory_info().rss // 2**20)


Check = Callable[[], tuple[Held, Held]]


@pytest.fixture
def nothing_left(gateway: Running) -> Check:
    """Says that the process holds no more than before, and that the gateway serves nobody; what it held and holds."""
    ask(gateway)
    before = Held.now()

    def check() -> tuple[Held, Held]:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            ask(gateway)  # idle connections to the model server are closed when the next request is made
            under_way = "scr_requests_under_way 1.0" in gateway.client.get("/metrics").text  # this one itself
            after = Held.now()
            # Some connections are kept for the next request.
            if under_way and after.descriptors <= before.descriptors + 8 and after.tasks <= before.tasks:
                return before, after
            time.sleep(0.2)
        pytest.fail(f"{Held.now()}, and before {before}")

    return check


Note = Callable[..., None]


@pytest.fixture(scope="module")
def note() -> Iterator[Note]:
    """Takes figures, and writes them where one asks for them."""
    figures: dict[str, Any] = {}

    def take(name: str, held: tuple[Held, Held], **counts: Any) -> None:
        before, after = held
        figures[name] = {**counts, "before": asdict(before), "after": asdict(after)}

    yield take
    if file := os.environ.get("SCR_HOSTILE_RESULTS"):
        write_result(Path(file), {"bodies": BODIES, "streams": STREAMS}, figures)


def ask(gateway: Running) -> None:
    answer = gateway.client.post(CHAT, json=chat())
    assert (answer.status_code, answer.headers["X-SCR-Decision"]) == (200, "edited")


def test_bodies_that_make_no_sense(gateway: Running, upstream: Recorder, nothing_left: Check, note: Note) -> None:
    chance, begun = random.Random(7), time.monotonic()
    seen: Counter[int] = Counter()
    for number in range(BODIES):
        body, path = fuzzed(chance), ROUTES[number % len(ROUTES)]
        answer = gateway.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, body, answer.text)
        seen[answer.status_code] += 1
        upstream.sent.clear()
    assert {200, 400} <= set(seen), "some were understood and some were not"
    gateway.store.add(_lyon())
    seconds = round(time.monotonic() - begun, 1)
    note("bodies", nothing_left(), requests=BODIES, statuses=dict(sorted(seen.items())), seconds=seconds)


def _lyon() -> Any:
    from scr.facts import NewFact

    return NewFact.of({"text": LYON})


@pytest.mark.parametrize("path", [CHAT, "/scr/facts", "/scr/facts/import"])
def test_what_is_no_utf8(gateway: Running, path: str) -> None:
    for raw in (b"\xff\xfe{\x00}\x00", b'{"text": "\xc3\x28"}', b"\x80" * 1000, b'{"messages": "\xed\xa0\x80"}'):
        answer = gateway.client.post(path, content=raw)
        assert answer.status_code in ({200} if path == CHAT else {400, 422}), answer.text


def test_deep_and_oversized(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(max_body=100_000)
    for raw in (b"[" * 90_000, b'{"messages":' * 8_000, b'{"a":' + b"9" * 90_000 + b"}"):
        assert gateway.client.post(CHAT, content=raw).status_code == 200, "the model server says what is wrong"
        assert upstream.last.body == raw
        assert gateway.client.post("/scr/facts", content=raw).status_code == 400
    sent = len(upstream.sent)
    for path in ROUTES:
        assert gateway.client.post(path, content=b"x" * 100_001).status_code == 413
        assert gateway.client.post(path, content=iter([b"x" * 60_000] * 2)).status_code == 413, "without a length"
    assert len(upstream.sent) == sent
    ask(gateway)


def connected(gateway: Running) -> socket.socket:
    url = httpx.URL(gateway.url)
    return socket.create_connection((url.host, url.port or 80), timeout=20)


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def test_connections_that_end_too_soon(gateway: Running, upstream: Recorder, nothing_left: Check) -> None:
    body = json.dumps(chat()).encode()
    sent = len(upstream.sent)
    whole = HEAD % len(body) + body
    for place in range(0, len(whole) - 1, 7):
        with connected(gateway) as half:
            half.sendall(whole[:place])
            if place % 2:
                half.shutdown(socket.SHUT_WR)
    for rubbish in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                    b"\r\n" * 500, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):  # fmt: skip
        with connected(gateway) as stranger:
            stranger.sendall(rubbish)
    nothing_left()
    for one in upstream.sent[sent:]:
        assert LYON in one.json["messages"][0]["content"], "what was not whole was not sent on"


@pytest.mark.parametrize("streamed", [False, True])
def test_who_closes_one_half_before_the_answer_has_left(
    gateway: Running, upstream: Recorder, nothing_left: Check, streamed: bool
) -> None:
    """What is seen of a client that leaves is the same, so it is taken for one."""
    asked, left = threading.Event(), threading.Event()

    def waits(handler: Handler) -> None:
        if streamed:
            handler.begin_events()
            handler.chunk(EVENTS[0])
        asked.set()
        if handler.gone(10):
            left.set()

    usual, upstream.answer = upstream.answer, waits
    body = json.dumps(chat(stream=streamed)).encode()
    with connected(gateway) as half:
        half.sendall(HEAD % len(body) + body)
        assert asked.wait(10)
        answer = half.recv(4096) if streamed else b""  # an event may be on its way still
        half.shutdown(socket.SHUT_WR)
        assert left.wait(5), "the model server does not work for nobody"
        while part := half.recv(4096):
            answer += part
        assert b"[DONE]" not in answer
        assert bool(answer) is streamed, "what was sent before is not lost"
    upstream.answer = usual
    nothing_left()


def test_who_closes_one_half_after_the_answer_is_let_go(gateway: Running, nothing_left: Check) -> None:
    body = json.dumps(chat()).encode()
    halves = [connected(gateway) for _ in range(20)]
    for half in halves:
        with half:
            half.sendall(HEAD % len(body) + body)
            answer = b""
            while not answer.endswith(COMPLETION):
                answer += half.recv(4096)
            half.shutdown(socket.SHUT_WR)
            assert half.recv(4096) == b""
    nothing_left()


def test_bodies_that_come_slowly(gateway: Running, monkeypatch: pytest.MonkeyPatch, nothing_left: Check) -> None:
    monkeypatch.setattr("scr.gateway.limits.BODY_SECONDS", 0.5)
    slow = [connected(gateway) for _ in range(20)]
    for one in slow:
        one.sendall(HEAD % 100 + b"{")
    ask(gateway)  # others are served meanwhile
    for one in slow:
        with one:
            assert b" 408 " in one.recv(4096).partition(b"\r\n")[0]
    nothing_left()


def test_heads_that_never_end(gateway: Running, monkeypatch: pytest.MonkeyPatch, nothing_left: Check) -> None:
    monkeypatch.setattr("scr.gateway.heads.HEAD_SECONDS", 1.0)
    slow, silent = [connected(gateway) for _ in range(20)], connected(gateway)
    begun = time.monotonic()
    for letter in HEAD[:12]:
        for one in slow:
            one.sendall(bytes([letter]))
        time.sleep(0.05)  # time that is not given anew with each letter
    ask(gateway)
    for one in slow:
        assert status_of(one) == (408, "slow_request")
    with silent:
        assert silent.recv(4096) == b""
    assert time.monotonic() - begun < 10
    nothing_left()


def test_the_next_head_has_as_much_time_and_an_answer_all_it_needs(
    gateway: Running, upstream: Recorder, monkeypatch: pytest.MonkeyPatch, nothing_left: Check
) -> None:
    monkeypatch.setattr("scr.gateway.heads.HEAD_SECONDS", 0.5)
    usual, upstream.answer = upstream.answer, lambda handler: (time.sleep(1), handler.say(200, b"{}"))[0]
    body = json.dumps(chat()).encode()
    one = connected(gateway)
    for _ in range(2):
        one.sendall(HEAD % len(body) + body)
        answer = b""
        while not answer.endswith(b"{}"):
            answer += one.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
    one.sendall(HEAD[:30])
    assert status_of(one) == (408, "slow_request")
    upstream.answer = usual
    nothing_left()


def test_an_idle_connection_is_kept_for_longer_than_clients_use_it(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = httpx.Limits().keepalive_expiry
    assert patience
    assert heads.HEAD_SECONDS > heads.IDLE_SECONDS >= 2 * patience
    monkeypatch.setattr("scr.gateway.heads.IDLE_SECONDS", 0.5)
    with connected(gateway) as one:
        one.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 404 " in one.recv(4096)
        begun = time.monotonic()
        assert one.recv(4096) == b""
        assert time.monotonic() - begun < 4, "it is this time that counts"


def test_what_is_left_of_a_refused_body_is_not_waited_for(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, nothing_left: Check
) -> None:
    monkeypatch.setattr("scr.gateway.heads.HEAD_SECONDS", 1.0)
    with connected(gateway) as one:
        one.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        assert b" 404 " in one.recv(4096)
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                one.sendall(b"x")
                time.sleep(0.05)
            pytest.fail("five seconds of a body that nobody reads were taken")
    nothing_left()


@pytest.mark.parametrize("unit", [b"a: b\r\n", b"a"], ids=["headers", "one header"])
def test_heads_that_grow(gateway: Running, unit: bytes, nothing_left: Check) -> None:
    one = connected(gateway)
    one.sendall(b"GET /health HTTP/1.1\r\nx: y")
    with suppress(OSError):  # closed while the rest is still sent
        for _ in range(100):
            one.sendall(unit * (10_000 // len(unit)))
            time.sleep(0.002)
        pytest.fail("a million bytes of a head were taken")
    with suppress(ConnectionResetError):
        assert status_of(one) == (431, "too_large")
    one.close()
    nothing_left()


def test_what_is_no_http(gateway: Running) -> None:
    one = connected(gateway)
    one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
    assert status_of(one) == (400, "invalid_request")


def status_of(connection: socket.socket) -> tuple[int, str]:
    """The answer's status and its error's code; the connection is closed from the other side, then from this."""
    with connection:
        raw = b""
        while part := connection.recv(4096):
            raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_many_streams_at_once(gateway: Running, upstream: Recorder, nothing_left: Check, note: Note) -> None:
    """Half of the clients read to the end, the others leave after the first event."""
    begun, seen = time.monotonic(), Counter[str]()

    def streams(handler: Handler) -> None:
        handler.begin_events()
        for event in EVENTS:
            handler.chunk(event)
            time.sleep(0.02)
        handler.chunk(b"")

    async def read(client: httpx.AsyncClient, number: int) -> None:
        question = ASKED if number % 8 == 0 else f"Who wrote book {number}?"
        async with client.stream("POST", CHAT, json=chat(question, stream=True)) as answer:
            assert answer.status_code == 200
            assert answer.headers["X-SCR-Decision"] == ("edited" if number % 8 == 0 else "passed")
            seen[answer.headers["X-SCR-Decision"]] += 1
            read = b""
            async for part in answer.aiter_raw():
                read += part
                if number % 2:
                    seen["left after the first event"] += 1
                    return
        assert read == b"".join(EVENTS)
        seen["read to the end"] += 1

    async def read_all() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=limits, trust_env=False) as client:
            await asyncio.gather(*(read(client, number) for number in range(STREAMS)))

    usual, upstream.answer = upstream.answer, streams
    asyncio.run(read_all())
    seconds = round(time.monotonic() - begun, 1)
    upstream.answer = usual
    note("streams", nothing_left(), requests=STREAMS, statuses={200: STREAMS}, streams=dict(seen), seconds=seconds)
