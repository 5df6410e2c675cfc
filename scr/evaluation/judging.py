"""A judge's word on every answer of a run, beside exact match."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from scr.engines import Engine
from scr.errors import UsageError
from scr.evaluation.evaluate import write_document
from scr.evaluation.judge import Agreement, Item, Verdict, agreement, judge
from scr.evaluation.remembered import Remembered
from scr.evaluation.results import Interval, Results, RowKey, read_cases, slug
from scr.evaluation.scores import ratio
from scr.evaluation.settings import held

_FILE = "judged.json"
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Judged:
    """A row as a judge sees it.

    Attributes:
        key: the row.
        answers: how many were judged: those for which right answers are known.
        right: share of them that the judge calls correct; one without a verdict is none.
        exact: share of them that match exactly.
        agreement: of the judge with exact match.
        interval: ``right`` again, with its interval over records; None where nothing was judged, or by an earlier scr.
    """

    key: RowKey
    answers: int
    right: float
    exact: float
    agreement: Agreement
    interval: Interval | None = None

    def to_json(self) -> dict[str, Any]:
        """As in ``judged.json``."""
        return {**asdict(self.key), **{name: value for name, value in asdict(self).items() if name != "key"}}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Judged:
        """From ``judged.json``."""
        key = RowKey(*(record[field.name] for field in fields(RowKey)))
        interval = Interval(**record["interval"]) if record.get("interval") else None
        agreed = Agreement(**record["agreement"])
        return cls(key, record["answers"], record["right"], record["exact"], agreed, interval)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's word on a run.

    Attributes:
        judge: the model.
        rows: in the order of the results.
    """

    judge: str
    rows: tuple[Judged, ...]

    @classmethod
    def read(cls, run: Path) -> Judgement | None:
        """The judgement that lies in a run; None where none was asked for.

        Raises:
            UsageError: it is damaged.
        """
        path = run / _FILE
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return cls(record["judge"], tuple(map(Judged.from_json, record["rows"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{path} is damaged: remove it, and judge the run again") from None

    def write(self, run: Path) -> None:
        """Keep it in the run."""
        write_document(run / _FILE, {"judge": self.judge, "rows": [one.to_json() for one in self.rows]})


def judge_run(
    run: Path, engine: Engine, progress: Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
) -> Judgement:
    """Judge every answer of a run that has right ones, and write ``judged.json``; nothing is judged twice.

    Raises:
        UsageError: the folder is no run, or another process is at work on it.
    """
    keys = list(dict.fromkeys(row.key for row in Results.read(run).rows))
    with held(run):
        remembered = Remembered(engine, run / "answers" / f"judge-{slug(engine.model)}.jsonl")
        try:
            judgement = Judgement(engine.model, tuple(_judged(run, key, remembered, progress) for key in keys))
        finally:
            remembered.close()
        judgement.write(run)
    return judgement


def _judged(
    run: Path,
    key: RowKey,
    engine: Engine,
    progress: Callable[[str, int], AbstractContextManager[Callable[[int], None]]],
) -> Judged:
    records = [[one for one in case.answered if one.exact is not None] for case in read_cases(run, key)]
    answered = list(chain.from_iterable(records))
    items = [Item(one.prompt, one.answers, one.answer) for one in answered]
    verdicts = []
    with progress(f"judging {key.method} · {key.dataset}", len(items)) as advance:
        for start in range(0, len(items), _AT_ONCE):
            verdicts += judge(engine, items[start : start + _AT_ONCE])
            advance(len(items[start : start + _AT_ONCE]))
    exact = [bool(one.exact) for one in answered]
    count = max(len(items), 1)
    points = sum(verdict.point for verdict in verdicts) / count
    interval = _interval([len(record) for record in records], verdicts) if items else None
    return Judged(key, len(items), points, sum(exact) / count, agreement(verdicts, exact), interval)


def _interval(sizes: Sequence[int], verdicts: Sequence[Verdict]) -> Interval:
    """The share of answers that are judged right, from records of so many answers each."""
    points = iter(verdicts)
    return ratio(np.array([(sum(one.point for one in islice(points, size)), size) for size in sizes], float))
