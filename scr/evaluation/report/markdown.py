"""The tables as Markdown that lines up in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from scr.evaluation.judging import Judgement
from scr.evaluation.report.dimensions import (
    ALL_SCORES,
    BEST_COSINE,
    COSINE_NOTES,
    JUDGED,
    LINT_NOTE,
    REFERENCES,
    SCOPE_NOTE,
    UNANSWERED,
    UNANSWERED_NOTE,
    Dimension,
    cost_label,
    costs_of,
    dimensions_of,
    flattened,
    judged_lines,
    rule_label,
    scope_label,
    scope_names,
    scope_rows,
    score_of,
    summary,
    unanswered_lines,
)
from scr.evaluation.results import Interval, Results, Row

_GROUPS = {
    "main": "",
    "kinds": "by kind",
    "after": "right after each edit",
    "other": "further figures",
    "legacy": "legacy, teacher-forced",
}


def text(name: str, results: Results, judgement: Judgement | None = None) -> str:
    """The report of a run.

    Args:
        name: the run's.
        results: its table.
        judgement: a language model's word on the answers.
    """
    parts = [f"# Evaluation: {_inline(name)}", _opening(results)]
    rows = sorted(results.rows, key=lambda row: _place(results, row))
    for (dataset, model), found in groupby(rows, key=lambda row: (row.dataset, row.model)):
        parts.append(f"## {_inline(dataset)} · {_inline(model)}")
        for _, some in groupby(found, key=lambda row: row.edits):
            parts += _tables(list(some))
    if judgement:
        parts += [f"## Judged by {_inline(judgement.judge)}", table(JUDGED, judged_lines(judgement))]
    if lines := unanswered_lines(results):
        parts += ["## Questions without an answer", UNANSWERED_NOTE, table(UNANSWERED, lines, numbers=False)]
    parts += ["## Defects of the data", _lint(results)]
    for title, record in (("Parameters", results.parameters), ("Versions, commit and hardware", results.made)):
        lines = [[key.replace("_", " "), value] for key, value in flattened(record)]
        parts += [f"## {title}", table(["", ""], lines, numbers=False) if lines else "Not recorded."]
    return "\n\n".join(parts) + "\n"


def _place(results: Results, row: Row) -> tuple[int, int, int]:
    names = summary(results)
    return names["datasets"].index(row.dataset), names["models"].index(row.model), row.edits


def _opening(results: Results) -> str:
    counts = summary(results)
    lines = [
        "Scores are per cent of the records with the 95 % bootstrap interval over records; free, greedy generation.",
        "Bold: the best method; bare (the unmodified model) and oracle (given exactly the record's own fact) are",
        "references. *Raw*: every question. *Clean*: without those that the data set has wrong.",
        "Preservation: the answer equals the unmodified model's, byte for byte (exact) or once normalised (contains);",
        "the harmonic mean of a table is of that table's own preservation.",
        "`report.html` beside this file has the same tables to sort, plots, and every kind of case to page through.",
        "",
        *(f"- {noun}: {', '.join(map(_inline, counts[key])) or 'none'}" for noun, key in
          (("Data sets", "datasets"), ("Models", "models"), ("Methods", "methods"), ("Edits at once", "edits"))),
    ]  # fmt: skip
    return "\n".join(lines)


def _tables(rows: Sequence[Row]) -> list[str]:
    """Of one data set, model and number of edits."""
    edits = rows[0].edits
    title = f"{edits:,} {'edit' if edits == 1 else 'edits'}"
    parts: list[str] = []
    for split in dict.fromkeys(row.split for row in rows):
        some = [row for row in rows if row.split == split]
        for group, words in _GROUPS.items():
            columns = [one for one in dimensions_of(some) if one.group == group]
            for score in ALL_SCORES if group != "legacy" else ("exact",):
                if any(score_of(row, one.name, score) for row in some for one in columns):
                    named = ", ".join(filter(None, [title, split, score if group != "legacy" else "", words]))
                    parts += [f"### {named}", _scores(some, columns, score)]
        if any(row.scope for row in some):
            parts += [f"### {title}, {split}, scope", *_scope(some)]
    # What a method costs does not depend on the split.
    once = list({row.key: row for row in reversed(rows)}.values())[::-1]
    if costs_of(once):
        parts += [f"### {title}, cost", _costs(once)]
    return parts


def _scores(rows: Sequence[Row], columns: Sequence[Dimension], score: str) -> str:
    def best(dimension: Dimension) -> float | None:
        found = [score_of(row, dimension.name, score) for row in rows if row.method not in REFERENCES]
        values = [one.value for one in found if one]
        return (min if dimension.less else max)(values) if len({*values}) > 1 else None

    tops = {one.name: best(one) for one in columns}

    def cell(row: Row, dimension: Dimension) -> str:
        one = score_of(row, dimension.name, score)
        if one is None:
            return "–"
        words = with_interval(one, share=dimension.share)
        top = tops[dimension.name]
        return f"**{words}**" if row.method not in REFERENCES and one.value == top else words

    lines = [[row.method, *(cell(row, one) for one in columns)] for row in rows]
    return table(["Method", *(one.heading(score) for one in columns)], lines)


def _scope(rows: Sequence[Row]) -> list[str]:
    shown = scope_rows(rows)
    names = scope_names(shown)
    lines = [
        [row.method, *(with_interval(row.scope[name]) if name in row.scope else "–" for name in names)] for row in shown
    ]
    cosine = "there" if any(row.method == BEST_COSINE for row in shown) else "missing"
    return [table(["Method", *map(scope_label, names)], lines), f"{SCOPE_NOTE} {COSINE_NOTES[cosine]}"]


def _costs(rows: Sequence[Row]) -> str:
    names = costs_of(rows)

    def cell(row: Row, name: str) -> str:
        value = row.cost.get(name)
        return "–" if value is None else number(value)

    lines = [[row.method, *(cell(row, name) for name in names)] for row in rows]
    return table(["Method", *map(cost_label, names)], lines)


def _lint(results: Results) -> str:
    rules = sorted({rule for counts in results.lint.values() for rule in counts})
    if not rules:
        return "The lint found none, or did not run."
    lines = [[dataset, *(f"{counts.get(rule, 0):,}" for rule in rules)] for dataset, counts in results.lint.items()]
    return f"{LINT_NOTE}\n\n{table(['Data set', *map(rule_label, rules)], lines)}"


def with_interval(one: Interval, share: bool = True) -> str:
    """``97.4 [96.1, 98.5]``: a share as per cent, anything else with two decimals."""
    if share:
        return f"{one.value * 100:.1f} [{one.low * 100:.1f}, {one.high * 100:.1f}]"
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


def number(value: float) -> str:
    """A figure with as many digits as say something."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(heads: Sequence[str], lines: Sequence[Sequence[str]], numbers: bool = True) -> str:
    """A table whose columns line up, by how wide a terminal shows each text.

    Args:
        heads: of the columns.
        lines: as many texts each.
        numbers: whether every column but the first is aligned to the right.
    """
    from rich.cells import cell_len

    cells = [[_inline(one).replace("|", "\\|") for one in line] for line in (heads, *lines)]
    widths = [max(3, *(cell_len(line[at]) for line in cells)) for at in range(len(heads))]

    def padded(one: str, at: int) -> str:
        space = " " * (widths[at] - cell_len(one))
        return space + one if numbers and at else one + space

    rule = ["-" * (width - 1) + (":" if numbers and at else "-") for at, width in enumerate(widths)]
    bars: Callable[[Sequence[str]], str] = lambda texts: f"| {' | '.join(texts)} |"  # noqa: E731
    shown = [bars([padded(one, at) for at, one in enumerate(line)]) for line in cells]
    return "\n".join([shown[0], bars(rule), *shown[1:]])


def _inline(text: str) -> str:
    """A name on one line, in which nothing is taken for HTML or for code."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("`", "'")
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)  # what no tag can begin with stays: p <0.001 is read in terminals
