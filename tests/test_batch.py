"""Bulk questions, below the command line: what is read, and how much of it is held."""

from __future__ import annotations

import io
import json
import threading
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import pytest

from scr.answers import Answers, held, resume
from scr.batch import Batch, Counts, Mode
from scr.context import ContextBuilder
from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.engines.local import LocalEngine
from scr.engines.openai import OpenAIEngine
from scr.errors import UsageError
from scr.facts import NewFact
from scr.pipeline import Decision, Pipeline
from scr.questions import Question, read_questions
from scr.scope.opening import open_scope
from scr.store import FactStore

from .commands.standin import StandIn
from .test_pipeline import Recorder

GREEDY = Sampling()


def questions(*records: object) -> list[Question]:
    return list(read_questions(io.BytesIO("\n".join(map(json.dumps, records)).encode()), GREEDY, "chat"))


def test_bodies_are_read_with_their_own_sampling() -> None:
    body = {"messages": [{"role": "user", "content": "Who?"}], "max_completion_tokens": 9, "temperature": 0.5}
    (one,) = questions({"custom_id": "a", "url": "/v1/chat/completions", "body": body})
    assert (one.id, one.openai, one.flaw) == ("a", True, None)
    assert one.sampling == Sampling(max_tokens=9, temperature=0.5)
    assert one.prompt == body["messages"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}]}, "<|im_end|>"),
        ({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}, "temperature"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": True}, "max_tokens"),
        ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 2.5}, "'max_tokens' is not a whole number"),
        ({"messages": [{"role": "user", "content": "x"}], "seed": 1e3}, "'seed' is not a whole number"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": 5}, "'stop' is not a text"),
        ({"messages": [{"role": "user", "content": "x"}], "stop": ["a", ""]}, "stop string is empty"),
        ("text", "object"),
    ],
)
def test_bad_bodies_are_told(body: object, said: str) -> None:
    (one,) = questions({"custom_id": "a", "body": body})
    assert (one.id, one.prompt) == ("a", None)
    assert said in str(one.flaw)


TURNS = {"messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    "more",
    [
        {"n": 2}, {"n": True}, {"top_p": 0.9}, {"response_format": {"type": "json_object"}}, {"stream": True},
        {"tools": [{"type": "function"}]}, {"logprobs": 0}, {"presence_penalty": 1}, {"top_k": 5}, {"scr": {}},
    ],
)  # fmt: skip
def test_what_a_body_asks_for_in_vain_is_told(more: dict[str, object]) -> None:
    bad, good = questions({"custom_id": "a", "body": {**TURNS, **more}}, {"custom_id": "b", "body": TURNS})
    assert (bad.id, bad.prompt, good.flaw) == ("a", None, None)
    (name,) = more
    assert f"{name!r} in" in str(bad.flaw)


def test_what_a_body_says_in_vain_is_named_once_and_not_endlessly() -> None:
    (one,) = questions({"custom_id": "a", "body": {**TURNS, **{f"{n}" + "x" * 1000: 1 for n in range(100)}}})
    assert len(str(one.flaw)) < 600


def test_what_changes_no_answer_is_taken() -> None:
    more = {
        "model": "m", "user": "u", "metadata": {"a": "b"}, "store": True, "stream": False, "n": 1, "top_p": 1.0,
        "presence_penalty": 0.0, "response_format": {"type": "text"}, "tools": [], "tool_choice": "auto", "echo": None,
        "top_k": None, "seed": 7,
    }  # fmt: skip
    (one,) = questions({"custom_id": "a", "body": {**TURNS, **more}})
    assert (one.flaw, one.sampling) == (None, Sampling(seed=7))


def test_blank_lines_are_passed_over_and_lines_counted() -> None:
    read = list(read_questions(io.BytesIO(b'\n\n{"query": "Who?"}\n\n{'), GREEDY, "completion"))
    assert [(one.id, one.prompt) for one in read] == [(3, "Who?"), (5, None)]


def test_strings_that_end_an_answer_are_kept() -> None:
    asked = [{"custom_id": n, "body": {"messages": [{"role": "user", "content": "x"}], "stop": stop}}
             for n, stop in enumerate(["END", ["a", "b"], None])]  # fmt: skip
    assert [one.sampling.stop for one in questions(*asked)] == [("END",), ("a", "b"), ()]


def test_a_line_that_is_too_long_is_one_bad_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scr.questions._LONGEST_LINE", 40)
    text = json.dumps({"id": "long", "query": "a" * 200}) + '\n{"query": "Who?"}\n' + "b" * 90
    read = list(read_questions(io.BytesIO(text.encode()), GREEDY, "completion"))
    assert [(one.id, one.prompt) for one in read] == [(1, None), (2, "Who?"), (3, None)]
    assert read[0].flaw == "line 1: it is longer than 40 bytes: shorten it"


def test_what_is_no_number_is_no_json() -> None:
    (one,) = read_questions(io.BytesIO(b'{"id": NaN, "query": "Who?"}'), GREEDY, "chat")
    assert (one.id, one.prompt, one.flaw) == (1, None, "line 1: not JSON (NaN is no JSON)")


HALF = "half of a pair: \ud83d"


def test_half_of_a_surrogate_pair_is_kept_and_found_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with held(out) as earlier, Answers.append_to(out, earlier) as answers:
        answers.put(1, {"id": 2, "answer": HALF})
        answers.put(0, {"id": HALF, "answer": "é"})
    assert list(resume(out).done) == [HALF, 2]
    assert json.loads(out.read_text("utf-8").splitlines()[1])["answer"] == HALF


@pytest.mark.parametrize(
    "content",
    ["my diary, in one line", '{"query": "Who', '{"id": 1, "query": "a"}\n{"id": 2, "query": "b"}', '["a"]\n', "1\n"],
)
def test_a_file_that_no_run_wrote_is_not_touched(tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    out.write_text(content, "utf-8")
    with pytest.raises(UsageError, match="is not an output of `scr batch`"), held(out):
        pass
    assert [(path.name, path.read_text("utf-8")) for path in tmp_path.iterdir()] == [("out", content)]


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        held(out),
        pytest.raises(UsageError, match=r"another `scr batch` is writing .*out: wait for it"),
        held(out),
    ):
        pass
    assert not list(tmp_path.iterdir())


class Pool(Recorder):
    """Has so many prompts under way, as a server does, and answers the oldest first."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.under_way: list[int] = []

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:  # noqa: ARG002
        numbered, running = enumerate(prompts), list[int]()
        while True:
            running += [place for place, _ in islice(numbered, self.size - len(running))]
            if not running:
                return
            self.under_way.append(len(running))
            yield running.pop(0), Completion("yes", "stop", 1, 1)


def endless(count: int, out: io.StringIO, ahead: list[int]) -> Iterator[Question]:
    for number in range(count):
        ahead.append(number - out.getvalue().count("\n"))
        yield Question(number, [{"role": "user", "content": f"What is thing {number}?"}], GREEDY)


def test_little_more_is_read_than_is_under_way(store: FactStore) -> None:
    """Memory does not grow with the input, and the server is kept busy: it never waits for the end of a chunk."""
    store.add(NewFact("The capital of France is Lyon."))
    out, ahead, pool = io.StringIO(), list[int](), Pool(4)
    pipeline = Pipeline(store, open_scope(), ContextBuilder(), pool)
    assert Batch(pipeline, chunk=8).run(endless(50, out, ahead), Answers(out), lambda _: None) == Counts(50, 0, 0)
    assert max(ahead) < 2 * 8 + 4
    assert pool.under_way == [*[4] * 47, 3, 2, 1]
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == [*range(50)]


@pytest.mark.parametrize("kind", [Pool, type("LocalPool", (Pool, LocalEngine), {})])
def test_a_model_in_this_process_is_used_by_one_thread(store: FactStore, kind: type[Pool]) -> None:
    threads = set[int]()

    class Watched(Pipeline):
        def decide_all(self, prompts: Sequence[Prompt]) -> list[Decision]:
            threads.add(threading.get_ident())
            return super().decide_all(prompts)

    out = io.StringIO()
    pipeline = Watched(store, open_scope(), ContextBuilder(), kind(4))
    assert Batch(pipeline, chunk=8).run(endless(20, out, []), Answers(out), lambda _: None) == Counts(20, 0, 0)
    assert (threads == {threading.get_ident()}) == issubclass(kind, LocalEngine)


def test_questions_of_different_sampling_keep_their_order(store: FactStore) -> None:
    recorder, out = Recorder(), io.StringIO()
    pipeline = Pipeline(store, open_scope(), ContextBuilder(), recorder)
    mixed = [Question(n, f"text {n}", Sampling(max_tokens=1 + n % 2)) for n in range(6)]
    Batch(pipeline).run(mixed, Answers(out), lambda _: None)
    assert [json.loads(line)["query"] for line in out.getvalue().splitlines()] == [f"text {n}" for n in range(6)]
    assert recorder.given == [f"text {n}" for n in (0, 2, 4, 1, 3, 5)], "one call for each sampling"


def test_no_more_is_read_for_a_server_where_samplings_differ(store: FactStore) -> None:
    answered, ahead, out = [], list[int](), io.StringIO()

    def drawn() -> Iterator[Question]:
        for number in range(100):
            ahead.append(number - len(answered))
            yield Question(number, f"text {number}", Sampling(seed=number))

    with StandIn().running() as server, closing(OpenAIEngine.connect(server.url, concurrency=4)) as engine:
        batch = Batch(Pipeline(store, open_scope(), ContextBuilder(), engine), chunk=8)
        assert batch.run(drawn(), Answers(out), answered.append) == Counts(100, 0, 0)
    assert max(ahead) < 2 * 8 + 2 * 4
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == [*range(100)]


class Backwards(Recorder):
    """Answers the last prompt first, one by one, and is cut off after so many."""

    def __init__(self, lasting: int) -> None:
        super().__init__()
        self.lasting = lasting
        self.left = False

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:  # noqa: ARG002
        try:
            for place, prompt in reversed(list(enumerate(prompts))):
                if len(self.given) == self.lasting:
                    raise KeyboardInterrupt
                self.given.append(prompt)
                yield place, Completion(f"to {prompt}", "stop", 1, 1)
        finally:
            self.left = True


@pytest.mark.parametrize("mode", ["edited", "bare", "compare"])
def test_an_answer_that_came_is_never_asked_for_again(store: FactStore, tmp_path: Path, mode: Mode) -> None:
    store.add(NewFact("The capital of France is Lyon."))
    asked = [Question(f"q{n}", f"What is thing {n}?", GREEDY) for n in range(7)]
    asked.insert(4, Question("france", "What is the capital of France?", GREEDY))
    out, given, told = tmp_path / "out", [], []
    for lasting in (3, 0, 2, 9):
        engine = Backwards(lasting)
        batch = Batch(Pipeline(store, open_scope(), ContextBuilder(), engine), mode, chunk=5)
        with suppress(KeyboardInterrupt), Answers.append_to(out, resume(out)) as answers:
            counts = batch.run(asked, answers, told.append)
        assert engine.left
        given += engine.given
    assert len(given) == len({*map(str, given)}) == (9 if mode == "compare" else 8)
    assert (counts.answered + counts.resumed, counts.failed) == (8, 0)
    assert counts.resumed >= 4
    answers = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["id"] for one in answers] == [one.id for one in asked]
    assert [one["answer"] == f"to {one['query']}" for one in answers] == [
        one["id"] != "france" or mode == "bare" for one in answers
    ]
    assert [one.get("bare_answer") for one in answers] == [
        f"to {one['query']}" if mode == "compare" else None for one in answers
    ]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out"]


def test_going_on_holds_no_more_for_a_longer_output(store: FactStore, tmp_path: Path) -> None:
    out, number = tmp_path / "out", 20_000
    with out.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": f"question number {n}", "answer": "x"}) + "\n" for n in range(number))
    batch = Batch(Pipeline(store, open_scope(), ContextBuilder(), Recorder()), "bare")
    asked = (Question(f"question number {n}", "text", GREEDY) for n in range(number + 1))
    tracemalloc.start()
    try:
        with Answers.append_to(out, resume(out)) as answers:
            counts = batch.run(asked, answers, lambda _: None)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert counts == Counts(1, 0, number)


def test_leaving_a_run_stops_the_engine(store: FactStore) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:  # noqa: ARG002
            raise OSError("no space left")

    engine = Backwards(9)
    pipeline = Pipeline(store, open_scope(), ContextBuilder(), engine)
    with pytest.raises(OSError, match="no space"):
        Batch(pipeline).run([Question(1, "a", GREEDY), Question(2, "b", GREEDY)], Answers(Full()), lambda _: None)
    assert engine.left
