"""Similarity as the scope decision: the baselines that every other classifier is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scr.scope import Candidate

_SLOPE, _MIDDLE = 9.3, 0.74


class CosineClassifier:
    """A logistic curve over the cosine of query and fact.

    It cannot tell a question about the fact from one about another property of its subject; the learned
    classifier can.

    Attributes:
        threshold: the score from which a fact applies.
    """

    name = "cosine"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it, shape (len(pairs),)."""
        scores: NDArray[np.float32] = 1 / (1 + np.exp(-_SLOPE * (_cosines(pairs) - _MIDDLE)))
        return scores


class SeracClassifier:
    """SERAC's embedding classifier: exp(-|a - b|²) between separately encoded texts (Mitchell et al. 2022, eq. 3).

    The paper trains its encoders for it and cuts at one half; its weights were not published, so that these vectors
    are the store's own, of length 1: |a - b|² = 2 - 2 cos.

    Attributes:
        threshold: the score from which a fact applies.
    """

    name = "serac"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it, shape (len(pairs),)."""
        return np.asarray(np.exp(2 * _cosines(pairs) - 2), np.float32)


def _cosines(pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
    return np.array([candidate.similarity for _, candidate in pairs], np.float32)
