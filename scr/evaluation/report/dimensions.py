"""What is measured, in words and in order; the same in every form of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from scr.evaluation.judging import Judged, Judgement
from scr.evaluation.lint import RULES
from scr.evaluation.results import Interval, Results, Row
from scr.evaluation.scores import AT_BEST

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
_PRESERVATION = "locality_preservation"
_SAME = {"contains": "normalised", "exact": "byte for byte"}
_ADDED = "added_ms_per_query"
ALL_SCORES = ("contains", "exact")
REFERENCES = ("bare", "oracle")
"""Rows to compare with; they take no part in which row is best."""

BEST_COSINE = "cosine at its best"
"""A line of the scope table that is no method: what cosine does at the threshold that is best on these questions."""

SCOPE_NOTE = (
    "Per cent of questions, for methods that weigh or show facts. Recall, precision, wrong fact and false fire are of "
    "what was shown. AUROC and average precision rank the questions by their highest score, where the score decides. "
    "Recall at 1 and 5: a right fact is among the so many that score highest; retrieval recall: among all that were "
    "weighed."
)
COSINE_NOTES = {
    "there": "Cosine at its best: the threshold of the highest balanced accuracy on these very questions flatters it.",
    "missing": "Cosine at its best threshold is missing: the cases keep scores, and cosines are scores of the methods "
    "scr:cosine and rag alone. Run one of them beside.",
}
"""What else is to be said, where there is a line for cosine and where there is none."""

_COSINES = ("scr:cosine", "rag")
_BY_KIND = "false_fire_"
_SCOPE_LABELS = {"auroc": "AUROC"}


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

    def heading(self, score: str) -> str:
        """The label over figures of one score: what preservation is, and so the mean of it, depends on that."""
        if self.name.removeprefix(AFTER) == _PRESERVATION:
            return f"{self.label} ({_SAME[score]})"
        return self.label


def dimensions_of(rows: Iterable[Row]) -> list[Dimension]:
    """The columns that these rows have: the main ones first, the others in the order they come."""
    there = dict.fromkeys(name for row in rows for name in row.scores)
    return [Dimension.of(name) for name in sorted(there, key=dimension_place)]


def dimension_place(name: str) -> tuple[int, int]:
    """Where a column stands among others; those of equal place keep their order."""
    return _GROUPS.index(Dimension.of(name).group), list(_MAIN).index(name) if name in _MAIN else 0


def scope_label(name: str) -> str:
    """An outcome of the scope decision in words."""
    if name.startswith(_BY_KIND):
        return f"False fire: {name.removeprefix(_BY_KIND).replace('_', ' ')}"
    return _SCOPE_LABELS.get(name, name.replace("_", " ").capitalize())


def scope_names(rows: Iterable[Row]) -> list[str]:
    """The columns of the scope table, those by kind of near-miss last."""
    return sorted(dict.fromkeys(name for row in rows for name in row.scope), key=lambda name: name.startswith(_BY_KIND))


def scope_rows(rows: Sequence[Row]) -> list[Row]:
    """The lines of the scope table: methods that weigh or show facts, and cosine at its best beside those of a kind."""
    best = {}
    for method in reversed(_COSINES):  # the first one is to win
        for row in rows:
            if row.method == method and (there := _at_best(row.scope)):
                best[replace(row.key, method=""), row.split] = replace(row, method=BEST_COSINE, scope=there)
    own = [replace(row, scope=_own(row.scope)) for row in rows if row.scope]
    return [*own, *(replace(row, scores={}, cost={}) for row in best.values())]


def _own(scope: Mapping[str, Interval]) -> dict[str, Interval]:
    return {name: one for name, one in scope.items() if not name.startswith(AT_BEST)}


def _at_best(scope: Mapping[str, Interval]) -> dict[str, Interval]:
    """What does not hang on a threshold, and what does at the best one."""
    best = {name.removeprefix(AT_BEST): one for name, one in scope.items() if name.startswith(AT_BEST)}
    return {**best, **{name: one for name, one in _own(scope).items() if name not in best}} if best else {}


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


UNANSWERED = ("Data set", "Model", "Method", "Edits", "Questions", "The first one")
"""Heads of the table of questions without an answer."""

UNANSWERED_NOTE = "The model refuses these questions however often they are asked; each counts as wrong."


def unanswered_lines(results: Results) -> list[list[str]]:
    """How many questions of each row got no answer, and why the first one did not."""
    counts: dict[tuple[str, str, str, int], list[str]] = {}
    for one in results.errors:
        counts.setdefault((one.dataset, one.model, one.method, one.edits), []).append(one.error)
    return [[*map(str, key), f"{len(errors):,}", errors[0]] for key, errors in counts.items()]


def judged_lines(judgement: Judgement) -> list[list[str]]:
    """The table's lines, shares as per cent."""
    return [
        [
            one.key.dataset,
            one.key.model,
            one.key.method,
            f"{one.key.edits:,}",
            f"{one.answers:,}",
            _judged_right(one),
            f"{one.exact * 100:.1f}",
            "–" if one.agreement.kappa is None else f"{one.agreement.kappa:.2f}",
            f"{one.agreement.errors:,}",
        ]
        for one in judgement.rows
    ]


def _judged_right(one: Judged) -> str:
    between = f" [{one.interval.low * 100:.1f}, {one.interval.high * 100:.1f}]" if one.interval else ""
    return f"{one.right * 100:.1f}{between}"


LINT_NOTE = (
    "Questions that break a rule of the lint. A defect counts in the raw scores and not in the clean ones; a notice is "
    "listed only, and counts in both."
)


def rule_label(rule: str) -> str:
    """A rule of the lint in words; a notice is marked as one."""
    words = rule.replace("_", " ")
    return f"{words} (notice)" if rule in RULES and RULES[rule][0] == "notice" else words


def summary(results: Results) -> dict[str, list[str]]:
    """What was crossed with what: data sets, models, methods and numbers of edits, in the order they come."""
    keys = [row.key for row in results.rows]
    return {
        "datasets": list(dict.fromkeys(key.dataset for key in keys)),
        "models": list(dict.fromkeys(key.model for key in keys)),
        "methods": list(dict.fromkeys(key.method for key in keys)),
        "edits": [str(number) for number in sorted({key.edits for key in keys})],
    }
