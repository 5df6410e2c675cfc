"""Sequences of edits as one picture: each figure, and the perplexity of other text, by how many edits the model has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.editors.measure import FIGURES
from scr.evaluation.report.plots import look_of

_METHODS = ("scr", "rome", "memit", "alphaedit", "ft-m", "r-rome", "come", "lora", "ft-l", "kn")
"""In the order of their looks, which are the same in every picture; others come after them."""

_LOOKS = 90
"""Looks that differ; a table has fewer rows."""

_WORST = 1e10
"""Perplexities above are shown as this: a model is long lost by it, and those that are not would lie on one line."""


def plot(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the picture of the methods that were measured at several lengths.

    Args:
        rows: by method and length, as ``run.py`` writes them.
        path: of the picture.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot, ticker

    shown = [f"{figure}_said" for figure in FIGURES.values()]
    several = {method: by_length for method, by_length in rows.items() if len(by_length) > 1} or rows
    lines = sorted(several.items(), key=lambda pair: _place(pair[0]))  # what ties keeps its order
    styles = styles_of([method for method, _ in lines])
    figure, axes = pyplot.subplots(1, len(shown) + 1, figsize=(14, 3.4), layout="constrained")
    for method, by_length in lines:
        style, lengths = styles[method], [int(length) for length in by_length]
        for axis, shape in zip(axes, shown, strict=False):
            axis.plot(lengths, [by_length[str(length)][shape]["value"] for length in lengths], **style)
        perplexities = [min(by_length[str(length)]["perplexity"], _WORST) for length in lengths]
        axes[-1].plot(lengths, perplexities, **style, clip_on=False)
    for axis, name in zip(axes, (*FIGURES.values(), "perplexity of other text"), strict=True):
        axis.set(title=name, xlabel="edits in sequence", xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(color="#e2e2de")
    for axis in axes[:-1]:
        axis.set_ylim(-0.03, 1.03)
    axes[0].set_ylabel("share of answers, decoded live")
    axes[-1].set_yscale("log")
    axes[-1].set_ylim(top=min(axes[-1].get_ylim()[1], _WORST))
    axes[-1].yaxis.set_major_formatter(lambda value, _: f"{'≥' if value >= _WORST else ''}{value:g}")
    axes[-1].yaxis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(1.5, 0.5)))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def styles_of(methods: Sequence[str]) -> dict[str, dict[str, str]]:
    """By method, its colour, its marker, and its name in a legend: without settings unless they tell two apart."""
    called = [_name(method) for method in methods]
    own = {name: look_of(_place(name)) for name in called if called.count(name) == 1 and name in _METHODS}
    taken = {look["color"] for look in own.values()}
    spare = (look_of(place) for place in range(len(_METHODS), _LOOKS))
    others, styles = iter(sorted(spare, key=lambda look: look["color"] in taken)), {}
    for name, method in zip(called, methods, strict=True):
        styles[method] = (own.get(name) or next(others)) | {"label": name if called.count(name) == 1 else method}
    return styles


def _name(method: str) -> str:
    """A method without its settings."""
    return method.partition(":")[0]


def _place(method: str) -> int:
    return _METHODS.index(_name(method)) if _name(method) in _METHODS else len(_METHODS)
