"""The plots as files, for papers and slides; the page draws its own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scr.evaluation.report.dimensions import AFTER, REFERENCES, Dimension, added_ms, dimensions_of, score_of
from scr.evaluation.results import Results, Row, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (
    "#0b6bb3", "#c4500c", "#0a8a66", "#a94f8a", "#a37300", "#2f96cf", "#6a54b8", "#7d3f1d", "#6b6b6b", "#c22560",
)  # fmt: skip
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<")
_GREYS = {"bare": "#8b9198", "oracle": "#4b5158"}
_SCORE = "contains"
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#9aa0a6",
    "grid.color": "#e2e2de",
    "axes.grid": True,
    "axes.axisbelow": True,
    "legend.frameon": False,
    # A method called "a$b$" is no formula; and the same run gives the same file.
    "text.parse_math": False,
    "svg.hashsalt": "scr",
    "svg.fonttype": "none",
}


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write each plot as SVG and PNG: scores, retention and cost for each data set and model, raw, contains.

    Returns:
        The files.

    Raises:
        OSError: one cannot be written.
    """
    import matplotlib as mpl

    written: list[Path] = []
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The font has no emoji; a name with one is still worth a plot.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        for name, figure in _figures(results):
            folder.mkdir(parents=True, exist_ok=True)
            for kind in ("svg", "png"):
                path = folder / f"{name}.{kind}"
                figure.savefig(path, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
                written.append(path)
    return written


def look_of(place: int) -> dict[str, str]:
    """Colour and marker of the method at a place; none of the first 90 has those of another."""
    return {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)]}


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    raw = [row for row in results.rows if row.split == "raw"]
    methods = list(dict.fromkeys(row.method for row in raw))
    datasets, models = (list(dict.fromkeys(getattr(row, name) for row in raw)) for name in ("dataset", "model"))
    for dataset, model in product(datasets, models):
        rows = [row for row in raw if (row.dataset, row.model) == (dataset, model)]
        columns = [one for one in dimensions_of(rows) if one.group == "main"]
        if not rows or not columns:
            continue
        title = f"{slug(dataset)}-{slug(model)}"
        most = max(row.edits for row in rows)
        final = [row for row in rows if row.edits == most]
        heading = f"{dataset} · {model}"
        edits = f"{most:,} {'edit' if most == 1 else 'edits'}"
        yield f"scores-{title}", _scores(final, columns, f"{heading} · {edits}", methods)
        if len({row.edits for row in rows}) > 1:
            yield f"retention-{title}", _retention(rows, columns, heading, methods)
        if sum(added_ms(row) is not None for row in final) > 1:
            yield f"cost-{title}", _cost(final, columns[-1], f"{heading} · {edits}", methods)


def _look(method: str, methods: Sequence[str]) -> dict[str, Any]:
    if method in _GREYS:
        return {"color": _GREYS[method], "marker": "o" if method == "bare" else "D", "markerfacecolor": "white"}
    return dict(look_of([one for one in methods if one not in REFERENCES].index(method)))


def _axes(columns: Sequence[Dimension], heading: str, height: float, wide: float) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide * len(columns) + 1, height), layout="constrained")
    figure.suptitle(heading, x=0.01, ha="left", fontsize=11)
    axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for one, axis in zip(columns, axes, strict=True):
        axis.set_title(one.heading(_SCORE))
    return figure, list(axes)


def _ends(row: Row, dimension: str) -> tuple[float, tuple[float, float]] | None:
    """A value in per cent, and how far its interval reaches to either side."""
    one = score_of(row, dimension, _SCORE)
    if one is None:
        return None
    return one.value * 100, (max(0.0, one.value - one.low) * 100, max(0.0, one.high - one.value) * 100)


def _scores(rows: Sequence[Row], columns: Sequence[Dimension], heading: str, methods: Sequence[str]) -> Figure:
    figure, axes = _axes(columns, heading, 1.2 + 0.28 * len(rows), 2.1)
    for column, axis in zip(columns, axes, strict=True):
        for place, row in enumerate(rows):
            found = _ends(row, column.name)
            if found:
                look = _look(row.method, methods)
                axis.errorbar(found[0], place, xerr=[[found[1][0]], [found[1][1]]], capsize=2.5, linestyle="", **look)
        axis.set_xlim(-3, 103)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(rows)), [row.method for row in rows])
    figure.supxlabel(f"per cent of records, scored by {_SCORE}, with 95 % interval", fontsize=8.5)
    return figure


def _retention(rows: Sequence[Row], columns: Sequence[Dimension], heading: str, methods: Sequence[str]) -> Figure:
    from matplotlib.ticker import NullFormatter, NullLocator

    figure, axes = _axes(columns, heading, 3.2, 2.3)
    counts = sorted({row.edits for row in rows})
    for column, axis in zip(columns, axes, strict=True):
        for method in methods:
            points = [(row.edits, _ends(row, column.name)) for row in rows if row.method == method]
            known = sorted((edits, *ends) for edits, ends in points if ends)
            if known:
                reach = [[ends[side] for _, _, ends in known] for side in (0, 1)]
                line = "--" if method in REFERENCES else "-"
                x, y = [edits for edits, _, _ in known], [value for _, value, _ in known]
                axis.errorbar(x, y, yerr=reach, capsize=2, ms=4, lw=1.3, linestyle=line, **_look(method, methods))
            at_once = [(row.edits, _ends(row, f"{AFTER}{column.name}")) for row in rows if row.method == method]
            if fresh := sorted((edits, ends[0]) for edits, ends in at_once if ends):
                look = {**_look(method, methods), "marker": ""}
                axis.plot(*zip(*fresh, strict=True), linestyle=":", lw=1.3, label="_", **look)
        axis.set_xscale("log")
        axis.set_xticks(counts, [f"{count:,}" for count in counts])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_ylim(-3, 103)
    _legend(figure, methods)
    dotted = any(name.startswith(AFTER) for row in rows for name in row.scores)
    words = "; dotted: right after the record's own edit" if dotted else ""
    figure.supxlabel(f"edits in force at once; scored by {_SCORE}{words}", fontsize=8.5)
    return figure


def _cost(rows: Sequence[Row], column: Dimension, heading: str, methods: Sequence[str]) -> Figure:
    from matplotlib.ticker import NullLocator

    figure, (axis,) = _axes([column], heading, 3.8, 5.2)
    drawn = []
    for row in rows:
        found, added = _ends(row, column.name), added_ms(row)
        if found and added is not None:
            reach = [[found[1][0]], [found[1][1]]]
            axis.errorbar(max(0.0, added), found[0], yerr=reach, capsize=2, linestyle="", **_look(row.method, methods))
            drawn.append(row.method)
    axis.set_xscale("symlog", linthresh=1)
    most = max([1.0, *(added_ms(row) or 0.0 for row in rows)])
    ticks = [0.0, *(10.0**power for power in range(9) if 10**power <= most * 2)]
    axis.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(left=-0.1)
    axis.set_ylim(-3, 103)
    axis.set_xlabel("added milliseconds per query")
    axis.set_ylabel(f"per cent of records, scored by {_SCORE}")
    _legend(figure, drawn, methods)
    return figure


def _legend(figure: Figure, shown: Sequence[str], methods: Sequence[str] | None = None) -> None:
    """Beside the axes, so that it never covers a point."""
    from matplotlib.lines import Line2D

    handles = [
        # A leading underscore would hide the name.
        Line2D([], [], linestyle="", label=f"\u200b{method}" if method.startswith("_") else method,
               **_look(method, methods or shown))
        for method in dict.fromkeys(shown)
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside right center")
