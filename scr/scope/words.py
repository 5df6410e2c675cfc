"""The first working classifier: similarity, and whether the fact holds the words of the question.

Near-misses share the subject and lack the relation's words; paraphrases lack words and are similar all the same. The
weights are fitted to both kinds on training files (``benchmarks/scope/fit_words.py``): AUROC .87 on prompts that repeat
the fact (cosine .82) and .98 on questions in other words (cosine .99). It is a stopgap for the learned classifier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scr.scope import Candidate

_COSINE, _COVERAGE, _BIAS = 7.97, 3.83, -8.27
_STEM = 5
_EMPTY = frozenset(
    re.findall(
        r"\w+",
        """a about an and are as at be been by can could did do does for from give had has have how i in into is it its
        me name of on or please s say tell that the this to was were what when where which who whom whose why will with
        would you""",
    )
)


class WordsClassifier:
    """A logistic curve over cosine and the share of the query's content words that the fact holds.

    Attributes:
        threshold: the score from which a fact applies.
    """

    name = "words"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it, shape (len(pairs),)."""
        asked = {query: stems(query) for query, _ in pairs}
        cosines = np.array([candidate.similarity for _, candidate in pairs], np.float32)
        coverage = np.array([_coverage(asked[query], candidate) for query, candidate in pairs], np.float32)
        evidence = _COSINE * cosines + _COVERAGE * coverage + _BIAS
        return np.asarray(1 / (1 + np.exp(-evidence)), np.float32)


def stems(text: str) -> frozenset[str]:
    """The beginnings of a text's content words."""
    return frozenset(word[:_STEM] for word in re.findall(r"\w+", text.casefold()) if word not in _EMPTY)


def _coverage(asked: frozenset[str], candidate: Candidate) -> float:
    fact = candidate.fact
    said = stems(" ".join(part for part in (fact.text, fact.question, fact.subject, fact.relation) if part))
    return len(asked & said) / max(len(asked), 1)
