"""What became of a case's questions: scored, and kept as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scr.editors import Prepared
from scr.engines import Completion, Outcome
from scr.errors import EngineError
from scr.evaluation.cases import Case, Question
from scr.evaluation.metrics import contains, exact_match, preserved
from scr.evaluation.results import After, Answered, CaseResult, Forced, read_case
from scr.evaluation.settings import Settings
from scr.lines import as_json


@dataclass(frozen=True, slots=True)
class Slot:
    """A question that waits for its answer.

    Attributes:
        case: its place in the row.
        question: its place in the case.
        after: whether it is asked right after the record's own edit.
        prepared: what the model is given.
        forced: probabilities of its right answer.
        refusal: why the method could not prepare it; the model is not asked then.
    """

    case: int
    question: int
    after: bool
    prepared: Prepared
    forced: Forced | None = None
    refusal: EngineError | None = None


_NO_ANSWER = Completion("", "error", 0, 0)


class OpenCase:
    """A case whose answers are not all there yet.

    Args:
        missing: how many are not.
    """

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.failed = False
        self.seconds = 0.0
        self.fluency: float | None = None
        self.peak_bytes: int | None = None
        self.said: dict[tuple[int, bool], tuple[Slot, Outcome]] = {}

    @property
    def refused(self) -> bool:
        """Whether a question of it got no answer."""
        return any(isinstance(outcome, EngineError) for _, outcome in self.said.values())


class Recorder:
    """Keeps the cases of one row.

    Args:
        settings: of the run.
        cases: of the data set.
        flaws: rules of the lint that a question breaks, by case id and the question's place.
        bare: the unmodified model's answers, by question; None for the row that makes them.
        folder: for the cases' files.
    """

    def __init__(
        self,
        settings: Settings,
        cases: Sequence[Case],
        flaws: Mapping[tuple[str, int], tuple[str, ...]],
        bare: Mapping[str, str] | None,
        folder: Path,
    ) -> None:
        self._settings, self._cases, self._flaws, self._bare, self._folder = settings, cases, flaws, bare, folder

    def has(self, place: int) -> bool:
        """Whether a case is kept already."""
        return self._path(place).exists()

    def write(self, place: int, case: OpenCase) -> None:
        """Score what became of a case's questions, and keep it whole or not at all."""
        questions = self._cases[place].questions
        answered = tuple(self._answered(place, number, question, case) for number, question in enumerate(questions))
        facts = tuple(edit.fact for edit in self._cases[place].edits)
        result = CaseResult(self._cases[place].id, facts, answered, case.seconds, case.fluency, case.peak_bytes)
        _keep(self._path(place), result)

    def _answered(self, place: int, number: int, question: Question, case: OpenCase) -> Answered:
        slot, outcome = case.said[number, False]
        completion = _NO_ANSWER if isinstance(outcome, EngineError) else outcome
        bare = completion.text if self._bare is None else self._bare[question.prompt]
        after = case.said.get((number, True))
        verdict = self._verdict(question, outcome, bare)
        untouched = slot.prepared.prompt == self._settings.prompt(question.prompt)
        return Answered(
            prompt=question.prompt,
            kind=question.kind,
            sub=question.sub,
            answers=question.answers,
            answer=completion.text,
            bare=bare,
            shown=slot.prepared.shown,
            considered=slot.prepared.considered,
            given=None if untouched else slot.prepared.prompt,
            calls=slot.prepared.calls + 1,
            exact=verdict.exact,
            contains=verdict.contains,
            preserved=verdict.preserved,
            finish_reason=completion.finish_reason,
            flaws=self._flaws.get((self._cases[place].id, number), ()),
            after=self._verdict(question, after[1], bare) if after else None,
            forced=slot.forced,
            error=str(outcome) if isinstance(outcome, EngineError) else None,
        )

    def _verdict(self, question: Question, outcome: Outcome, bare: str) -> After:
        right = question.answers
        if isinstance(outcome, EngineError):
            return After("", False if right else None, False if right else None, None if question.in_scope else False)
        answer = outcome.text
        return After(
            answer,
            exact_match(answer, right) if right else None,
            contains(answer, right) if right else None,
            None if question.in_scope else preserved(answer, bare),
        )

    def _path(self, place: int) -> Path:
        return self._folder / f"{self._cases[place].id}.json"


def look_again(folder: Path, flaws: Mapping[tuple[str, int], tuple[str, ...]]) -> None:
    """Give the cases of a row the flaws that the lint finds now: it may know more rules than when they were kept.

    Args:
        folder: of the cases' files.
        flaws: rules that a question breaks, by case id and the question's place.

    Raises:
        UsageError: the file of a case is damaged.
    """
    for path in sorted(folder.glob("*.json")):
        kept = read_case(path)
        found = [flaws.get((kept.case, number), ()) for number in range(len(kept.answered))]
        if found != [one.flaws for one in kept.answered]:
            answered = tuple(replace(one, flaws=rules) for one, rules in zip(kept.answered, found, strict=True))
            _keep(path, replace(kept, answered=answered))


def _keep(path: Path, result: CaseResult) -> None:
    """Write a case whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed, so that a kill leaves no half of a file that would be taken for done.
    aside = path.with_suffix(".part")
    aside.write_text(as_json(result.to_json()) + "\n", encoding="utf-8")
    aside.replace(path)
