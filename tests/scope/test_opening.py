"""Classifiers by name, and what the simple ones say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from scr.errors import UsageError
from scr.facts import Fact, new_id
from scr.scope import Candidate, ScopeClassifier
from scr.scope.opening import DEFAULT_SCOPE, NAMES, open_scope

SIMPLE = ("cosine", "serac", "words")


def candidate(text: str, similarity: float) -> Candidate:
    blank = dict.fromkeys(("subject", "relation", "object", "question", "source", "valid_from", "valid_to"))
    return Candidate(Fact(new_id(), text, "default", created_at=datetime.now(UTC), **blank), similarity)


@pytest.mark.parametrize("name", SIMPLE)
def test_simple_classifiers_give_probabilities_that_rise_with_similarity(name: str) -> None:
    classifier = open_scope(name)
    assert isinstance(classifier, ScopeClassifier)
    assert (classifier.name, classifier.threshold) == (name, 0.5)
    scores = classifier.score([("Who runs Ulmbach?", candidate("Ada runs Ulmbach.", s)) for s in (-1, 0, 0.5, 1)])
    assert scores.dtype == np.float32
    assert (np.diff(scores) > 0).all()
    assert scores[0] >= 0
    assert scores[-1] <= 1
    assert classifier.score([]).shape == (0,)


def test_serac_is_its_formula() -> None:
    cosine = 0.7
    one, other = np.array([1.0, 0.0]), np.array([cosine, np.sqrt(1 - cosine**2)])
    score = open_scope("serac").score([("q", candidate("f", cosine))])[0]
    assert score == pytest.approx(np.exp(-np.sum((one - other) ** 2)), abs=1e-6)


def test_a_threshold_may_be_given() -> None:
    assert open_scope("cosine", 0.8).threshold == 0.8


def test_there_is_a_default() -> None:
    assert DEFAULT_SCOPE in NAMES
    assert open_scope().name == DEFAULT_SCOPE


@pytest.mark.parametrize("name", ["no-such", "../..", "/"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="cosine, serac, words, cross-encoder"):
        open_scope(name)
