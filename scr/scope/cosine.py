"""Similarity as the scope decision: the baseline that every other classifier is compared with."""

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

    def score(self, query: str, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query, shape (len(candidates),)."""
        del query
        cosines = np.array([candidate.similarity for candidate in candidates], np.float32)
        scores: NDArray[np.float32] = 1 / (1 + np.exp(-_SLOPE * (cosines - _MIDDLE)))
        return scores
