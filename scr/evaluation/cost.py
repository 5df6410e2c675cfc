"""What a method costs per query: measured apart, one question at a time, so that no batch hides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from scr.editors import Asked, Edited, Editor
from scr.engines import Engine, Prompt, Sampling
from scr.evaluation.cases import Case
from scr.evaluation.settings import Settings


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method takes.

    Attributes:
        seconds_per_edit: to apply an edit among the others of its group.
        added_ms_per_query: median over questions of the time to an answer beyond the unmodified model's on the same
            question, asked one by one.
        peak_bytes: most memory that an application held beyond the model's; None where it is not measured.
    """

    seconds_per_edit: float
    added_ms_per_query: float
    peak_bytes: int | None


def measure(
    editor: Editor, bare: Engine, cases: Sequence[Case], settings: Settings, edits: int, questions: int
) -> Cost:
    """Apply the edits of the first group once more, and time some of its questions with and without them.

    Args:
        editor: the method.
        bare: the unmodified model, which must not remember answers.
        cases: of the data set.
        settings: of the run.
        edits: records in a group.
        questions: how many to time, spread over the group.
    """
    group = cases[:edits]
    every = [(case, question) for case in group for question in case.questions]
    step = max(1, len(every) // questions)
    asked = [
        Asked(settings.prompt(question.prompt), case.edits, question.in_scope)
        for case, question in every[::step][:questions]
    ]
    with editor.apply([edit for case in group for edit in case.edits]) as edited:
        engine = edited.engine if editor.traits.changes_weights else bare
        added = [_added(edited, engine, bare, one, settings.sampling) for one in asked]
        reports = edited.reports
        peaks = [report.peak_bytes for report in reports if report.peak_bytes is not None]
        seconds = sum(report.seconds for report in reports) / max(sum(report.edits for report in reports), 1)
    return Cost(seconds, 1000 * median(added), max(peaks, default=None))


def _added(edited: Edited, engine: Engine, bare: Engine, asked: Asked, sampling: Sampling) -> float:
    _seconds(bare, asked.prompt, sampling)  # so that neither time is the first: a server keeps what it has read
    start = perf_counter()
    given = edited.prepare([asked])[0].prompt
    with_edits = perf_counter() - start + _seconds(engine, given, sampling)
    return with_edits - _seconds(bare, asked.prompt, sampling)


def _seconds(engine: Engine, prompt: Prompt, sampling: Sampling) -> float:
    start = perf_counter()
    engine.generate([prompt], sampling)
    return perf_counter() - start
