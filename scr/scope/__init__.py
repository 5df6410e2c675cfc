"""Scope: does this fact govern this query?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from scr.facts import Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Candidate:
    """A stored fact that retrieval found near a query.

    Attributes:
        fact: the fact.
        similarity: cosine of fact and query, in [-1, 1].
    """

    fact: Fact
    similarity: float


@dataclass(frozen=True)
class Judged:
    """A candidate with the classifier's word on it.

    Attributes:
        fact: the fact.
        similarity: cosine of fact and query, in [-1, 1].
        score: probability that the fact governs the query, in [0, 1].
        threshold: the least score at which this fact applies.
    """

    fact: Fact
    similarity: float
    score: float
    threshold: float

    @property
    def applies(self) -> bool:
        """Whether the fact governs the query."""
        return self.score >= self.threshold


@runtime_checkable
class ScopeClassifier(Protocol):
    """Scores (fact, query) pairs."""

    @property
    def name(self) -> str:
        """The name it has on the command line."""
        ...

    @property
    def threshold(self) -> float:
        """The score from which a fact applies, where the fact has no threshold of its own."""
        ...

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it.

        Args:
            pairs: (query, candidate); those of one query follow one another.

        Returns:
            shape (len(pairs),), values in [0, 1].
        """
        ...
