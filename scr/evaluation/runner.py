"""One row of the table: a method's edits applied, and every question asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

from scr.editors import Asked, Edited, Editor, Prepared
from scr.engines import Completion, Engine, Outcome, Prompt, Sampling
from scr.engines.http import StatusError
from scr.engines.local import LocalEngine
from scr.engines.scoring import Scorer
from scr.errors import EngineError
from scr.evaluation.cases import Case, Question
from scr.evaluation.forced import forced, wanted
from scr.evaluation.metrics import ngram_entropy
from scr.evaluation.recording import OpenCase, Recorder, Slot
from scr.evaluation.results import Forced
from scr.evaluation.settings import Settings

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


class RowRunner:
    """Runs one method over the cases of a data set.

    Args:
        settings: of the run.
        cases: of the data set.
        recorder: keeps what was answered.
        progress: told how many questions are done.
    """

    def __init__(
        self,
        settings: Settings,
        cases: Sequence[Case],
        recorder: Recorder,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._settings, self._cases, self._recorder, self._progress = settings, cases, recorder, progress
        self._asks = settings.asked(len(cases))
        self._failures: list[EngineError] = []
        self._refused: dict[int, OpenCase] = {}
        self._any_answer = any(self._recorder.has(place) for place in self._asks)
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
        self._watch = watch
        every = range(len(self._cases))
        groups = [every[start : start + edits] for start in range(0, len(every), edits)]
        pending = []
        for group in groups:
            if all(self._recorder.has(place) for place in self._asked_of(group)):
                self._progress(sum(len(self._cases[place].questions) for place in self._asked_of(group)))
            else:
                pending.append(group)
        for streams in [[group] for group in pending] if editor.traits.changes_weights else [pending]:
            if not self._failures:
                self._gather(editor, streams)
        if self._any_answer:
            for place, case in self._refused.items():
                self._recorder.write(place, case)
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
        open_cases: dict[int, OpenCase] = {}
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
                    self._recorder.write(slot.case, case)

    def _answers(
        self, editor: Editor, groups: Sequence[range], open_cases: dict[int, OpenCase]
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
        self, editor: Editor, group: range, open_cases: dict[int, OpenCase]
    ) -> Iterator[tuple[Edited, Iterator[Slot]]]:
        """States of the edited model, each with what is to be asked of it."""
        first, *others = [self._cases[place].edits for place in group]
        together = () if self._settings.one_by_one else tuple(edit for edits in others for edit in edits)
        with editor.apply([*first, *together]) as edited:
            for place in self._asked_of(group):
                count = len(self._cases[place].questions) * (2 if self._settings.one_by_one else 1)
                open_cases[place] = OpenCase(count)
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
