"""Figures of a scope classifier: how well scores separate, and how well they are calibrated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BINS = 15


def auroc(positive: ArrayLike, negative: ArrayLike) -> float:
    """Chance that a positive's score is above a negative's, ties counted half; NaN if one side is empty."""
    high, low = np.asarray(positive, np.float64), np.sort(np.asarray(negative, np.float64))
    if not high.size or not low.size:
        return float("nan")
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / 2 / low.size)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Mean precision at the rank of each positive (no interpolation); tied scores count as one step."""
    score, label = np.asarray(scores, np.float64), np.asarray(labels, bool)
    if not label.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    score, label = score[order], label[order]
    last = np.append(np.nonzero(np.diff(score))[0], len(score) - 1)
    hits = np.cumsum(label)[last]
    precision = hits / (last + 1)
    return float(np.sum(np.diff(hits, prepend=0) * precision) / label.sum())


def calibration_error(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Expected calibration error: |share of positives - mean probability| over bins of equal width, by their count."""
    p, label = np.asarray(probabilities, np.float64), np.asarray(labels, np.float64)
    place = np.minimum((p * _BINS).astype(int), _BINS - 1)
    held = [place == b for b in range(_BINS) if (place == b).any()]
    gaps = [abs(label[own].mean() - p[own].mean()) * own.mean() for own in held]
    return float(np.sum(gaps))


def platt(logits: NDArray[np.float32], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Scale and shift that calibrate sigmoid(scale * logit + shift) (Platt 1999), by Newton's method.

    As there, a label is not quite 1 or 0 but what its class's count allows to be sure of: few pairs that are told apart
    without a fault do not make every later score a certain one.
    """
    yes = int(labels.sum())
    no = len(labels) - yes
    target = np.where(labels, (yes + 1) / (yes + 2), 1 / (no + 2))
    x = np.stack([logits.astype(np.float64), np.ones(len(logits))], 1)
    weight = np.zeros(2)  # from nothing, where Newton's method does not overshoot
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weight, -30, 30)))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2), x.T @ (target - p))
        weight += step
        if np.abs(step).max() < 1e-8:
            break
    return float(weight[0]), float(weight[1])
