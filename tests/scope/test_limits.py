"""What keeps figures from their goals: calibrations that mend a crooked scale, and where right facts are lost."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.scope import calibration
from benchmarks.scope.judge import Scored
from benchmarks.scope.limits import _counting, _first, _lost, twins
from benchmarks.scope.sets import Asked, ScopeSet


def too_sure(seed: int, count: int = 4000) -> calibration.Tops:
    """Scores whose logits are three times what they should be."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    inside = rng.random(count) < 1 / (1 + np.exp(-logits))
    score = np.clip(1 / (1 + np.exp(-3 * logits)), 1e-6, 1 - 1e-6)
    return calibration.Tops(score, rng.random(count), inside)


@pytest.mark.parametrize("way", calibration.WAYS)
def test_every_way_mends_a_score_that_is_too_sure(way):
    held, other = too_sure(0), too_sure(1)
    before = calibration.errors(calibration.as_it_ships(held), {"other": other})["other"]
    after = calibration.errors(calibration.WAYS[way](held), {"other": other})["other"]
    assert before > 0.08
    assert after < 0.03


def test_one_map_cannot_be_right_for_sets_that_disagree():
    rng = np.random.default_rng(0)
    score = np.full(1000, 0.01)
    sets = [calibration.Tops(score, score, rng.random(1000) < share) for share in (0.0, 0.4)]
    found = calibration.errors(calibration.best_for_all(sets), dict(zip("ab", sets, strict=True)))
    assert all(0.15 < error < 0.25 for error in found.values())


def test_twins_edit_the_same_answer_of_the_same_subject(tmp_path):
    (tmp_path / "knowedit").mkdir()
    rows = [
        {"subject": "Flight 9", "ground_truth": ["1 June"]},
        {"subject": "flight 9", "ground_truth": [["1 june", "June 1"]]},
        {"subject": "Flight 9", "ground_truth": ["a bomb"]},
    ]
    (tmp_path / "knowedit/zsre_test.json").write_text(json.dumps(rows), encoding="utf-8")
    assert twins(tmp_path) == ((0, 1), (0, 1), (2,))


def test_every_question_is_lost_at_one_step_or_kept():
    kinds = ("reliability", "generalization", "reliability", "reliability", "reliability", "negated")
    asked = tuple(Asked(f"q{n}", kind, () if kind == "negated" else (n,), n) for n, kind in enumerate(kinds))
    data = ScopeSet("made up", tuple(f"fact {n}" for n in range(40)), asked)
    found = np.array([[*range(20, 40)]] * 6)
    found[0, 0] = 0  # kept: the highest
    found[1, 1] = 1  # another is higher
    found[2, 2] = 2  # below the threshold
    found[3, 15] = 3  # beyond the ten
    scores = np.full((6, 20), 0.1, np.float32)
    scores[0, 0], scores[1, :2], scores[3, 15] = 0.9, (0.8, 0.7), 0.9
    wide = Scored(data, found, scores)
    lost = _lost(_first(wide, 10), wide, 0.5)
    assert lost == {
        "not among the 20 nearest": 0.2,
        "not among the 10 nearest": 0.2,
        "below the threshold if it is read": 0.2,
        "not read": 0,
        "another fact scores higher": 0.2,
        "it has the highest score": 0.2,
    }
    counted = _counting(wide, [(0,), (1, 20), (2,), (3,), (4,), (5,)])
    assert _lost(_first(counted, 10), counted, 0.5)["it has the highest score"] == 0.4
