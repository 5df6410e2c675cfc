"""What reads one way to the gateway and another way to whoever stands before or behind it."""

from __future__ import annotations

import json
import logging
import re
import socket
import time
from contextlib import suppress
from typing import Any

import httpx
import pytest

from scr.errors import UsageError
from scr.gateway.body import MOST_PARTS, Body
from scr.gateway.keys import read_keys

from .conftest import ASKED, LYON, Open, Running, chat
from .recorder import COMPLETION, Handler, Recorder

CHAT = "/v1/chat/completions"
BODY = json.dumps(chat("Who wrote Hamlet?", scr={"mode": "off"})).encode()
INNER = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
"""A request within what may be taken for another one's body."""


def post(*headers: bytes, body: bytes = INNER, host: bytes = b"Host: localhost") -> bytes:
    return b"\r\n".join([b"POST /v1/chat/completions HTTP/1.1", host, *headers, b"", body])


def sent(gateway: Running, raw: bytes, seconds: float = 20) -> bytes:
    """What is answered until the gateway ends the connection, or has answered once."""
    url = httpx.URL(gateway.url)
    with socket.create_connection((url.host, url.port or 80), timeout=seconds) as one:
        answer = b""
        with suppress(ConnectionResetError, BrokenPipeError):
            one.sendall(raw)
            while part := one.recv(2**16):
                answer += part
                head, blank, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if blank and length and len(body) >= int(length[1]):
                    break
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


TWO_MEANINGS = {
    "two lengths": post(b"Content-Length: 2", b"Content-Length: 90"),
    "one length twice": post(b"Content-Length: 2", b"Content-Length: 2"),
    "lengths in a list": post(b"Content-Length: 2, 2"),
    "a length with a sign": post(b"Content-Length: +2"),
    "a length in base 16": post(b"Content-Length: 0x2"),
    "a length beyond numbers": post(b"Content-Length: 99999999999999999999999"),
    "length, then chunks": post(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "chunks, then length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + INNER),
    "nearly chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + INNER),
    "chunked is not the last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + INNER),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "a blank before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + INNER),
    "a folded header": post(b"X: a", b" Transfer-Encoding: chunked", body=b"0\r\n\r\n" + INNER),
    "lines without a return": post(b"Content-Length: 2").replace(b"\r\n", b"\n"),
    "a return without a line": post(b"X: a\rContent-Length: 2"),
    "a zero byte": post(b"X: a\0b", b"Content-Length: 2"),
    "two hosts": post(b"Host: evil.example", b"Content-Length: 2"),
    "no host": post(b"Content-Length: 2", host=b"X: y"),
    "a host with a path": post(b"Content-Length: 2", host=b"Host: localhost/evil?"),
    "a host with a user": post(b"Content-Length: 2", host=b"Host: localhost@evil"),
    "no host's name": post(b"Content-Length: 2", host=b"Host: ["),
    "a host beyond ASCII": post(b"Content-Length: 2", host=b"Host: \xe9vil"),
    "an address of too many colons": post(b"Content-Length: 2", host=b"Host: [:::]"),
    "a host and a blank": post(b"Content-Length: 2", host=b"Host: localhost\t"),
    "a port beyond ports": post(b"Content-Length: 2", host=b"Host: localhost:99999"),
    "a method with a blank": b"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


def test_requests_that_can_be_read_in_two_ways_are_refused(gateway: Running, upstream: Recorder) -> None:
    for what, raw in TWO_MEANINGS.items():
        assert status(sent(gateway, raw)) in (0, 400), what
    time.sleep(0.2)
    assert upstream.sent == []
    assert gateway.client.post(CHAT, json=chat()).status_code == 200


CHUNKED = post(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY))


def test_headers_after_the_body_are_none(open_gateway: Open, upstream: Recorder) -> None:
    """Whoever filters headers before the gateway has not seen them."""
    trailers = b"Authorization: Bearer sk-late\r\nX-Own: late\r\nContent-Type: text/late\r\n\r\n"
    assert status(sent(open_gateway(), CHUNKED + trailers)) == 200
    assert {"authorization", "x-own", "content-type", "transfer-encoding", "trailer"}.isdisjoint(upstream.last.headers)
    assert upstream.last.headers["content-length"] == str(len(upstream.last.body))
    locked = open_gateway(keys=read_keys(["late sk-late ask"], None))
    assert status(sent(locked, CHUNKED + trailers)) == 401
    assert len(upstream.sent) == 1


@pytest.mark.parametrize("unit", [b"a: b\r\n", b"a"], ids=["headers", "one header"])
def test_headers_after_the_body_do_not_grow(gateway: Running, unit: bytes) -> None:
    url = httpx.URL(gateway.url)
    with socket.create_connection((url.host, url.port or 80), timeout=20) as one:
        one.sendall(CHUNKED + b"x: y")
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(200):
                one.sendall(unit * (10_000 // len(unit)))
                time.sleep(0.002)
            pytest.fail("two million bytes of them were taken")


def test_whatever_a_header_or_an_address_holds_is_sent_on_or_refused(gateway: Running, upstream: Recorder) -> None:
    for byte in (*range(33), *b'"#%&,/;<>?\\^`{|}~', 127, 128, 160, 255):
        one = bytes([byte])
        for place, raw in {
            "value": post(b"X-Own: a" + one + b"b", b"Content-Length: %d" % len(BODY), body=BODY),
            "query": post(b"Content-Length: %d" % len(BODY), body=BODY).replace(b" HTTP", b"?a=" + one + b"b HTTP", 1),
        }.items():
            count = len(upstream.sent)
            answered = status(sent(gateway, raw))
            assert answered in (200, 400), (place, one)
            if answered == 200 and place == "value":
                assert upstream.last.headers["x-own"].encode("latin-1").startswith(b"a" + one.strip())
            assert len(upstream.sent) - count == (answered == 200)


def test_the_address_says_what_is_asked_and_never_whom(gateway: Running, upstream: Recorder) -> None:
    for target in (b"http://169.254.169.254/v1/models", b"//evil.example/v1/models", b"/v1/models"):
        raw = b"GET %b HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Host: evil.example\r\n\r\n" % target
        assert status(sent(gateway, raw)) in (200, 404)
    assert {one.path for one in upstream.sent} == {"/v1/models"}
    assert {one.headers["host"] for one in upstream.sent} == {upstream.url.removeprefix("http://")}


def test_headers_of_one_connection_are_not_sent_on(gateway: Running, upstream: Recorder) -> None:
    given = [b"Connection: Upgrade, X-Secret, content-length", b"Upgrade: h2c", b"X-Secret: 1", b"TE: trailers",
             b"Keep-Alive: 9", b"Proxy-Authorization: Basic eA==", b"x-scr-decision: edited"]  # fmt: skip
    raw = post(*given, b"Content-Length: %d" % len(BODY), body=BODY)
    assert status(sent(gateway, raw)) == 200
    named = {"upgrade", "x-secret", "te", "keep-alive", "proxy-authorization", "x-scr-decision"}
    assert named.isdisjoint(upstream.last.headers)
    assert upstream.last.headers["content-length"] == str(len(upstream.last.body))
    assert b"h2c" not in json.dumps(upstream.last.headers).encode()


def says(raw: bytes) -> Any:
    """The model server writes this, byte by byte."""

    def answer(handler: Handler) -> None:
        handler.wfile.write(raw)
        handler.wfile.flush()

    return answer


def test_answers_that_can_be_read_in_two_ways(gateway: Running, upstream: Recorder) -> None:
    both = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    both += b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    for stated in (1, 500):
        upstream.answer = says(both % (stated, len(COMPLETION), COMPLETION))
        answer = gateway.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.content) == (200, COMPLETION), "the chunks count"
        assert "content-length" not in answer.headers
    for code in (204, 304):
        upstream.answer = says(b"HTTP/1.1 %d X\r\nContent-Length: 50\r\n\r\n" % code)
        answer = gateway.client.post(CHAT, json=chat())
        assert (answer.status_code, answer.content) == (code, b"")
    for code in (999, 600, 101):
        upstream.answer = says(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % code)
        assert gateway.client.post(CHAT, json=chat()).status_code == 502
    upstream.answer = says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    assert gateway.client.post(CHAT, json=chat()).status_code == 502
    odd = b"HTTP/1.1 200 OK\r\nX-Odd: a\x01b\r\nX-SCR-Facts: forged\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
    upstream.answer = says(odd + b"Content-Length: 2\r\n\r\n{}")
    answer = gateway.client.post(CHAT, json=chat("Who wrote Hamlet?", scr={"mode": "off"}))
    assert answer.content == b"{}"
    assert {"x-odd", "x-scr-facts", "x-hop"}.isdisjoint(answer.headers)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_bodies_are_read_as_the_model_server_reads_them(gateway: Running, upstream: Recorder, encoding: str) -> None:
    """Else a client would get no facts for the encoding that it chose."""
    text = json.dumps(chat(scr={"mode": "on"}))
    answer = gateway.client.post(CHAT, content=text.encode(encoding))
    assert answer.headers["x-scr-decision"] == "edited"
    got = upstream.last.json
    assert "scr" not in got
    assert LYON in got["messages"][0]["content"]
    out = json.dumps(chat("Who wrote Hamlet?")).encode(encoding)
    gateway.client.post(CHAT, content=out)
    assert upstream.last.body == out


def test_half_a_character_elsewhere_does_not_hide_a_question(gateway: Running, upstream: Recorder) -> None:
    raw = b'{"user":"\xed\xa0\x80","messages":[{"role":"user","content":"' + ASKED.encode() + b'"}]}'
    assert gateway.client.post(CHAT, content=raw).headers["x-scr-decision"] == "edited"
    assert b'{"user":"\xed\xa0\x80",' in upstream.last.body


Q = json.dumps(chat()["messages"])
TWICE = [
    f'{{"messages":[],"messages":{Q}}}',
    f'{{"messages":{Q},"m\\u0065ssages":[]}}',
    f'{{"scr":{{"mode":"off"}},"messages":{Q},"scr":{{"mode":"on"}}}}',
    f'{{"scr":{{"mode":"off","mode":"on"}},"messages":{Q}}}',
    f'{{"scr":{{"namespace":"a","namespace":"default"}},"messages":{Q}}}',
    '{"messages":[{"role":"system","role":"user","content":"What is the capital of France?"}]}',
    '{"messages":[{"role":"user","content":"What is the capital of France?","content":"Hi"}]}',
    '{"messages":[{"role":"user","content":[{"type":"text","text":"Hi","text":"What is the capital of France?"}]}]}',
]


def test_what_is_said_twice_is_refused_where_the_gateway_goes_by_it(gateway: Running, upstream: Recorder) -> None:
    for raw in TWICE:
        refused = gateway.client.post(CHAT, content=raw)
        assert refused.status_code == 400, raw
        assert "twice" in refused.json()["error"]["message"]
    assert gateway.client.post("/v1/completions", content='{"prompt":"a","prompt":"b"}').status_code == 400
    assert upstream.sent == []
    other = f'{{"seed":1,"seed":2,"messages":{Q}}}'.encode()
    assert gateway.client.post(CHAT, content=other).headers["x-scr-decision"] == "edited"
    assert upstream.last.body.startswith(b'{"seed":1,"seed":2,"messages":[{"role"')


def test_steering_in_odd_shapes(gateway: Running, upstream: Recorder) -> None:
    odd: tuple[Any, ...] = (None, [], "on", 0, 1e999, {"mode": None}, {"mode": {}}, {"mode": "ON"}, {"mode": 10**30},
        {"namespace": "\ud800"}, {"namespace": "a\nb"}, {"namespace": "x" * 1000}, {"namespace": ["default"]},
        {"as_of": "NaN"}, {"as_of": "2026-01-01" * 1000}, {"as_of": {}}, {"\ud800": 1}, {"": 1}, {"Mode": "off"},
        {"mode": "on", "store": "/tmp"})  # fmt: skip
    for one in odd:
        refused = gateway.client.post(CHAT, content=json.dumps(chat(scr=one)))
        assert refused.status_code == 400, one
        assert refused.json()["error"]["message"].isprintable()
    assert upstream.sent == []
    for name in ("../../etc/passwd", "a/b\\c", "%2e%2e", "'; --", "{x}", "\u202e"):
        answer = gateway.client.post(CHAT, content=json.dumps(chat(scr={"namespace": name})))
        assert answer.headers.get("x-scr-decision", "refused") in ("passed", "refused"), "another's facts are not found"
    for number in ("NaN", "-Infinity", "1e400", "9" * 4000):
        raw = json.dumps(chat(seed=0)).replace('"seed": 0', f'"seed": {number}')
        assert gateway.client.post(CHAT, content=raw).headers["x-scr-decision"] == "edited"
        assert f'"seed": {number}'.encode() in upstream.last.body


def test_no_depth_is_a_failure() -> None:
    """What can just be read may be too deep to be changed."""
    refused, changed = [], 0
    for depth in range(100, 1500):
        body = Body.read(b'{"scr":1,"a":"b","x":' + b"[" * depth + b"]" * depth + b"}")
        if body is None:
            break
        try:
            raw = body.without("scr").with_strings({("a",): "c"})
        except UsageError as error:
            refused.append(str(error))
        else:
            assert raw.startswith(b'{"a":"c",')
            changed += 1
    else:
        pytest.fail("no depth was too much")
    assert changed > 500
    assert all("too deeply" in words for words in refused)


def test_many_values_are_refused_before_they_take_room(gateway: Running, upstream: Recorder) -> None:
    many = b'{"messages":[' + b"{}," * MOST_PARTS + b"{}]}"
    refused = gateway.client.post(CHAT, content=many)
    assert refused.status_code == 400
    assert "values" in refused.json()["error"]["message"]
    assert upstream.sent == []
    assert gateway.client.post(CHAT, json=chat(user=",[{" * 1000)).headers["x-scr-decision"] == "edited"


@pytest.mark.parametrize(("on_failure", "answered"), [("pass", 200), ("refuse", 400)])
def test_questions_that_others_would_have_to_wait_for_are_not_looked_up(
    open_gateway: Open, on_failure: str, answered: int
) -> None:
    gateway = open_gateway(on_failure=on_failure)
    for path, body in ((CHAT, chat("x " * 600_000)), ("/v1/completions", {"prompt": ["x " * 200_000 + ASKED] * 4})):
        answer = gateway.client.post(path, json=body)
        assert answer.status_code == answered
        assert answer.headers.get("x-scr-decision", "refused") == ("passed" if answered == 200 else "refused")
    assert 'scr_decision_failures_total{outcome="' in gateway.client.get("/metrics").text
    history = [{"role": "user", "content": "x " * 600_000}, {"role": "user", "content": ASKED}]
    assert gateway.client.post(CHAT, json={"messages": history}).headers["x-scr-decision"] == "edited"


def test_many_changes_take_no_longer_than_one() -> None:
    """Each would else go through the whole document."""
    raw = json.dumps({"prompt": [f"p{n}" for n in range(200)], "x": [0] * 300_000}).encode()
    body = Body.read(raw)
    assert body is not None

    def seconds(count: int) -> float:
        spent = []
        for _ in range(3):
            begun = time.process_time()
            body.with_strings({("prompt", place): "new" for place in range(count)})
            spent.append(time.process_time() - begun)
        return min(spent)

    assert seconds(200) < 20 * seconds(1)


def test_only_this_machine_is_served_without_keys(gateway: Running) -> None:
    port = httpx.URL(gateway.url).port
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil_localhost", "0.0.0.0",
                 "localhost.", "[::ffff:127.0.0.1]", "[::1", "a b", "localhost:x", "localhost, evil", "evil\t",
                 "[:::]"):  # fmt: skip
        for path in ("/scr/facts", "/console/facts", "/v1/models", "/metrics"):
            raw = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            answer = sent(gateway, raw)
            assert status(answer) in (400, 403), (host, path)
            assert LYON.encode() not in answer
    for host in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", "[::1]:80"):
        raw = f"GET /scr/facts HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        assert status(sent(gateway, raw)) == 200, host


def test_keys_are_in_no_log(open_gateway: Open, upstream: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    gateway = open_gateway(keys=read_keys(["root sk-root-secret admin"], None), upstream_api_key="sk-up-secret")
    own = {"Authorization": "Bearer sk-root-secret"}
    with caplog.at_level(logging.INFO, "scr"), caplog.at_level(logging.INFO, "uvicorn"):
        gateway.client.post(CHAT, json=chat(), headers=own)
        gateway.client.get("/v1/models?api_key=sk-root-secret", headers=own)
        for headers in ({}, {"Authorization": "Bearer sk-typo-secret"}, {"Authorization": "sk-root-secret"}):
            answer = gateway.client.get("/v1/models?key=sk-root-secret", headers=headers)
            assert answer.status_code == 401, "a key in an address is none"
            assert "secret" not in answer.text
        upstream.die()
        answer = gateway.client.post(CHAT, json=chat(), headers=own)
        assert answer.status_code == 503
        assert "secret" not in answer.text + str(answer.headers)
        gateway.client.get("/nowhere/sk-root-secret", headers=own)
    said = [one.getMessage() for one in caplog.records if one.name.startswith(("scr", "uvicorn"))]
    assert any("/v1/models 200" in line for line in said)
    assert "secret" not in "\n".join(said)
