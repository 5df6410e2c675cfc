"""Pictures of the scope decision: precision against recall, and scores by kind of question."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .judge import Scored
from .sets import IN_SCOPE


def draw(drawn: Mapping[str, Mapping[str, Scored]], stem: Path) -> None:
    """Write STEM-precision.png and STEM-scores.png: a panel for each set with questions in scope.

    Args:
        drawn: scores by set and classifier; the last classifier's are shown by kind.
        stem: path without suffix.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = {name: rows for name, rows in drawn.items() if any(a.facts for a in next(iter(rows.values())).data.asked)}
    if not shown:
        return
    for name, panel in (("precision", _precision), ("scores", _scores)):
        figure, panels = plt.subplots(1, len(shown), figsize=(4.4 * len(shown), 4.2), squeeze=False)
        for axes, (title, rows) in zip(panels[0], shown.items(), strict=True):
            panel(axes, rows)
            axes.set_title(title)
        figure.tight_layout()
        figure.savefig(stem.with_name(f"{stem.name}-{name}.png"), dpi=100)
        plt.close(figure)


def precision_recall(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Recall and precision at each rank, best scores first."""
    hits = np.cumsum(labels[np.argsort(-scores, kind="stable")])
    return hits / max(1, labels.sum()), hits / np.arange(1, len(hits) + 1)


def _precision(axes: Any, rows: Mapping[str, Scored]) -> None:
    for name, scored in rows.items():
        labels = np.array([bool(asked.facts) for asked in scored.data.asked])
        axes.plot(*precision_recall(scored.top, labels), label=name)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0.3, 1.01))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")


def _scores(axes: Any, rows: Mapping[str, Scored]) -> None:
    scored = list(rows.values())[-1]
    kinds = sorted({asked.kind for asked in scored.data.asked}, key=lambda kind: (kind not in IN_SCOPE, kind))
    values = [scored.top[scored.mask([kind])] for kind in kinds]
    parts = axes.violinplot(values, vert=False, showmedians=True, widths=0.85)
    for kind, body in zip(kinds, parts["bodies"], strict=True):
        body.set_facecolor("tab:blue" if kind in IN_SCOPE else "tab:red")
    axes.set_yticks(range(1, len(kinds) + 1), kinds)
    axes.set(xlabel="highest score", xlim=(-0.02, 1.02))
    axes.invert_yaxis()
