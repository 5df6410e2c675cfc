"""How the engine behind a server meets failure, on a stand-in that fails as told."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from itertools import count, islice

import pytest

from scr.engines import Completion, Sampling, http
from scr.engines.openai import OpenAIEngine
from scr.errors import (
    EngineError,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
    ModelNotFound,
    UsageError,
)

from .standin import Action, Crowd, Handler, answers, fails, hangs_up, lists, piece, says, standin

ASK = [{"role": "user", "content": "hello"}]
GREEDY = Sampling()
OK = Completion("fine", "stop", 3, 2)
KEY = "sk-secret-0123456789"


def ask(server_url: str, *, stream: bool = False, **options: object) -> list[Completion] | list[str]:
    options = {"retries": 3, "timeout": 5.0} | options
    with closing(OpenAIEngine.connect(server_url, options.pop("model", "m"), **options)) as engine:
        return list(engine.stream(ASK, GREEDY)) if stream else engine.generate([ASK], GREEDY)


def unused_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.01)


@pytest.mark.parametrize("stream", [False, True])
def test_down(stream: bool) -> None:
    address = unused_address()
    with pytest.raises(EngineUnavailable, match="start it") as caught:
        ask(address, stream=stream)
    assert address in str(caught.value)


def test_down_when_the_model_is_asked_for() -> None:
    with pytest.raises(EngineUnavailable, match="start it"):
        OpenAIEngine.connect(unused_address())


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_refused_key(status: int, stream: bool) -> None:
    with (
        standin(fails(status, f"Incorrect API key provided: {KEY}")) as server,
        pytest.raises(EngineRefused, match="SCR_API_KEY") as caught,
    ):
        ask(server.base_url, api_key=KEY, stream=stream)
    assert KEY not in str(caught.value)
    assert len(server.seen) == 1
    assert server.seen[0].headers["Authorization"] == f"Bearer {KEY}"


def test_missing_key() -> None:
    with standin(fails(401, "no")) as server, pytest.raises(EngineRefused, match="asks for an API key"):
        ask(server.base_url)
    assert "Authorization" not in server.seen[0].headers


@pytest.mark.parametrize("status", [400, 500, 503])
def test_a_key_that_the_server_quotes_is_not_repeated(status: int) -> None:
    with standin(fails(status, f"bad thing with {KEY}\n<script>")) as server, pytest.raises(EngineError) as caught:
        ask(server.base_url, api_key=KEY, retries=0)
    assert KEY not in str(caught.value)
    assert "bad thing with ***" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model_names_those_there_are(stream: bool) -> None:
    with (
        standin(fails(404, "The model `m` does not exist."), lists("alpha", "beta")) as server,
        pytest.raises(ModelNotFound, match=r"'m'.*--model.*alpha, beta"),
    ):
        ask(server.base_url, stream=stream)


def test_a_server_of_another_kind() -> None:
    with standin(says(404, b"<html>Not Found</html>")) as server:
        with pytest.raises(EngineError, match="OpenAI-compatible"):
            ask(server.base_url)
        with pytest.raises(EngineError, match="OpenAI-compatible"):
            OpenAIEngine.connect(server.base_url)


def test_a_path_that_the_server_lacks_for_a_model_that_it_has() -> None:
    with standin(fails(404, "no chat here"), lists("m")) as server, pytest.raises(EngineError, match="no chat here"):
        ask(server.base_url)


def test_500_is_final() -> None:
    with standin(fails(500, "broken"), answers()) as server, pytest.raises(EngineError, match=r"500.*broken"):
        ask(server.base_url)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    with standin(fails(status, "busy"), fails(status, "busy"), answers()) as server:
        assert ask(server.base_url) == [OK]
    assert len(server.seen) == 3


def test_what_does_not_pass_is_given_up() -> None:
    with standin(fails(503, "loading")) as server, pytest.raises(EngineUnavailable, match=r"503.*loading"):
        ask(server.base_url, retries=2)
    assert len(server.seen) == 3


def test_retry_after_is_obeyed() -> None:
    with standin(fails(429, "slow down", Retry_After="0.4"), answers()) as server:
        begin = time.monotonic()
        assert ask(server.base_url) == [OK]
    assert 0.4 <= time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("9999", http.MAX_WAIT), ("-1", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after_values(value: str, seconds: float | None) -> None:
    assert http.retry_after(value) == seconds


def test_a_dropped_connection_is_tried_again() -> None:
    with standin(hangs_up, answers()) as server:
        assert ask(server.base_url) == [OK]
    with standin(hangs_up) as server, pytest.raises(EngineUnavailable, match="broke the connection"):
        ask(server.base_url, retries=1)
    assert len(server.seen) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_slow(stream: bool) -> None:
    begin = time.monotonic()
    with standin(answers(after=3)) as server, pytest.raises(EngineTimeout, match=r"within 0\.3 seconds"):
        ask(server.base_url, stream=stream, timeout=0.3)
    assert time.monotonic() - begin < 2
    assert len(server.seen) == 1, "a request that timed out was sent again"


def test_dripping_does_not_extend_the_timeout() -> None:
    def drip(handler: Handler) -> None:
        handler.begin_events()
        for _ in range(30):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)

    with standin(drip) as server, pytest.raises(EngineTimeout):
        ask(server.base_url, timeout=0.5)


def good_stream(handler: Handler) -> None:
    handler.begin_events()
    handler.wfile.write(b": a comment\r\n\r\nevent: ping\r\n")
    handler.event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    for text in ("Bon", "jour 漢", ""):
        handler.event(piece(text))
    handler.event(piece(None, "stop"))
    handler.event({"choices": [], "usage": {"total_tokens": 3}})
    handler.event("[DONE]")


def test_stream() -> None:
    with standin(good_stream) as server:
        assert ask(server.base_url, stream=True) == ["Bon", "jour 漢"]
    assert server.seen[0].body["stream"] is True


def test_a_stream_may_fail_before_it_begins_and_is_tried_again() -> None:
    with standin(hangs_up, fails(503, "loading"), good_stream) as server:
        assert "".join(ask(server.base_url, stream=True)) == "Bonjour 漢"


@pytest.mark.parametrize("politely", [False, True])
def test_nothing_is_sent_again_after_the_first_piece(politely: bool) -> None:
    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        if not politely:
            handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.event(piece("Bon"))

    with standin(cut, good_stream) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        stream = engine.stream(ASK, GREEDY)
        assert next(stream) == "Bon"
        with pytest.raises(EngineUnavailable):
            next(stream)
        assert len(server.seen) == 1


def test_a_stream_that_ends_in_an_error_raises_after_its_pieces() -> None:
    def break_off(handler: Handler) -> None:
        handler.begin_events()
        handler.event(piece("Bon"))
        handler.event({"error": {"message": "EngineCore died"}})

    with standin(break_off) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        stream = engine.stream(ASK, GREEDY)
        assert next(stream) == "Bon"
        with pytest.raises(EngineError, match="EngineCore died"):
            next(stream)


def test_a_silent_stream_times_out() -> None:
    def fall_silent(handler: Handler) -> None:
        handler.begin_events()
        handler.event(piece("Bon"))
        time.sleep(3)

    with standin(fall_silent) as server, pytest.raises(EngineTimeout):
        ask(server.base_url, stream=True, timeout=0.3)


def test_leaving_a_stream_closes_the_connection() -> None:
    left = threading.Event()

    def endless(handler: Handler) -> None:
        handler.begin_events()
        handler.event(piece("Bon"))
        if handler.gone(5):
            left.set()

    with standin(endless) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        stream = engine.stream(ASK, GREEDY)
        assert next(stream) == "Bon"
        stream.close()
        assert left.wait(3), "the server went on for a client that had left"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome to nginx!</html>",
        b"",
        b'{"choices": [{"mess',
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"3",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 3}}]}',
        b'{"choices": [{"text": ["a"]}]}',
        b'{"choices": [{"text": "a"}], "usage": {"prompt_tokens": "many"}}',
    ],
)
def test_garbage(body: bytes) -> None:
    with standin(says(200, body)) as server, pytest.raises(EngineError, match="OpenAI-compatible") as caught:
        ask(server.base_url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", ["not json", "{}", '{"choices": 3}', '{"choices": [{"delta": {"content": 3}}]}'])
def test_garbage_in_a_stream(data: str) -> None:
    def act(handler: Handler) -> None:
        handler.begin_events()
        handler.event(data)

    with standin(act) as server, pytest.raises(EngineError, match="OpenAI-compatible"):
        ask(server.base_url, stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_an_endless_answer_is_not_read_to_its_end(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1 << 20)
    sent = []

    def flood(handler: Handler) -> None:
        handler.begin_events()
        for _ in range(200):
            handler.wfile.write(b"x" * 2**16)  # and never a line's end
            sent.append(1)

    with standin(flood) as server, pytest.raises(EngineError, match="more than 1 MiB"):
        ask(server.base_url, stream=stream)
    assert len(sent) < 200


def test_redirect() -> None:
    with (
        standin(says(307, b"", Location="http://elsewhere/v1")) as server,
        pytest.raises(EngineError, match="redirects to http://elsewhere/v1"),
    ):
        ask(server.base_url)


def test_a_prompt_too_long() -> None:
    words = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens."
    with standin(fails(400, words)) as server, pytest.raises(EngineError, match=r"shorten the prompt.*4096"):
        ask(server.base_url)


def test_the_only_model_is_taken() -> None:
    with standin(lists("alpha")) as server, closing(OpenAIEngine.connect(server.base_url)) as engine:
        assert engine.model == "alpha"


def test_several_models_have_to_be_chosen_from() -> None:
    names = [f"model-{number}" for number in range(12)]
    with (
        standin(lists(*names)) as server,
        pytest.raises(UsageError, match=r"--model: model-0, .*model-9 and 2 more"),
    ):
        OpenAIEngine.connect(server.base_url)


@pytest.mark.parametrize(
    "action", [says(200, {"data": 3}), says(200, [1]), says(200, {"data": [{}]}), says(200, b"<p>")]
)
def test_a_list_of_models_that_is_none(action: Action) -> None:
    with standin(action) as server, pytest.raises(EngineError, match="OpenAI-compatible"):
        OpenAIEngine.connect(server.base_url)


def test_no_model() -> None:
    with standin(lists()) as server, pytest.raises(ModelNotFound):
        OpenAIEngine.connect(server.base_url)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("http://h/v1/", "http://h/v1"),
        (" https://h/openai/v1 ", "https://h/openai/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("https://h/proxy", "https://h/proxy/v1"),
        ("http://[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_base_url(given: str, meant: str) -> None:
    assert str(http.parse_base_url(given)) == meant


@pytest.mark.parametrize(
    "bad", ["", "localhost:8000", "ftp://h/v1", "http://", "http://h:port", "http://h/v1?key=s3cret"]
)
def test_what_is_no_base_url(bad: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8000/v1") as caught:
        http.parse_base_url(bad)
    assert "s3cret" not in str(caught.value)


def test_a_password_in_the_address_is_not_shown() -> None:
    address = unused_address().replace("http://", "http://user:s3cret@")
    with pytest.raises(EngineUnavailable) as caught:
        ask(address, retries=0)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["two\nlines", "ключ", " blank "])
def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(UsageError, match="API key") as caught:
        OpenAIEngine.connect("http://h", "m", api_key=key)
    assert key.strip() not in str(caught.value)


def test_what_is_sent() -> None:
    with standin(answers()) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        engine.generate([ASK, "raw"], GREEDY)
        engine.generate([ASK], Sampling(max_tokens=7, temperature=0.5, seed=3, stop=("a", "b")))
    chat, raw = sorted(server.seen[:2], key=lambda seen: "prompt" in seen.body)
    assert (chat.path, raw.path) == ("/v1/chat/completions", "/v1/completions")
    assert chat.body == {"model": "m", "messages": ASK, "max_tokens": 128, "temperature": 0.0}
    assert raw.body == {"model": "m", "prompt": "raw", "max_tokens": 128, "temperature": 0.0}
    assert server.seen[2].body == chat.body | {"max_tokens": 7, "temperature": 0.5, "seed": 3, "stop": ["a", "b"]}


def asks(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": str(number)}]


def test_no_more_are_under_way_than_allowed() -> None:
    crowd = Crowd()
    with standin(crowd) as server, closing(OpenAIEngine.connect(server.base_url, "m", concurrency=4)) as engine:
        texts = [answer.text for answer in engine.generate([asks(n) for n in range(30)], GREEDY)]
    assert texts == [str(n) for n in range(30)]
    assert crowd.most == 4


def test_each_comes_when_it_is_there_and_others_outlive_a_failure() -> None:
    def act(handler: Handler) -> None:
        match handler.seen.body["messages"][0]["content"]:
            case "0":
                answers("slow", after=0.5)(handler)
            case "1":
                fails(400, "bad prompt")(handler)
            case _:
                answers("quick")(handler)

    with standin(act) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        outcomes = list(engine.generate_each([asks(n) for n in range(3)], GREEDY))
    assert sorted(place for place, _ in outcomes) == [0, 1, 2]
    assert outcomes[-1] == (0, Completion("slow", "stop", 3, 2))
    assert "bad prompt" in str(dict(outcomes)[1])


def test_prompts_are_drawn_as_needed_and_leaving_cancels() -> None:
    drawn = []

    def endless():
        for number in count():
            drawn.append(number)
            yield asks(number)

    with standin(Crowd(0.01)) as server, closing(OpenAIEngine.connect(server.base_url, "m", concurrency=2)) as engine:
        assert len(list(islice(engine.generate_each(endless(), GREEDY), 10))) == 10
        assert len(drawn) <= 20
        time.sleep(0.3)
        settled = len(server.seen)
        time.sleep(0.3)
        assert len(server.seen) == settled, "requests were still sent after the caller had left"


def test_a_failure_ends_a_batch_without_waiting_for_the_rest() -> None:
    def act(handler: Handler) -> None:
        content = handler.seen.body["messages"][0]["content"]
        (fails(400, "bad prompt") if content == "5" else answers(after=4))(handler)

    with standin(act) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        begin = time.monotonic()
        with pytest.raises(EngineError, match="bad prompt"):
            engine.generate([asks(n) for n in range(8)], GREEDY)
        assert time.monotonic() - begin < 2


def test_many_threads_share_an_engine() -> None:
    results: dict[int, list[Completion]] = {}
    with standin(Crowd(0.01)) as server, closing(OpenAIEngine.connect(server.base_url, "m", concurrency=3)) as engine:

        def work(thread: int) -> None:
            results[thread] = engine.generate([asks(thread * 100 + n) for n in range(5)], GREEDY)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {n: [int(answer.text) - n * 100 for answer in done] for n, done in results.items()} == {
        n: list(range(5)) for n in range(6)
    }


def test_tokens_are_counted_where_the_server_can() -> None:
    with standin(says(200, {"count": 7})) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        assert [engine.count_tokens("a text"), engine.count_tokens("a text")] == [7, 7]
    assert [(seen.path, seen.body["prompt"]) for seen in server.seen] == [("/tokenize", "a text")]
    with standin(fails(404, "no")) as server, closing(OpenAIEngine.connect(server.base_url, "m")) as engine:
        assert [engine.count_tokens(text) for text in "abc"] == [None, None, None]
    assert len(server.seen) == 1, "a server that cannot count was asked again"


def test_closing_twice_is_harmless() -> None:
    engine = OpenAIEngine.connect("http://127.0.0.1:9", "m")
    engine.close()
    engine.close()
