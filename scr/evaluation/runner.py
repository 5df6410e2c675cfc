"""One row of the table: a method's edits applied, every question asked, a file per case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from scr.editors import Asked, Edited, Editor, Prepared
from scr.engines import Completion, Engine, Outcome, Prompt, Sampling
from scr.engines.http import StatusError
from scr.engines.local import LocalEngine
from scr.engines.scoring import Scorer
from scr.errors import EngineError
from scr.evaluation.cases import Case, Question
from scr.evaluation.forced import forced, wanted
from scr.evaluation.metrics import contains, exact_match, ngram_entropy, preserved
from scr.evaluation.results import After, Answered, CaseResult, Forced
from scr.evaluation.settings import Settings
from scr.lines import as_json

_T = TypeVar("_T")
_U = TypeVar("_U")

_AT_ONCE = 256
# Questions that are decided together.

_FREE_TEXT = 100
# Tokens of a text whose fluency is measured, as in Meng et al. 2022.

_REFUSALS = frozenset({400, 413, 422})
# Statuses by which a server says that the request itself is wrong: too long, most often.


def refuses(error: EngineError, engine: Engine) -> bool:
    """Whether an engine cannot answer this very question, so that asking again is no use and others can be asked.

    A server that is down, busy, of another kind, or wants a key refuses every question, and so does a model that
    cannot be run.
    """
    if type(error) not in (EngineError, StatusError):
        return False
    # An engine says a status in words of its own; the status itself stays behind them.
    said = error if isinstance(error, StatusError) else error.__context__
    if isinstance(said, StatusError):
        return said.status in _REFUSALS
    return error.__cause__ is None and isinstance(getattr(engine, "inner", engine), LocalEngine)


def _halved(work: Callable[[Sequence[_T]], list[_U]], some: Sequence[_T], engine: Engine) -> list[_U | EngineError]:
    """What becomes of each of some questions that are worked on together, halved until a refused one stands alone."""
    try:
        return [*work(some)]
    except EngineError as error:
        if not refuses(error, engine):
            raise
        if len(some) == 1:
            return [error]
    half = len(some) // 2
    return _halved(work, some[:half], engine) + _halved(work, some[half:], engine)


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


class RowRunner:
    """Runs one method over the cases of a data set.

    Args:
        settings: of the run.
        cases: of the data set.
        flaws: rules of the lint that a question breaks, by case id and the question's place.
        bare: the unmodified model's answers, by question; None for the row that makes them.
        folder: for the cases' files.
        progress: told how many questions are done.
    """

    def __init__(
        self,
        settings: Settings,
        cases: Sequence[Case],
        flaws: Mapping[tuple[str, int], tuple[str, ...]],
        bare: Mapping[str, str] | None,
        folder: Path,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._settings, self._cases, self._flaws, self._bare = settings, cases, flaws, bare
        self._folder, self._progress = folder, progress
        self._asks = settings.asked(len(cases))
        self._failures: list[EngineError] = []
        self._refused: dict[int, _Open] = {}
        self._any_answer = any(self._path(place).exists() for place in self._asks)
        self._any_forced = self._any_answer
        self._watch: Callable[[Edited], None] | None = None

    def run(self, editor: Editor, edits: int, watch: Callable[[Edited], None] | None = None) -> None:
        """Apply the method in groups of so many records, and ask each group's questions on its final state.

        Groups whose files are all there are left out. A question that the engine refuses counts as answered wrongly,
        unless all of the row are refused.

        Args:
            editor: the method.
            edits: records in a group.
            watch: shown the first group's final state, if that is another model and has to be made.

        Raises:
            EditError: an edit cannot be applied.
            EngineError: questions failed, and no others are asked then; every case without a failed one is kept.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._watch = watch
        every = range(len(self._cases))
        groups = [every[start : start + edits] for start in range(0, len(every), edits)]
        pending = []
        for group in groups:
            if all(self._path(place).exists() for place in self._asked_of(group)):
                self._progress(sum(len(self._cases[place].questions) for place in self._asked_of(group)))
            else:
                pending.append(group)
        for streams in [[group] for group in pending] if editor.traits.changes_weights else [pending]:
            if not self._failures:
                self._gather(editor, streams)
        if self._any_answer:
            for place, case in self._refused.items():
                self._write(place, case)
        elif self._refused and not self._failures:
            first = next(one for case in self._refused.values() for _, one in case.said.values())
            raise EngineError(f"no question of {editor.traits.name} got an answer, the first one so: {first}")
        if self._failures:
            raise type(self._failures[0])(
                f"{len(self._failures):,} questions failed, the first one so: {self._failures[0]}: run the same "
                "command again to ask only what is missing"
            )

    def _gather(self, editor: Editor, groups: Sequence[range]) -> None:
        """Ask what the groups have to be asked, and write each case as it is complete."""
        open_cases: dict[int, _Open] = {}
        for slot, outcome in self._answers(editor, groups, open_cases):
            self._progress(not slot.after)
            case = open_cases[slot.case]
            self._any_answer = self._any_answer or isinstance(outcome, Completion)
            if outcome is None:
                case.failed = True
            else:
                case.said[slot.question, slot.after] = (slot, outcome)
            case.missing -= 1
            if not case.missing:
                del open_cases[slot.case]
                if case.refused and not case.failed:
                    self._refused[slot.case] = case  # written when it is sure that others are answered
                elif not case.failed:
                    self._write(slot.case, case)

    def _answers(
        self, editor: Editor, groups: Sequence[range], open_cases: dict[int, _Open]
    ) -> Iterator[tuple[Slot, Outcome | None]]:
        """Each question with what became of it; None where the engine failed at it."""
        if editor.traits.changes_weights:
            # The model is another one after each step, so that a step has to be answered before the next.
            for group in groups:
                for edited, slots in self._steps(editor, group, open_cases):
                    yield from self._answered_by(edited.engine, slots)
        elif groups:
            steps = chain.from_iterable(self._steps(editor, group, open_cases) for group in groups)
            first, slots = next(steps)
            yield from self._answered_by(first.engine, chain(slots, chain.from_iterable(more for _, more in steps)))

    def _answered_by(self, engine: Engine, slots: Iterable[Slot]) -> Iterator[tuple[Slot, Outcome | None]]:
        drawn: list[Slot] = []
        unasked: list[tuple[Slot, EngineError]] = []

        def prompts() -> Iterator[Prompt]:
            for slot in slots:
                if self._failures:
                    return
                if slot.refusal:
                    unasked.append((slot, slot.refusal))
                    continue
                drawn.append(slot)
                yield slot.prepared.prompt

        for place, outcome in engine.generate_each(prompts(), self._settings.sampling):
            if isinstance(outcome, EngineError) and not refuses(outcome, engine):
                self._failures.append(outcome)
                yield drawn[place], None
            else:
                yield drawn[place], outcome
        yield from unasked

    def _steps(
        self, editor: Editor, group: range, open_cases: dict[int, _Open]
    ) -> Iterator[tuple[Edited, Iterator[Slot]]]:
        """States of the edited model, each with what is to be asked of it."""
        first, *others = [self._cases[place].edits for place in group]
        together = () if self._settings.one_by_one else tuple(edit for edits in others for edit in edits)
        with editor.apply([*first, *together]) as edited:
            for place in self._asked_of(group):
                count = len(self._cases[place].questions) * (2 if self._settings.one_by_one else 1)
                open_cases[place] = _Open(count)
            if self._settings.one_by_one:
                for place in group:
                    if place != group[0]:
                        edited.add(self._cases[place].edits)
                    if place in self._asks:
                        yield edited, self._slots(edited, [place], after=True)
            seconds = sum(report.seconds for report in edited.reports)
            edits = sum(report.edits for report in edited.reports)
            peaks = [report.peak_bytes for report in edited.reports if report.peak_bytes is not None]
            for place in self._asked_of(group):
                open_cases[place].seconds = seconds * len(self._cases[place].edits) / max(edits, 1)
                open_cases[place].peak_bytes = max(peaks, default=None)
                open_cases[place].fluency = self._fluency(edited, self._cases[place])
            if self._watch and editor.traits.changes_weights and group[0] == 0:
                self._watch(edited)
            yield edited, self._slots(edited, self._asked_of(group), after=False)

    def _asked_of(self, group: Iterable[int]) -> list[int]:
        return [place for place in group if place in self._asks]

    def _slots(self, edited: Edited, places: Iterable[int], *, after: bool) -> Iterator[Slot]:
        questions = (
            (place, number, question)
            for place in places
            for number, question in enumerate(self._cases[place].questions)
        )
        while chunk := list(islice(questions, _AT_ONCE)):
            asked = [self._put(self._cases[place], question) for place, _, question in chunk]
            found = _halved(edited.prepare, asked, edited.engine)
            refusals = [one if isinstance(one, EngineError) else None for one in found]
            prepared = [
                Prepared(one.prompt) if isinstance(given, EngineError) else given
                for one, given in zip(asked, found, strict=True)
            ]
            probabilities = [None] * len(chunk) if after else self._forced(edited.engine, chunk, prepared)
            for (place, number, _), one, likely, refusal in zip(chunk, prepared, probabilities, refusals, strict=True):
                yield Slot(place, number, after, one, likely, refusal)

    def _put(self, case: Case, question: Question) -> Asked:
        return Asked(self._settings.prompt(question.prompt), case.edits, question.in_scope)

    def _forced(
        self, engine: Engine, chunk: Sequence[tuple[int, int, Question]], prepared: Sequence[Prepared]
    ) -> list[Forced | None]:
        if not self._settings.legacy:
            return [None] * len(chunk)
        if not isinstance(engine, Scorer):
            raise EngineError(f"the engine of {engine.model} tells no probabilities: leave out --legacy")
        answers = [wanted(question, self._cases[place].edits) for place, _, question in chunk]
        pairs = list(zip(prepared, answers, strict=True))
        found = _halved(lambda some: forced(engine, *map(list, zip(*some, strict=True))), pairs, engine)
        refusals = [one for one in found if isinstance(one, EngineError)]
        if len(refusals) == len(found) and not self._any_forced:
            raise refusals[0]  # it tells no probabilities at all
        self._any_forced = True
        return [None if isinstance(one, EngineError) else one for one in found]

    def _fluency(self, edited: Edited, case: Case) -> float | None:
        """N-gram entropy of what the edited model writes to the record's prompts for free text; None if it refuses."""
        if not (self._settings.legacy and case.generations):
            return None
        asked = [Asked(self._settings.prompt(prompt), case.edits, in_scope=True) for prompt in case.generations]
        prompts = [one.prompt for one in edited.prepare(asked)]
        try:
            said = edited.engine.generate(prompts, Sampling(max_tokens=_FREE_TEXT))
        except EngineError as error:
            if not refuses(error, edited.engine):
                raise
            return None
        texts = zip(case.generations, said, strict=True)
        return ngram_entropy([f"{prompt} {completion.text.strip()}" for prompt, completion in texts])

    def _write(self, place: int, case: _Open) -> None:
        questions = self._cases[place].questions
        answered = tuple(self._answered(place, number, question, case) for number, question in enumerate(questions))
        facts = tuple(edit.fact for edit in self._cases[place].edits)
        result = CaseResult(self._cases[place].id, facts, answered, case.seconds, case.fluency, case.peak_bytes)
        path = self._path(place)
        # Written aside and renamed, so that a kill leaves no half of a file that would be taken for done.
        aside = path.with_suffix(".part")
        aside.write_text(as_json(result.to_json()) + "\n", encoding="utf-8")
        aside.replace(path)

    def _answered(self, place: int, number: int, question: Question, case: _Open) -> Answered:
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


class _Open:
    """A case whose answers are not all there yet."""

    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.failed = False
        self.seconds = 0.0
        self.fluency: float | None = None
        self.peak_bytes: int | None = None
        self.said: dict[tuple[int, bool], tuple[Slot, Outcome]] = {}

    @property
    def refused(self) -> bool:
        return any(isinstance(outcome, EngineError) for _, outcome in self.said.values())
