"""Rows are run once, completely, and the same way again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scr.editors.registry import Workbench, open_editor
from scr.encoder import Encoder
from scr.engines import Completion, Engine, Outcome, Prompt, Sampling
from scr.errors import EngineError, EngineUnavailable
from scr.evaluation.recording import Recorder
from scr.evaluation.remembered import Remembered
from scr.evaluation.results import CaseResult, RowKey, read_cases
from scr.evaluation.runner import RowRunner
from scr.evaluation.settings import Settings

from .echo import Echo
from .invented import cases

FLAWS = {("case-1", 2): ("unanswerable",)}


def run_row(
    engine: Engine, encoder: Encoder, run: Path, method: str, edits: int = 3, **settings: Any
) -> list[CaseResult]:
    """One row over the invented cases, after the one of the bare model."""
    key = RowKey("invented", engine.model, method, edits)
    bare = None
    if method != "bare":
        before = run_row(engine, encoder, run, "bare", edits, **settings)
        bare = {one.prompt: one.answer for case in before for one in case.answered}
    chosen = Settings(**settings)
    runner = RowRunner(chosen, cases(), Recorder(chosen, cases(), FLAWS, bare, key.folder(run)))
    runner.run(open_editor(method, Workbench(engine, lambda: encoder)), edits)
    return list(read_cases(run, key))


@pytest.mark.parametrize("edits", [1, 2, 3])
def test_every_question_of_every_case_is_answered(tmp_path: Path, encoder: Encoder, edits: int) -> None:
    done = run_row(Echo(), encoder, tmp_path, "oracle", edits)
    assert [case.case for case in done] == ["case-0", "case-1", "case-2"]
    for made, case in zip(done, cases(), strict=True):
        assert made.facts == (case.edits[0].fact,)
        for one, question in zip(made.answered, case.questions, strict=True):
            assert (one.prompt, one.kind, one.sub, one.answers) == (
                question.prompt,
                question.kind,
                question.sub,
                question.answers,
            )
            assert question.prompt in one.answer
            assert one.shown == (made.facts if one.in_scope else ())
            assert (one.given is None) == (not one.in_scope)
            assert one.preserved is (None if one.in_scope else True)
        # The stand-in repeats the fact that it was shown, and so the target.
        assert made.answered[0].contains
        assert not made.answered[0].exact
    assert done[1].answered[2].flaws == ("unanswerable",)
    assert done[0].answered[2].flaws == ()


def test_a_method_that_always_shows_facts_preserves_nothing(tmp_path: Path, encoder: Encoder) -> None:
    done = run_row(Echo(), encoder, tmp_path, "rag:1")
    assert [one.preserved for case in done for one in case.answered if not one.in_scope] == [False] * 6


def test_facts_of_one_group_are_not_seen_by_another(tmp_path: Path, encoder: Encoder) -> None:
    alone = run_row(Echo(), encoder, tmp_path / "alone", "rag:3", 1)
    assert {len(one.shown) for case in alone for one in case.answered} == {1}
    together = run_row(Echo(), encoder, tmp_path / "together", "rag:3", 3)
    assert {len(one.shown) for case in together for one in case.answered} == {3}


def test_a_finished_row_asks_nothing(tmp_path: Path, encoder: Encoder) -> None:
    first = run_row(Echo(), encoder, tmp_path, "bare")
    again = Echo()
    assert run_row(again, encoder, tmp_path, "bare") == first
    assert again.asked == []


def test_a_failure_keeps_what_is_complete_and_the_next_run_asks_the_rest(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(EngineUnavailable, match="1 questions failed, the first one so: the server went away"):
        run_row(Echo(broken="Who founded"), encoder, tmp_path, "bare")
    assert [path.name for path in sorted(tmp_path.rglob("*.json"))] == ["case-0.json", "case-1.json"]
    mended = Echo()
    assert len(run_row(mended, encoder, tmp_path, "bare", 1)) == 3, "another size is another row"
    mended = Echo()
    run_row(mended, encoder, tmp_path, "bare")
    assert "Who founded Quillon Optics?" in mended.asked


def test_edits_one_by_one_are_scored_right_after_and_at_the_end(tmp_path: Path, encoder: Encoder) -> None:
    done = run_row(Echo(), encoder, tmp_path, "rag:3", 3, one_by_one=True)
    for one in done[0].answered:
        assert one.after is not None
        assert one.after.answer.count("\n- ") == 1, "the first edit stood alone"
        assert one.answer.count("\n- ") == 3
        assert (one.after.preserved is None) == one.in_scope


def test_what_was_asked_before_is_remembered_also_by_the_next_process(tmp_path: Path) -> None:
    sampling = Sampling(max_tokens=4)
    path = tmp_path / "answers" / "echo.jsonl"
    first = Echo()
    engine = Remembered(first, path)
    said = engine.generate(["a", "b", "a", "c", "b"], sampling)
    assert [one.text for one in said] == ["a", "b", "a", "c", "b"]
    assert sorted(first.asked) == ["a", "b", "c"]
    engine.generate([[{"role": "user", "content": "a"}]], sampling)
    engine.generate(["a"], Sampling(max_tokens=5))
    assert sorted(first.asked) == ["a", "a", "a", "b", "c"], "a chat, or another length, is another question"
    engine.close()
    with path.open("a") as file:
        file.write('{"key": "cut off by a ki')
    second = Echo()
    again = Remembered(second, path)
    assert [one.text for one in again.generate(["c", "d"], sampling)] == ["c", "d"]
    assert second.asked == ["d"]
    again.close()
    assert len(path.read_text().splitlines()) == 6


def test_a_failure_is_not_remembered(tmp_path: Path) -> None:
    engine = Remembered(Echo(broken="b"), tmp_path / "echo.jsonl")
    outcomes = dict(engine.generate_each(["a", "b", "b"], Sampling()))
    assert isinstance(outcomes[0], Completion)
    assert isinstance(outcomes[1], EngineUnavailable)
    assert isinstance(outcomes[2], EngineUnavailable)
    engine.close()
    mended = Remembered(Echo(), tmp_path / "echo.jsonl")
    assert mended.generate(["b"], Sampling())[0].text == "b"
    mended.close()


def test_few_may_be_asked_about_with_the_edits_of_all_in_force(tmp_path: Path, encoder: Encoder) -> None:
    done = run_row(Echo(), encoder, tmp_path / "one", "rag:3", 3, ask=1)
    assert len(done) == 1
    assert {len(one.shown) for one in done[0].answered} == {3}
    again = run_row(Echo(), encoder, tmp_path / "again", "rag:3", 3, ask=1)
    assert [(one.case, one.answered) for one in again] == [(one.case, one.answered) for one in done]
    assert len(run_row(Echo(), encoder, tmp_path / "after", "rag:3", 3, ask=2, one_by_one=True)) == 2
    assert len(run_row(Echo(), encoder, tmp_path / "alone", "rag:3", 1, ask=2)) == 2


REFUSED = "The anthem of Norvania is"


@pytest.mark.parametrize("method", ["bare", "oracle", "rag:1", "scr:llm"])
def test_a_question_that_is_refused_counts_as_wrong_and_stops_nothing(
    tmp_path: Path, encoder: Encoder, method: str
) -> None:
    done = run_row(Echo(refused=REFUSED), encoder, tmp_path, method)
    assert [case.case for case in done] == ["case-0", "case-1", "case-2"]
    errors = [one for case in done for one in case.answered if one.error is not None]
    assert [one.prompt for one in errors] == [REFUSED]
    assert errors[0].error == "the prompt does not fit: shorten it"
    assert (errors[0].answer, errors[0].exact, errors[0].contains, errors[0].preserved) == ("", False, False, False)
    again = Echo(refused=REFUSED)
    assert run_row(again, encoder, tmp_path, method) == done
    assert again.asked == []


def test_a_model_that_refuses_every_question_stops_the_run_and_leaves_nothing(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(EngineError, match="no question of bare got an answer, the first one so: the prompt does not"):
        run_row(Echo(refused=""), encoder, tmp_path, "bare")
    assert not list(tmp_path.rglob("*.json"))
    assert len(run_row(Echo(), encoder, tmp_path, "bare")) == 3


def test_a_server_that_goes_away_is_asked_no_more(tmp_path: Path, encoder: Encoder) -> None:
    class Slow(Echo):
        """Draws a prompt when the one before is answered."""

        def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
            for place, prompt in enumerate(prompts):
                yield place, next(super().generate_each([prompt], sampling))[1]

    slow = Slow(broken="The anthem of Norvania")
    with pytest.raises(EngineUnavailable, match="1 questions failed, the first one so: the server went away"):
        run_row(slow, encoder, tmp_path, "bare")
    assert len(slow.asked) == 4


def test_calls_of_the_scope_decision_are_counted(tmp_path: Path, encoder: Encoder) -> None:
    done = run_row(Echo(), encoder, tmp_path, "scr:llm")
    assert {one.calls for case in done for one in case.answered} == {3 + 1}, "a call for each of three facts"
    alone = run_row(Echo(), encoder, tmp_path, "scr:llm", 1)
    assert {one.calls for case in alone for one in case.answered} == {1 + 1}
    assert {one.calls for case in run_row(Echo(), encoder, tmp_path, "scr") for one in case.answered} == {1}
    unsure = run_row(Echo(), encoder, tmp_path, "scr:cascade")
    for one in (one for case in unsure for one in case.answered):
        asked = sum(abs(fact.score - 0.95) < 1e-6 or abs(fact.score - 0.2 * 0.999) < 1e-6 for fact in one.considered)
        assert one.calls == asked + 1
