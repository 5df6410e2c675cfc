"""Pictures of the scope decision: precision against recall, and scores by kind of query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scr.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, slots=True)
class Ranking:
    """Queries as one classifier ranks them.

    Attributes:
        name: the classifier's.
        scores: the highest score of each query, shape (n,).
        in_scope: whether a fact governs it, shape (n,).
        kinds: what kind of query each is.
    """

    name: str
    scores: NDArray[np.floating]
    in_scope: NDArray[np.bool_]
    kinds: Sequence[str]


def draw(panels: Mapping[str, Sequence[Ranking]], stem: Path) -> list[Path]:
    """Write STEM-precision.png and STEM-scores.png, a panel for each set of queries with one in scope.

    Args:
        panels: rankings of one set's queries, by the set's name; the last ranking is shown by kind.
        stem: path without suffix.

    Returns:
        The files; none where no query is in scope.

    Raises:
        MissingExtra: matplotlib is not installed.
        OSError: a file cannot be written.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtra("eval", "plots of the scope decision")
    from matplotlib.figure import Figure

    shown = {name: rankings for name, rankings in panels.items() if rankings[-1].in_scope.any()}
    written = []
    for name, panel in (("precision", _precision), ("scores", _scores)) if shown else ():
        figure = Figure(figsize=(4.4 * len(shown), 4.2), layout="tight")
        for axes, (title, rankings) in zip(
            figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
        ):
            panel(axes, rankings)
            axes.set_title(title, parse_math=False)
        written.append(stem.with_name(f"{stem.name}-{name}.png"))
        figure.savefig(written[-1], dpi=100)
    return written


def precision_recall(ranking: Ranking) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision at each rank, best scores first, each of shape (n,)."""
    labels = ranking.in_scope
    hits = np.cumsum(labels[np.argsort(-ranking.scores, kind="stable")])
    return hits / max(1, labels.sum()), hits / np.arange(1, len(hits) + 1)


def _precision(axes: Axes, rankings: Sequence[Ranking]) -> None:
    for ranking in rankings:
        axes.plot(*precision_recall(ranking), label=ranking.name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")


def _scores(axes: Axes, rankings: Sequence[Ranking]) -> None:
    ranking = rankings[-1]
    of_kind = np.array(ranking.kinds)
    inside = {kind: bool(ranking.in_scope[of_kind == kind].any()) for kind in ranking.kinds}
    kinds = sorted(inside, key=lambda kind: (not inside[kind], kind))
    values = [ranking.scores[of_kind == kind] for kind in kinds]
    # A density needs two values that differ; boxes show any.
    parts = axes.boxplot(values, orientation="horizontal", widths=0.6, patch_artist=True, flierprops={"markersize": 2})
    for kind, box in zip(kinds, parts["boxes"], strict=True):
        box.set_facecolor("#8fc1e8" if inside[kind] else "#efb39a")
    axes.set_yticks(range(1, len(kinds) + 1), kinds, parse_math=False)
    axes.set(xlabel="highest score; blue in scope, red out of it", xlim=(-0.02, 1.02))
    axes.invert_yaxis()
