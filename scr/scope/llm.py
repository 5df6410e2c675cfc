"""The language model as the scope decision, alone or where the learned classifier is not sure."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scr.engines import Engine, Sampling
from scr.scope import Candidate, ScopeClassifier
from scr.shipped import shipped
from scr.templates import filled, load_template, tag_for

_SAID = re.compile(r"^\W*(yes|no)\b", re.IGNORECASE)
_KEPT = 10_000


class LanguageModelClassifier:
    """Asks the served model, for each candidate, whether it governs the query: one word, greedily, remembered.

    What Selective Contextual Reasoning does: no training, and no calibration either. An answer that is neither yes nor
    no counts as no.

    Args:
        engine: opens the model when it is first asked.
        threshold: the score from which a fact applies; scores are 0 and 1.
        folders: where the template ``scope.jinja`` is looked for, one's own first; none is the shipped one.

    Raises:
        UsageError: the template cannot be used, now or when it is filled.
    """

    name = "llm"

    def __init__(self, engine: Callable[[], Engine], threshold: float = 0.5, folders: Sequence[Path] = ()) -> None:
        self._engine, self.threshold = engine, threshold
        self._template = load_template("scope", folders or [shipped("prompts")])
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """1 where the model says that the candidate governs the query beside it, else 0; shape (len(pairs),)."""
        keys = [(query, candidate.fact.text) for query, candidate in pairs]
        if new := [key for key in dict.fromkeys(keys) if key not in self._known]:
            prompts = [[{"role": "user", "content": self._prompt(*key)}] for key in new]
            answers = self._engine().generate(prompts, Sampling(max_tokens=4))
            self._known.update((key, _verdict(answer.text)) for key, answer in zip(new, answers, strict=True))
        scores = np.array([self._known[key] for key in keys], np.float32)
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return scores

    def _prompt(self, query: str, fact: str) -> str:
        promised = [("the query", query), ("the fact", fact)]
        return filled(self._template, promised, query=query, fact=fact, tag=tag_for([query, fact]))


def _verdict(answer: str) -> float:
    said = _SAID.match(answer)
    return float(said is not None and said[1].lower() == "yes")


class CascadeClassifier:
    """A quick classifier, and the language model for the pairs on which that is not sure.

    Args:
        quick: decides below `low` and from `high` on.
        judge: decides between them.
        low: score under which a fact does not apply, unasked.
        high: score from which a fact applies, unasked.
    """

    name = "cascade"

    def __init__(self, quick: ScopeClassifier, judge: ScopeClassifier, low: float = 0.2, high: float = 0.95) -> None:
        self._quick, self._judge, self._low, self._high = quick, judge, low, high
        self.threshold = min(max(quick.threshold, low), high)

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """Probability that each candidate governs the query beside it, shape (len(pairs),)."""
        scores = self._quick.score(pairs)
        unsure = np.flatnonzero((scores >= self._low) & (scores < self._high))
        if len(unsure):
            yes = self._judge.score([pairs[place] for place in unsure.tolist()]) >= self._judge.threshold
            scores[unsure] = np.where(yes, self._high, self._low * 0.999)
        return scores
