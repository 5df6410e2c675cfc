"""What goes through the gateway, byte by byte."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import closing

import httpx
import pytest

from scr.errors import UsageError
from scr.facts import NewFact
from scr.gateway.upstream import Upstream

from .conftest import ASKED, LYON, Open, Running, chat
from .recorder import COMPLETION, EVENTS, Handler, Recorder, recording

CHAT = "/v1/chat/completions"
OUT = "Who wrote Hamlet?"

# As nobody's JSON library would write them.
ODD_BODIES = [
    b'{ "messages" : [ {"role":"user","content":"Who wrote \\u0048amlet?"} ] ,\n\t"model":"m","temperature":1.0}',
    b'{"model":"m","model":"n","messages":[{"role":"user","content":"Who wrote Hamlet?","x":1e400}],"y":-0.0}',
    '{"messages":[{"content":"Wer schrieb Hamlet? \U0001f600","role":"user"}],"é":"\\ud83d\\ude00"}'.encode(),
    b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,x"}}]}]}',
    b'{"messages":[{"role":"system","content":"The capital of France?"}]}',
    b'{"messages":[{"role":"user","content":null},{"role":"assistant","tool_calls":[{"id":"1"}]}]}',
    b'{"messages":"no list"}',
    b'{"messages":[1,2]}',
    b'{"messages":[{"role":"user","content":"half of a character: \\ud800"}]}',
    b"not JSON at all",
    b"\xff\xfe\x00",
    b"[]",
    b"",
    b"[" * 100_000,
    b'{"n":' + b"9" * 5000 + b"}",
]


def test_out_of_scope_the_very_bytes_arrive(gateway: Running, upstream: Recorder) -> None:
    for body in ODD_BODIES:
        answer = gateway.client.post(CHAT, content=body)
        assert upstream.last.body == body
        assert answer.headers["x-scr-decision"] == "passed"
        assert "x-scr-facts" not in answer.headers
    assert len(upstream.sent) == len(ODD_BODIES)


def test_out_of_scope_headers_are_the_clients(gateway: Running, upstream: Recorder) -> None:
    headers = {
        "Authorization": "Bearer sk-client",
        "X-Own": "kept",
        "Cookie": "a=b",
        "Connection": "X-Hop",
        "X-Hop": "1",
    }
    gateway.client.post(CHAT + "?beta=1", json=chat(OUT), headers=headers)
    sent = upstream.last
    assert sent.path == CHAT + "?beta=1"
    assert sent.headers["x-own"] == "kept"
    assert sent.headers["authorization"] == "Bearer sk-client", "without keys of its own the gateway is transparent"
    assert sent.headers["user-agent"].startswith("python-httpx")
    assert sent.headers["host"] == upstream.url.removeprefix("http://")
    assert {"cookie", "x-hop"}.isdisjoint(sent.headers)


def test_blanks_about_a_header_are_none_of_it(gateway: Running, upstream: Recorder) -> None:
    """Clients without a key send ``Bearer`` and a blank."""
    connection = http.client.HTTPConnection(gateway.client.base_url.netloc.decode(), timeout=20)
    with closing(connection):
        connection.request("POST", CHAT, json.dumps(chat(OUT)), {"Authorization": "Bearer ", "X-Own": " \tkept\t "})
        assert connection.getresponse().status == 200
    assert upstream.last.headers["authorization"] == "Bearer"
    assert upstream.last.headers["x-own"] == "kept"


def test_in_scope_only_the_question_changes(gateway: Running, upstream: Recorder) -> None:
    body = (
        '{"seed" : 1.50, "messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"},\n'
        '{"role":"assistant","content":"Hé"}, {"name":"ann","role":"user","content":"'
        + ASKED
        + '"} ],"tools":[{"type":"function"}],"unknown":{"a":[1e400]},"n":2,"logprobs":true}'
    ).encode()
    answer = gateway.client.post(CHAT, content=body)
    (fact,) = gateway.store.facts()
    assert answer.headers["x-scr-decision"] == "edited"
    assert answer.headers["x-scr-facts"] == fact.id
    assert len(answer.headers["x-scr-trace"]) == 16
    sent = upstream.last.body
    given = upstream.last.json["messages"][-1]["content"]
    assert LYON in given
    assert ASKED in given
    assert sent == body.replace(json.dumps(ASKED).encode(), json.dumps(given).encode())
    assert upstream.last.headers["content-length"] == str(len(sent))


def test_a_question_that_may_lean_on_half_of_a_character_goes_through(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(on_failure="refuse")
    said = ["What is the capital of \ud800 France?", "Paris.", "Thanks!", "Ask on.", "And Germany?"]
    turns = [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(said)]
    for messages in (turns, [{"role": "user", "content": [{"type": "text", "text": [ASKED]}]}]):
        body = json.dumps({"messages": messages}).encode()
        assert gateway.client.post(CHAT, content=body).headers["x-scr-decision"] == "passed"
        assert upstream.last.body == body


def test_a_query_that_cannot_be_sent_on_is_refused() -> None:
    """One of 64 KiB may come in one piece with its head, before that is refused for its length."""
    upstream = Upstream("http://localhost:1")
    for query in (b"x=" + b"a" * 65_600, b"x=\xc3\xa9"):
        with pytest.raises(UsageError, match="less than 64 KiB of ASCII"):
            upstream.request("GET", "/v1/models", [], query, None)


def test_an_answer_that_cannot_be_explained_is_an_error(
    gateway: Running, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"id": "c1"')
        handler.hang_up()

    upstream.answer, explained = breaks, chat(scr={"mode": "explain"})
    broken = gateway.client.post(CHAT, json=explained)
    assert (broken.status_code, broken.json()["error"]["code"]) == (502, "upstream_broke")
    assert int(broken.headers["retry-after"]) > 0
    assert broken.headers["x-scr-decision"] == "edited"
    monkeypatch.setattr("scr.gateway.forwarding._LONGEST_EXPLAINED", 1_000)
    upstream.answer = lambda handler: handler.say(200, b'{"id": "%b"}' % (b"c" * 1_000))
    long = gateway.client.post(CHAT, json=explained)
    assert (long.status_code, long.json()["error"]["code"]) == (502, "upstream_error")
    assert "too long" in long.json()["error"]["message"]


def test_a_stream_of_stated_length_that_breaks_ends_with_an_error(gateway: Running, upstream: Recorder) -> None:
    def breaks(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(len(EVENTS[0]) + 9))
        handler.end_headers()
        handler.wfile.write(EVENTS[0])
        handler.hang_up()

    upstream.answer = breaks
    content = gateway.client.post(CHAT, json=chat(OUT, stream=True)).content
    assert content.startswith(EVENTS[0])
    assert b'"code": "upstream_broke"' in content


def test_images_stay_beside_the_question(gateway: Running, upstream: Recorder) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "Look."}, image, {"type": "text", "text": ASKED}]
    gateway.client.post(CHAT, json={"messages": [{"role": "user", "content": parts}]})
    sent = upstream.last.json["messages"][0]["content"]
    assert sent[:2] == parts[:2]
    assert LYON in sent[2]["text"]


def test_text_completions(gateway: Running, upstream: Recorder) -> None:
    several = {"prompt": [OUT, "The capital of France is"], "echo": False}
    assert gateway.client.post("/v1/completions", json=several).headers["x-scr-decision"] == "edited"
    assert upstream.last.json["prompt"][0] == OUT
    assert LYON in upstream.last.json["prompt"][1]
    gateway.client.post("/v1/completions", json={"prompt": "The capital of France is"})
    assert LYON in upstream.last.json["prompt"]
    for tokens in ([1, 2, 3], [[1, 2], [3]], None, 7):
        assert gateway.client.post("/v1/completions", json={"prompt": tokens}).headers["x-scr-decision"] == "passed"
        assert upstream.last.json == {"prompt": tokens}


def test_answers_are_forwarded_as_they_come(gateway: Running, upstream: Recorder) -> None:
    assert gateway.client.post(CHAT, json=chat()).content == COMPLETION
    answer = gateway.client.post(CHAT, json=chat(stream=True))
    assert answer.content == b"".join(EVENTS)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    packed = b"\x1f\x8b not really"

    def compressed(handler: Handler) -> None:
        handler.say(200, packed, Content_Encoding="x-own", X_Request_Id="r1", Set_Cookie="a=b", Keep_Alive="9")

    upstream.answer = compressed
    with gateway.client.stream("POST", CHAT, json=chat(OUT)) as raw:
        assert b"".join(raw.iter_raw()) == packed
        assert raw.headers["x-request-id"] == "r1"
        assert {"set-cookie", "keep-alive"}.isdisjoint(raw.headers)


def test_events_are_not_held_back(gateway: Running, upstream: Recorder) -> None:
    go_on = threading.Event()

    def slowly(handler: Handler) -> None:
        handler.begin_events()
        handler.chunk(EVENTS[0])
        assert go_on.wait(10)
        handler.chunk(EVENTS[3])
        handler.chunk(b"")

    upstream.answer = slowly
    with gateway.client.stream("POST", CHAT, json=chat(stream=True)) as answer:
        parts = answer.iter_raw()
        assert next(parts) == EVENTS[0]
        go_on.set()
        assert next(parts) == EVENTS[3]


@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_ends_the_work(gateway: Running, upstream: Recorder, streamed: bool) -> None:
    left, asked = threading.Event(), threading.Event()

    def waits(handler: Handler) -> None:
        if streamed:
            handler.begin_events()
            handler.chunk(EVENTS[0])
        asked.set()
        if handler.gone(10):
            left.set()

    upstream.answer = waits
    raw = json.dumps(chat(OUT, stream=streamed)).encode()
    with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1]))) as client:
        client.sendall(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (CHAT.encode(), len(raw), raw)
        )
        assert asked.wait(10)
    assert left.wait(5)


def test_routes_that_are_passed_on(gateway: Running, upstream: Recorder) -> None:
    for path in ("/v1/embeddings", "/v1/responses", "/tokenize"):
        body = json.dumps(chat()).encode() + b" "
        assert gateway.client.post(path, content=body).headers["x-scr-decision"] == "passed"
        assert (upstream.last.path, upstream.last.body) == (path, body)
    for given in ({"scr": {"mode": "off"}}, {"scr": 7}):
        gateway.client.post("/v1/embeddings", json={"input": ASKED, **given})
        assert upstream.last.json == {"input": ASKED, **given}, "where nothing is edited, nothing is steered"
    for path in ("/v1/models", "/version"):
        assert gateway.client.get(path).content == COMPLETION
        assert (upstream.last.method, upstream.last.path) == ("GET", path)


def test_nothing_else_is_passed_on(gateway: Running, upstream: Recorder) -> None:
    for path in (
        "/v1/load_lora_adapter",
        "/v1/files",
        "/shutdown",
        "/v1/chat/completions/",
        "/v1/models/../../x",
        "//v1",
    ):
        answer = gateway.client.post(path, json={})
        assert answer.status_code in {404, 405}
        assert answer.json()["error"]["code"] == "no_such_route"
    assert gateway.client.delete("/v1/models").status_code == 405
    assert gateway.client.get("/v1/chat/completions").headers["allow"] == "POST"
    assert upstream.sent == []


def test_steering_is_for_the_gateway_alone(gateway: Running, upstream: Recorder) -> None:
    raw = b'{"scr" : {"mode":"off"}, "x": 1.0 ,"messages":[{"role":"user","content":"What is the capital of France?"}]}'
    answer = gateway.client.post(CHAT, content=raw)
    assert answer.headers["x-scr-decision"] == "passed"
    assert upstream.last.body == b'{"x": 1.0,"messages":[{"role":"user","content":"What is the capital of France?"}]}'
    gateway.client.post(CHAT, json=chat(scr={"mode": "on"}))
    assert set(upstream.last.json) == {"model", "messages"}
    before = gateway.store.ledger.log(None, 1)[0].at
    gateway.store.undo()
    assert gateway.client.post(CHAT, json=chat()).headers["x-scr-decision"] == "passed"
    then = gateway.client.post(CHAT, json=chat(scr={"as_of": before.isoformat()}))
    assert then.headers["x-scr-decision"] == "edited"
    gateway.store.view(namespace="other").add(NewFact.of({"text": LYON}))
    assert gateway.client.post(CHAT, json=chat(scr={"namespace": "other"})).headers["x-scr-decision"] == "edited"
    for wrong in (7, {"mode": "loud"}, {"as_of": "soon"}, {"namespace": ""}, {"namespace": 1}, {"x": 1}, {"mode": []}):
        asked = len(upstream.sent)
        refused = gateway.client.post(CHAT, json=chat(scr=wrong))
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"
        assert len(upstream.sent) == asked


def test_explaining(gateway: Running) -> None:
    (fact,) = gateway.store.facts()
    told = gateway.client.post(CHAT, json=chat(scr={"mode": "explain"})).json()
    assert told.pop("scr")[0]["facts"][0]["id"] == fact.id
    assert told == json.loads(COMPLETION)
    with gateway.client.stream("POST", CHAT, json=chat(OUT, stream=True, scr={"mode": "explain"})) as answer:
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert json.loads(events[0])["scr"][0]["in_scope"] is False
    assert json.loads(events[0])["id"] == "c1"
    assert "scr" not in json.loads(events[1])
    assert events[-1] == "[DONE]"


def test_the_upstreams_errors_keep_their_status(gateway: Running, upstream: Recorder) -> None:
    own = b'{"error":{"message":"too long","type":"BadRequestError","param":null,"code":400}}'
    upstream.answer = lambda handler: handler.say(400, own)
    answer = gateway.client.post(CHAT, json=chat())
    assert (answer.status_code, answer.content) == (400, own)
    upstream.answer = lambda handler: handler.say(429, b"<html><b>Too  many</b>", "text/html", Retry_After="7")
    answer = gateway.client.post(CHAT, json=chat())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"] == {
        "message": "Too many",
        "type": "rate_limit_error",
        "param": None,
        "code": "upstream_error",
    }
    upstream.answer = lambda handler: handler.say(302, b"", Location="http://169.254.169.254/")
    answer = gateway.client.post(CHAT, json=chat())
    assert answer.status_code == 502
    assert "169.254" not in answer.text + str(answer.headers)


def test_an_upstream_that_is_gone_and_comes_back(open_gateway: Open) -> None:
    with recording() as first:
        gateway = open_gateway(upstream=first.url)
        assert gateway.client.post(CHAT, json=chat()).status_code == 200
    answer = gateway.client.post(CHAT, json=chat())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["type"] == "server_error"
    assert gateway.client.get("/health").status_code == 503
    with recording(first.server_port) as second:
        assert gateway.client.post(CHAT, json=chat()).status_code == 200
        assert len(second.sent) == 1
        assert gateway.client.get("/health").json() == {"status": "ok", "upstream": "ok", "store": "ok"}


def test_an_upstream_that_breaks_off_is_not_asked_again(gateway: Running, upstream: Recorder) -> None:
    upstream.answer = Handler.hang_up
    answer = gateway.client.post(CHAT, json=chat())
    assert answer.status_code == 502
    assert answer.headers["retry-after"]
    assert len(upstream.sent) == 1

    def half(handler: Handler) -> None:
        handler.begin_events()
        handler.chunk(EVENTS[0])
        handler.hang_up()

    upstream.answer = half
    answer = gateway.client.post(CHAT, json=chat(stream=True))
    first, rest = answer.content[: len(EVENTS[0])], answer.content[len(EVENTS[0]) :]
    assert first == EVENTS[0]
    assert json.loads(rest.strip().removeprefix(b"data: "))["error"]["code"] == "upstream_broke"
    assert len(upstream.sent) == 2

    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"half":')
        handler.wfile.flush()
        handler.hang_up()

    upstream.answer = cut
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.client.post(CHAT, json=chat())
    assert len(upstream.sent) == 3


def test_a_slow_upstream_is_not_waited_for_forever(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway(upstream_timeout=0.2)
    upstream.answer = lambda _: time.sleep(0.6)
    assert gateway.client.post(CHAT, json=chat()).status_code == 504


def test_metrics_count_what_was_done(gateway: Running) -> None:
    gateway.client.post(CHAT, json=chat())
    gateway.client.post(CHAT, json=chat(OUT))
    gateway.client.get("/made/up/path")
    page = gateway.client.get("/metrics").text
    assert 'scr_decisions_total{decision="edited"} 1.0' in page
    assert 'scr_decisions_total{decision="passed"} 1.0' in page
    assert 'scr_requests_total{route="/v1/chat/completions",status="200"} 2.0' in page
    assert 'scr_requests_total{route="other",status="404"} 1.0' in page
    assert "made" not in page
    assert "scr_requests_under_way" in page
