"""What a method costs per query: measured apart, one question at a time, so that no batch hides it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from scr.editors import Asked, Edited
from scr.engines import Engine, Prompt, Sampling
from scr.errors import EngineError
from scr.evaluation.cases import Case
from scr.evaluation.results import CaseResult
from scr.evaluation.runner import refuses
from scr.evaluation.settings import Settings


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method takes.

    Attributes:
        seconds_per_edit: to apply an edit among the others of its group, when the row was made.
        added_ms_per_query: median over questions of the time to an answer beyond the unmodified model's on the same
            question, asked one by one; None where none of them is answered.
        peak_bytes: most memory that an application held beyond the model's; None where it is not measured.
    """

    seconds_per_edit: float
    added_ms_per_query: float | None
    peak_bytes: int | None


def per_edit(done: Iterable[CaseResult]) -> float:
    """Seconds that an edit took, among the others of its group, when the cases were made."""
    pairs = [(case.seconds, len(case.facts)) for case in done]
    return sum(seconds for seconds, _ in pairs) / max(sum(edits for _, edits in pairs), 1)


def added_ms(edited: Edited, bare: Engine, group: Sequence[Case], settings: Settings, questions: int) -> float | None:
    """Time some questions of a group with and without its edits, in milliseconds; None if none of them is answered.

    Args:
        edited: the model with the edits of the group.
        bare: the unmodified model, which must not remember answers.
        group: the records.
        settings: of the run.
        questions: how many to time, spread over the group.
    """
    every = [(case, question) for case in group for question in case.questions]
    step = max(1, len(every) // questions)
    asked = [
        Asked(settings.prompt(question.prompt), case.edits, question.in_scope)
        for case, question in every[::step][:questions]
    ]
    added = [seconds for one in asked if (seconds := _answered(edited, bare, one, settings.sampling)) is not None]
    return 1000 * median(added) if added else None


def _answered(edited: Edited, bare: Engine, asked: Asked, sampling: Sampling) -> float | None:
    try:
        return _added(edited, bare, asked, sampling)
    except EngineError as error:
        if not (refuses(error, bare) or refuses(error, edited.engine)):
            raise
        return None


def _added(edited: Edited, bare: Engine, asked: Asked, sampling: Sampling) -> float:
    _seconds(bare, asked.prompt, sampling)  # so that neither time is the first: a server keeps what it has read
    start = perf_counter()
    given = edited.prepare([asked])[0].prompt
    with_edits = perf_counter() - start + _seconds(edited.engine, given, sampling)
    return with_edits - _seconds(bare, asked.prompt, sampling)


def _seconds(engine: Engine, prompt: Prompt, sampling: Sampling) -> float:
    start = perf_counter()
    engine.generate([prompt], sampling)
    return perf_counter() - start
