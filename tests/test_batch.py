"""Bulk questions, below the command line: what is read, and how much of it is held."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from scr.batch import Batch, Counts, Question, read_questions, resume
from scr.context import ContextBuilder
from scr.engines import Sampling
from scr.errors import UsageError
from scr.facts import NewFact
from scr.pipeline import Pipeline
from scr.scope.opening import open_scope
from scr.store import FactStore

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
        ("text", "object"),
    ],
)
def test_bad_bodies_are_told(body: object, said: str) -> None:
    (one,) = questions({"custom_id": "a", "body": body})
    assert (one.id, one.prompt) == ("a", None)
    assert said in str(one.flaw)


def test_blank_lines_are_passed_over_and_lines_counted() -> None:
    read = list(read_questions(io.BytesIO(b'\n\n{"query": "Who?"}\n\n{'), GREEDY, "completion"))
    assert [(one.id, one.prompt) for one in read] == [(3, "Who?"), (5, None)]


def test_input_is_read_a_chunk_at_a_time(store: FactStore) -> None:
    """Memory does not grow with the input: what is read is answered and written before more is read."""
    store.add(NewFact("The capital of France is Lyon."))
    out, ahead = io.StringIO(), []

    def endless() -> Iterator[Question]:
        for number in range(50):
            ahead.append(number - out.getvalue().count("\n"))
            yield Question(number, [{"role": "user", "content": f"What is thing {number}?"}], GREEDY)

    pipeline = Pipeline(store, open_scope(), ContextBuilder(), Recorder())
    assert Batch(pipeline, chunk=8).run(endless(), [], out, lambda _: None) == Counts(50, 0, 0)
    assert max(ahead) < 8
    assert [json.loads(line)["id"] for line in out.getvalue().splitlines()] == [*range(50)]


def test_questions_of_different_sampling_keep_their_order(store: FactStore) -> None:
    recorder, out = Recorder(), io.StringIO()
    pipeline = Pipeline(store, open_scope(), ContextBuilder(), recorder)
    mixed = [Question(n, f"text {n}", Sampling(max_tokens=1 + n % 2)) for n in range(6)]
    Batch(pipeline).run(mixed, [], out, lambda _: None)
    assert [json.loads(line)["query"] for line in out.getvalue().splitlines()] == [f"text {n}" for n in range(6)]
    assert recorder.given == [f"text {n}" for n in (0, 2, 4, 1, 3, 5)], "one call for each sampling"


def test_resume_reads_ids_and_cuts_a_torn_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert resume(out) == []
    out.write_bytes(b'{"id": 1, "answer": "x"}\n{"custom_id": "b", "error": null}\n{"id": 3, "ans')
    assert resume(out) == [1, "b"]
    assert out.read_bytes().endswith(b"null}\n")
    for content in (b"[1]\n", b'{"answer": "x"}\n', b"\xff\n"):
        out.write_bytes(content)
        with pytest.raises(UsageError, match="-o"):
            resume(out)
        assert out.read_bytes() == content
