"""demo: the whole story, with the real model."""

from __future__ import annotations

import json

import pytest

from scr.engines import Engine
from scr.shipped import shipped

from .conftest import Scr


@pytest.mark.llm
@pytest.mark.slow
def test_the_whole_story(scr: Scr, llm: Engine) -> None:
    told = scr("demo", "--json").json
    assert told["model"] == llm.model
    questions = [
        json.loads(line) for line in (shipped("stores") / "demo_questions.jsonl").read_text("utf-8").splitlines()
    ]
    answers = told["answers"]
    assert [one["query"] for one in answers] == [one["query"] for one in questions]
    verdicts = [(one["in_scope"], question["in_scope"]) for one, question in zip(answers, questions, strict=True)]
    assert (True, False) not in verdicts, "a fact is shown where none belongs"
    assert verdicts.count((True, True)) >= 4
    for one in answers:
        assert (one["answer"] == one["bare_answer"]) or one["in_scope"]
    assert any(one["answer"] != one["bare_answer"] for one in answers)
    assert scr("list", "--json").json == [], "the user's own store is left alone"


@pytest.mark.llm
@pytest.mark.slow
@pytest.mark.usefixtures("llm")
def test_it_is_told_in_lines_that_fit(scr: Scr) -> None:
    told = scr("demo")
    assert told.status == 0
    for part in ("facts go into a store", "In scope", "Out of scope", "Taken back", "scr --help"):
        assert part in told.out
    before, after = (next(line for line in told.lines if f"  {name}" in line) for name in ("before", "after"))
    assert "Lyon" in before
    assert "Lyon" not in after
    assert max(map(len, told.lines)) <= 100
