"""Fitting early exits to a classifier, on pairs of invented facts."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from scr.scope.cross_encoder import CrossEncoder
from scr.scope.network import EXITS

pytest.importorskip("torch", reason="the training needs torch: pip install 'scr[local]'")

from scr.scope.training import exits as fitting
from scr.scope.training.pairs import Pair

NAMES = ("Lena Hofstad", "Tomas Rehn", "Ardenia", "Velmora", "Quillan", "Mira Oster", "Jonas Valk", "Port Elsin")
FACTS = ("{} was founded in 1873.", "{} plays the cello.", "{} lies in Ardenia.", "{} speaks Swedish.")
QUERIES = (
    "When was {} founded?",
    "Which instrument does {} play?",
    "Where does {} lie?",
    "What does {} speak?",
    "How do I boil rice?",
)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    every = [
        Pair(fact.format(one), query.format(other), 0.0, "made up", "here", "tune")
        for fact, query, one, other in product(FACTS, QUERIES, NAMES, NAMES)
    ]
    return [every[place] for place in np.random.default_rng(0).permutation(len(every))[:600]]


@pytest.fixture
def whole(tmp_path) -> CrossEncoder:
    """The shipped classifier without its exits, in arithmetic whose rounding does not depend on the company."""
    shipped = CrossEncoder.from_pretrained()
    shipped.save_pretrained(tmp_path)
    replace(shipped.config, arithmetic="fp32").write(tmp_path)
    (tmp_path / EXITS).unlink(missing_ok=True)
    return CrossEncoder.from_pretrained(tmp_path)


def test_what_fires_stays_and_most_of_the_rest_leaves(whole, pairs, monkeypatch):
    monkeypatch.setattr(fitting, "_LEAST_PAIRS", 500)
    exits = fitting.fit_exits(whole, pairs)
    assert exits is not None
    exits.write(whole.folder)
    before = whole.score_pairs([(pair.fact, pair.query) for pair in pairs])
    after = CrossEncoder.from_pretrained(whole.folder).score_pairs([(pair.fact, pair.query) for pair in pairs])
    fires = before >= whole.threshold
    assert fires.sum() >= 10
    np.testing.assert_array_equal(after >= whole.threshold, fires)
    left = np.abs(after - before) > 1e-5
    assert left[~fires].mean() > 0.5
    assert not left[fires].any()


def test_few_pairs_give_no_exits(whole, pairs):
    assert fitting.fit_exits(whole, pairs) is None
