"""The figures of the scope benchmarks: intervals, right facts, near-misses written by hand, and whose weights."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from benchmarks.common import digests, write_result
from benchmarks.scope.intervals import (
    fires_at_recall,
    interval,
    miscalibration,
    resampled,
    separation,
    share,
)
from benchmarks.scope.judge import Scored, figures
from benchmarks.scope.near_misses import near_misses, pair_figures
from benchmarks.scope.run import Retrieved, best_cut
from benchmarks.scope.sets import Asked, ScopeSet
from scr.scope.cross_encoder import SHIPPED
from scr.scope.measure import auroc, calibration_error


@pytest.fixture(scope="module")
def drawn():
    """Scores with ties, who is in scope, who is asked directly, and five rounds of weights."""
    rng = np.random.default_rng(3)
    scores = np.round(rng.random(300), 2).astype(np.float32)
    inside = rng.random(300) < scores
    direct = inside & (rng.random(300) < 0.6)
    return scores, inside, direct, resampled(rng.integers(0, 80, 300), rounds=5)


def test_a_question_is_drawn_with_its_record():
    records = np.array([0, 0, 2, 1, 2])
    weights = resampled(records, rounds=50)
    assert weights.shape == (50, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 2], weights[:, 4])
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    np.testing.assert_array_equal(weights, resampled(records, rounds=50))
    assert not np.array_equal(weights, resampled(records, rounds=50, seed=1))


def test_a_figure_of_weights_is_that_of_questions_repeated(drawn):
    scores, inside, direct, weights = drawn
    weights = np.concatenate([np.ones((1, len(scores))), weights])
    rows = [np.repeat(np.arange(len(scores)), weight.astype(int)) for weight in weights]

    def at_recall(row):
        cut = np.quantile(scores[row][direct[row]], 0.05, method="lower")
        return np.mean(scores[row][~inside[row]] >= cut)

    plain = {
        separation(scores, inside, ~inside): lambda row: auroc(scores[row][inside[row]], scores[row][~inside[row]]),
        separation(scores, direct, ~inside): lambda row: auroc(scores[row][direct[row]], scores[row][~inside[row]]),
        share(scores > 0.5, inside): lambda row: np.mean(scores[row][inside[row]] > 0.5),
        fires_at_recall(scores, direct, ~inside): at_recall,
        miscalibration(scores, inside, np.ones_like(inside)): lambda row: calibration_error(scores[row], inside[row]),
        miscalibration(scores, inside, direct | ~inside): lambda row: calibration_error(
            scores[row][direct[row] | ~inside[row]], inside[row][direct[row] | ~inside[row]]
        ),
    }
    for figure, value in plain.items():
        np.testing.assert_allclose(figure(weights), [value(row) for row in rows], atol=1e-12)


def test_a_round_without_any_of_the_questions_is_passed_over():
    hits = np.array([True, False, True])
    weights = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    assert interval(share(hits, np.array([True, True, False])), weights) == {"low": 0.5, "high": 0.5}


def judged() -> Scored:
    """Two facts in scope of one question, the better scored of which is another; a near-miss that fires."""
    asked = (
        Asked("Who plays?", "reliability", (0,), 0),
        Asked("And who sings?", "generalization", (1,), 1),
        Asked("Who sang?", "alias", (1,), 1),
        Asked("Who danced?", "same subject", (), 2),
        Asked("Who slept?", "same subject", (), 0),
    )
    found = np.array([[0, 1], [0, 1], [0, 2], [1, 0], [2, 0]])
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.2], [0.55, 0.1], [0.2, 0.1]], np.float32)
    return Scored(ScopeSet("made up", ("Ada plays.", "Bo sings.", "Cy is ill."), asked), found, scores)


def test_the_right_fact_may_apply_beside_one_with_a_higher_score():
    found = figures(judged(), 0.5, probabilities=True)
    assert found["right_fact"] == {
        "reliability": 1.0, "generalization": 0.0, "alias": 0.0, "rel+gen": 0.5, "all": 0.3333,
    }  # fmt: skip
    assert found["right_fact_applies"] == {
        "reliability": 1.0, "generalization": 1.0, "alias": 0.0, "rel+gen": 1.0, "all": 0.6667,
    }  # fmt: skip
    assert found["false_fires_at_threshold"] == {"same subject": 0.5, "all": 0.5}
    assert found["retrieval"]["all"] == {"1": 0.3333, "5": 0.6667, "10": 0.6667, "20": 0.6667}


def test_intervals_hold_their_figures():
    found = figures(judged(), 0.5, probabilities=True)
    intervals = found["intervals"]
    assert set(intervals) == {
        "false_fires_at_threshold", "at_95_recall", "right_fact", "right_fact_applies", "recall_at_threshold",
        "calibration_error", "calibration_error_direct",
    }  # fmt: skip
    for name in ("right_fact", "right_fact_applies", "recall_at_threshold"):
        assert set(intervals[name]) == set(found[name])
        assert all(one["low"] <= found[name][kind] <= one["high"] for kind, one in intervals[name].items())
    for name in ("false_fires_at_threshold", "at_95_recall"):
        assert intervals[name]["all"]["low"] <= found[name]["all"] <= intervals[name]["all"]["high"]
    json.dumps(found, allow_nan=False)


def test_a_set_without_questions_in_scope_has_its_false_fires():
    asked = tuple(Asked(f"{number}?", "nq_open", (), number) for number in range(40))
    scores = np.array([[0.9]] * 10 + [[0.1]] * 30, np.float32)
    found = figures(
        Scored(ScopeSet("general", ("A.",), asked), np.zeros((40, 1), int), scores), 0.5, probabilities=True
    )
    assert found["false_fires_at_threshold"] == {"nq_open": 0.25, "all": 0.25}
    assert found["intervals"]["false_fires_at_threshold"]["all"]["low"] < 0.25
    assert "right_fact" not in found


def test_near_misses_are_judged_pair_by_pair():
    data = near_misses()
    assert len(data.asked) == len({a.query for a in data.asked})  # a batch takes equal queries for one
    own = np.array([[a.record] for a in data.asked])
    inside = [bool(a.facts) for a in data.asked]
    near = Retrieved(own, np.where(inside, 0.8, 0.3).astype(np.float32)[:, None])
    found = pair_figures(Scored(data, near.found, near.cosines), 0.5)
    assert (found["pairs"], found["governs"]) == (len(inside), sum(inside))
    assert (found["auroc"], found["right"], found["recall"], found["false_fires"]) == (1, 1, 1, 0)
    assert found["intervals"]["auroc"] == {"low": 1.0, "high": 1.0}
    assert sum(row["pairs"] for row in found["kinds"].values()) == len(inside)
    assert all(0 < row["governs"] < row["pairs"] for row in found["kinds"].values())
    assert 0.3 < best_cut(Scored(data, near.found, near.cosines)) <= 0.8
    json.dumps(found, allow_nan=False)


def test_results_tell_whose_weights_they_were_made_with(tmp_path):
    (tmp_path / "classifier").mkdir()
    (tmp_path / "classifier/config.json").write_text("{}")
    write_result(tmp_path / "one.json", {"k": 10}, [1], tmp_path / "classifier")
    written = json.loads((tmp_path / "one.json").read_text())
    assert written["environment"]["classifier"] == {"config.json": hashlib.sha256(b"{}").hexdigest()[:12]}
    assert {"model.safetensors", "config.json"} <= digests(SHIPPED).keys()
