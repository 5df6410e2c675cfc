"""What is measured, in words and in order; the same in every form of the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scr.evaluation.judging import Judgement
from scr.evaluation.results import Interval, Results, Row

Group: TypeAlias = Literal["main", "kinds", "after", "legacy", "other"]
"""``after``: right after a record's own edit, before any later one."""

_MAIN = {
    "reliability": "Reliability",
    "generalization": "Generalization",
    "portability": "Portability",
    "locality_preservation": "Preservation",
    "locality_correctness": "Correctness",
    "harmonic_mean": "Harmonic mean",
}
_COSTS = {
    "seconds_per_edit": "Seconds per edit",
    "added_ms_per_query": "Added ms per query",
    "model_calls_per_query": "Model calls per query",
    "peak_bytes": "Peak bytes",
}
_GROUPS = ("main", "kinds", "after", "other", "legacy")
_NO_SHARE = ("fluency", "entropy")
AFTER = "right_after_"
"""What the name of a score begins with that was taken right after the record's own edit."""
_DRAWDOWN = "legacy_drawdown"
_ADDED = "added_ms_per_query"
ALL_SCORES = ("contains", "exact")
REFERENCES = ("bare", "oracle")
"""Rows to compare with; they take no part in which row is best."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column of the table.

    Attributes:
        name: as in ``results.json``.
        label: for people.
        group: which table it stands in.
        share: whether it lies between 0 and 1, and is shown as per cent.
        less: whether less is better.
    """

    name: str
    label: str
    group: Group
    share: bool
    less: bool = False

    @classmethod
    def of(cls, name: str) -> Dimension:
        """The column of a name."""
        share = not any(word in name for word in _NO_SHARE)
        if name in _MAIN:
            return cls(name, _MAIN[name], "main", share)
        if name.startswith(AFTER):
            return cls(name, cls.of(name.removeprefix(AFTER)).label, "after", share)
        prefix, _, rest = name.partition("_")
        words = rest.replace("_", " ")
        if prefix == "legacy":
            return cls(name, words.capitalize(), "legacy", share, less=name == _DRAWDOWN)
        if prefix in ("portability", "locality") and rest:
            return cls(name, f"{prefix.capitalize()}: {words}", "kinds", share)
        return cls(name, name.replace("_", " ").capitalize(), "other", share)


def dimensions_of(rows: Iterable[Row]) -> list[Dimension]:
    """The columns that these rows have: the main ones first, the others in the order they come."""
    there = dict.fromkeys(name for row in rows for name in row.scores)
    return [Dimension.of(name) for name in sorted(there, key=dimension_place)]


def dimension_place(name: str) -> tuple[int, int]:
    """Where a column stands among others; those of equal place keep their order."""
    return _GROUPS.index(Dimension.of(name).group), list(_MAIN).index(name) if name in _MAIN else 0


def cost_label(name: str) -> str:
    """A cost in words."""
    return _COSTS.get(name, name.replace("_", " ").capitalize())


def costs_of(rows: Iterable[Row]) -> list[str]:
    """The costs that any of these rows has."""
    there = dict.fromkeys(name for row in rows for name, value in row.cost.items() if value is not None)
    return sorted(there, key=lambda name: list(_COSTS).index(name) if name in _COSTS else len(_COSTS))


def added_ms(row: Row) -> float | None:
    """What a query takes longer than with the unmodified model; nothing for that model itself."""
    return row.cost.get(_ADDED, 0.0 if row.method == REFERENCES[0] else None)


def score_of(row: Row, dimension: str, score: str) -> Interval | None:
    """A figure; a legacy dimension has one figure only, which stands under either score."""
    figures = row.scores.get(dimension, {})
    return figures.get(score) or (figures.get("exact") if dimension.startswith("legacy_") else None)


def flattened(record: object, prefix: str = "") -> list[tuple[str, str]]:
    """Nested parameters as lines: ``versions.torch`` and its value in words."""
    if isinstance(record, dict):
        return [
            line
            for key, value in record.items()
            for line in flattened(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(record, list | tuple):
        return [(prefix, ", ".join(str(one) for one in record) or "none")]
    words: dict[object, str] = {None: "not given", True: "yes", False: "no", "": "none"}
    return [(prefix, words[record] if record is None or record == "" or isinstance(record, bool) else str(record))]


JUDGED = ("Data set", "Model", "Method", "Edits", "Answers", "Judged right", "Exact", "Kappa", "No verdict")
"""Heads of the table of a judge's word; ``Kappa`` is Cohen's, of the judge with exact match."""


def judged_lines(judgement: Judgement) -> list[list[str]]:
    """The table's lines, shares as per cent."""
    return [
        [
            one.key.dataset,
            one.key.model,
            one.key.method,
            f"{one.key.edits:,}",
            f"{one.answers:,}",
            f"{one.right * 100:.1f}",
            f"{one.exact * 100:.1f}",
            "–" if one.agreement.kappa is None else f"{one.agreement.kappa:.2f}",
            f"{one.agreement.errors:,}",
        ]
        for one in judgement.rows
    ]


def summary(results: Results) -> dict[str, list[str]]:
    """What was crossed with what: data sets, models, methods and numbers of edits, in the order they come."""
    keys = [row.key for row in results.rows]
    return {
        "datasets": list(dict.fromkeys(key.dataset for key in keys)),
        "models": list(dict.fromkeys(key.model for key in keys)),
        "methods": list(dict.fromkeys(key.method for key in keys)),
        "edits": [str(number) for number in sorted({key.edits for key in keys})],
    }
