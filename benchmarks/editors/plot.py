"""Sequences of edits as one picture: each figure, and the perplexity of other text, by how many edits the model has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.editors.measure import FIGURES

_COLOURS = ("#0b6bb3", "#c4500c", "#0a8a66", "#a94f8a", "#a37300", "#2f96cf", "#6a54b8", "#7d3f1d")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")


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
    lines = {method: by_length for method, by_length in rows.items() if len(by_length) > 1} or rows
    called = [method.partition(":")[0] for method in lines]
    figure, axes = pyplot.subplots(1, len(shown) + 1, figsize=(13, 3.4))
    for place, (method, by_length) in enumerate(lines.items()):
        # Settings are left out of the legend unless they tell two lines apart.
        label = called[place] if called.count(called[place]) == 1 else method
        style = {"color": _COLOURS[place % len(_COLOURS)], "marker": _MARKERS[place % len(_MARKERS)], "label": label}
        lengths = [int(length) for length in by_length]
        for axis, name in zip(axes, shown, strict=False):
            axis.plot(lengths, [by_length[str(length)][name]["value"] for length in lengths], **style)
        axes[-1].plot(lengths, [by_length[str(length)]["perplexity"] for length in lengths], **style)
    for axis, name in zip(axes, (*FIGURES.values(), "perplexity of other text"), strict=True):
        axis.set(title=name, xlabel="edits in sequence", xscale="log")
        axis.grid(color="#e2e2de")
    for axis in axes[:-1]:
        axis.set_ylim(-0.03, 1.03)
    axes[0].set_ylabel("share of answers, decoded live")
    axes[-1].set_yscale("log")
    axes[-1].yaxis.set_major_formatter("{x:g}")
    axes[-1].yaxis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(1.5, 0.5)))
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
