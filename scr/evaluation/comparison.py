"""Two runs side by side, or two methods of one: differences on the same records, with a paired test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scr.errors import UsageError
from scr.evaluation.combined import paired_harmonic
from scr.evaluation.report.dimensions import Dimension, dimension_place
from scr.evaluation.results import CaseResult, Results, RowKey, Split, read_cases
from scr.evaluation.scores import COMBINED, Column, by_record
from scr.evaluation.statistics import Paired, paired_test

_SPLITS: tuple[Split, ...] = ("raw", "clean")


@dataclass(frozen=True, slots=True)
class Side:
    """What stands on one side of a comparison.

    Attributes:
        run: its folder.
        method: the only method to look at; None is every method, each with itself.
    """

    run: Path
    method: str | None = None

    @classmethod
    def parse(cls, given: str | Path) -> Side:
        """``RUN`` or ``RUN:METHOD``; a method's own option may follow behind another colon (``RUN:scr:cosine``).

        Raises:
            UsageError: there is no such run, or it has no such method.
        """
        text = str(given)
        ends = [len(text), *(place for place in range(len(text) - 1, 0, -1) if text[place] == ":")]
        for end in ends:
            run, method = Path(text[:end]), text[end + 1 :] or None
            if (run / "results.json").is_file():
                side = cls(run, method)
                side.rows()
                return side
        raise UsageError(f"{text} is no run of `scr eval`: give the folder that holds its results.json")

    @property
    def name(self) -> str:
        """In words."""
        run = self.run.resolve().name
        return f"{run}:{self.method}" if self.method else run

    def rows(self) -> list[RowKey]:
        """Its rows.

        Raises:
            UsageError: it has no such method.
        """
        rows = dict.fromkeys(row.key for row in Results.read(self.run).rows)
        if self.method is None:
            return list(rows)
        found = [key for key in rows if key.method == self.method]
        if not found:
            there = ", ".join(dict.fromkeys(key.method for key in rows)) or "none"
            raise UsageError(f"{self.run} has no method {self.method!r}: it has {there}")
        return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure on both sides, over the records that both have.

    Attributes:
        dimension: as in ``results.json``.
        score: ``contains`` or ``exact``.
        first: mean of the first side, over these records; of a harmonic mean, that of its dimensions' means.
        second: the same of the second.
        paired: the second minus the first.
    """

    dimension: str
    score: str
    first: float
    second: float
    paired: Paired


@dataclass(frozen=True, slots=True)
class Compared:
    """A row that both sides have.

    Attributes:
        first: the row of the first side.
        second: the row of the second.
        split: raw or clean.
        records: how many both have, with the same questions.
        only_first: records that the first alone has.
        only_second: records that the second alone has.
        changed: records that both have, with other questions; they are left out.
        differences: by dimension.
    """

    first: RowKey
    second: RowKey
    split: Split
    records: int
    only_first: int
    only_second: int
    changed: int
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides.

    Attributes:
        first: name of the first.
        second: name of the second.
        rows: those that both have, raw and clean.
        only_first: rows that the first alone has.
        only_second: rows that the second alone has.
    """

    first: str
    second: str
    rows: tuple[Compared, ...]
    only_first: tuple[RowKey, ...]
    only_second: tuple[RowKey, ...]

    def to_json(self) -> dict[str, Any]:
        """As one JSON document."""
        return asdict(self)

    def text(self) -> str:
        """As tables for a terminal."""
        return "\n\n".join(_text(self)) + "\n"


def compare(first: str | Path, second: str | Path) -> Comparison:
    """Compare what both have, on the same records.

    Args:
        first: ``RUN``, or ``RUN:METHOD`` for one method alone.
        second: the same; with a method on both sides, these two are compared with each other.

    Raises:
        UsageError: one is no run, has no such method, or they have no row in common.
    """
    sides = Side.parse(first), Side.parse(second)
    mine, theirs = _matched(*sides)
    common = [name for name in mine if name in theirs]
    if not common:
        raise UsageError(
            f"{sides[0].name} and {sides[1].name} have no row in common: data set, model, method and number of edits "
            "have to be the same; RUN:METHOD compares one method with another"
        )
    rows = tuple(row for name in common for row in _compared(sides, mine[name], theirs[name]))
    return Comparison(
        sides[0].name,
        sides[1].name,
        rows,
        tuple(key for name, key in mine.items() if name not in theirs),
        tuple(key for name, key in theirs.items() if name not in mine),
    )


def _matched(first: Side, second: Side) -> tuple[dict[RowKey, RowKey], dict[RowKey, RowKey]]:
    """The rows of both sides by what makes them comparable: the same row, or the same but for the method."""
    if first.method and second.method:
        mine, theirs = ({replace(key, method=""): key for key in side.rows()} for side in (first, second))
    else:
        only = first.method or second.method  # a method on one side alone is compared with itself
        mine, theirs = ({key: key for key in side.rows() if only in (None, key.method)} for side in (first, second))
    return mine, theirs


def _compared(sides: tuple[Side, Side], mine: RowKey, theirs: RowKey) -> Iterator[Compared]:
    first, second = (
        {case.case: case for case in read_cases(side.run, key)} for side, key in zip(sides, (mine, theirs), strict=True)
    )
    shared = [name for name in first if name in second]
    same = [name for name in shared if _questions(first[name]) == _questions(second[name])]
    pairs = _paired([first[name] for name in same], [second[name] for name in same])
    for split in _SPLITS:
        yield Compared(
            mine,
            theirs,
            split,
            len(same),
            len(first) - len(shared),
            len(second) - len(shared),
            len(shared) - len(same),
            tuple(_differences(*pairs, split)) if same else (),
        )


def _paired(first: Sequence[CaseResult], second: Sequence[CaseResult]) -> tuple[list[CaseResult], list[CaseResult]]:
    """The same cases, each question with the flaws that it has on either side: a sample's lint finds fewer."""
    sides: tuple[list[CaseResult], list[CaseResult]] = [], []
    for pair in zip(first, second, strict=True):
        answered = [case.answered for case in pair]
        flaws = [tuple(dict.fromkeys(one.flaws + other.flaws)) for one, other in zip(*answered, strict=True)]
        for side, case in zip(sides, pair, strict=True):
            both = zip(case.answered, flaws, strict=True)
            side.append(replace(case, answered=tuple(replace(one, flaws=found) for one, found in both)))
    return sides


def _questions(case: CaseResult) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.prompt, one.kind, one.answers) for one in case.answered]


def _differences(first: Sequence[CaseResult], second: Sequence[CaseResult], split: Split) -> Iterator[Difference]:
    mine, theirs = by_record(first, split), by_record(second, split)

    def place(column: Column) -> tuple[tuple[int, int], str, str]:
        return dimension_place(column[0]), *column

    shared = {one: ~(np.isnan(mine[one]) | np.isnan(theirs[one])) for one in mine if one in theirs}
    shared = {column: both for column, both in shared.items() if both.any()}
    found = {}
    for column, both in shared.items():
        one, other = mine[column][both], theirs[column][both]
        found[column] = Difference(*column, float(one.mean()), float(other.mean()), paired_test(other, one))
    for name, (parts, needed) in COMBINED.items():
        for score in dict.fromkeys(score for _, score in shared):
            columns = [column for column in shared if column[0] in parts and column[1] == score]
            if len(columns) >= needed:
                sides = (np.column_stack([side[column] for column in columns]) for side in (theirs, mine))
                second_mean, first_mean, paired = paired_harmonic(*sides)
                found[name, score] = Difference(name, score, first_mean, second_mean, paired)
    yield from (found[column] for column in sorted(found, key=place))


def _text(comparison: Comparison) -> Iterator[str]:
    from scr.evaluation.report.markdown import table

    yield (
        f"{comparison.first} (first) and {comparison.second} (second), on the records that both have.\n"
        "Difference: second minus first, in points, with the 95 % bootstrap interval; p of a permutation test within\n"
        "records, not corrected for the number of tests. * marks p < 0.05."
    )
    for row in comparison.rows:
        yield f"{_title(row)}\n{_counts(row)}"
        if row.differences:
            heads = ["Dimension", "Score", "First", "Second", "Difference", "p", "Records"]
            yield table(heads, [_line(one) for one in row.differences])
    for name, keys in ((comparison.first, comparison.only_first), (comparison.second, comparison.only_second)):
        if keys:
            yield "\n".join([f"Only in {name}:", *(f"  {_named(key)}" for key in keys)])


def _title(row: Compared) -> str:
    against = "" if row.first.method == row.second.method else f" and {row.second.method}"
    edits = f"{row.first.edits:,} {'edit' if row.first.edits == 1 else 'edits'}"
    return f"{row.first.dataset} · {row.first.model} · {row.first.method}{against} · {edits}, {row.split}"


def _named(key: RowKey) -> str:
    return f"{key.dataset} · {key.model} · {key.method} · {key.edits:,} {'edit' if key.edits == 1 else 'edits'}"


def _counts(row: Compared) -> str:
    parts = [f"{row.records:,} records in both"]
    for number, words in (
        (row.only_first, "only in the first"),
        (row.only_second, "only in the second"),
        (row.changed, "left out, because their questions differ"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    return "; ".join(parts)


def _line(one: Difference) -> list[str]:
    dimension = Dimension.of(one.dimension)
    scale, places = (100, 1) if dimension.share else (1, 2)

    def figure(value: float, sign: str = "") -> str:
        return f"{value * scale:{sign}.{places}f}"

    paired = one.paired
    star = "*" if paired.p < 0.05 else " "
    label = f"{dimension.heading(one.score)}{', right after' if dimension.group == 'after' else ''}"
    return [
        label,
        one.score,
        figure(one.first),
        figure(one.second),
        f"{figure(paired.difference, '+')} [{figure(paired.low, '+')}, {figure(paired.high, '+')}]",
        f"{'<0.001' if paired.p < 0.001 else f'{paired.p:.3f}'}{star}",
        f"{paired.n:,}",
    ]
