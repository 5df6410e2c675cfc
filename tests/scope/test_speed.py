"""What the speed of the scope decision is measured on, and what its figures are made of."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.scope import speed
from benchmarks.scope.arithmetic import REFERENCE, SHIPS, WAYS, Row, Runner, Sample, Way, measure
from benchmarks.scope.decisions import GENERAL, IN_SCOPE, NEAR_MISS, Batched, Cost, Single, questions, row
from benchmarks.sentences import sentences

SAMPLE = Sample(
    "made up",
    np.array([True, False]),
    (
        [
            ("Lena Hofstad plays the cello.", "What does Lena play?"),
            ("Ardenia lies in the north.", "What does Lena play?"),
        ],
        [("Lena Hofstad plays the cello.", "Who is it?"), ("Ardenia lies in the north.", "Who is it?")],
    ),
)


def test_questions_are_different_and_of_their_kind():
    asked = questions(1_000, 64)
    stored = {sentence.question for sentence in sentences(1_000)}
    assert [len(set(asked[kind])) for kind in (IN_SCOPE, NEAR_MISS, GENERAL)] == [64, 64, 64]
    assert stored.issuperset(asked[IN_SCOPE])
    assert stored.isdisjoint(asked[NEAR_MISS] + asked[GENERAL])
    assert asked == questions(1_000, 64)


def test_a_batch_row_is_the_median_of_rounds():
    rounds = [[Cost(4, 1, 1, 2), Cost(6, 1, 1, 4)], [Cost(10, 2, 2, 6)] * 2, [Cost(2, 0.5, 0.5, 1)] * 2]
    assert row(IN_SCOPE, 8, "together", rounds) == Batched(IN_SCOPE, 8, "together", 200.0, 1.0, 1.0, 3.0)


def test_a_question_is_as_probable_as_its_best_candidate():
    assert SAMPLE.auroc(np.array([0.1, 0.9, 0.8, 0.2], np.float32)) == 1.0
    assert SAMPLE.auroc(np.array([0.1, 0.2, 0.8, 0.2], np.float32)) == 0.0


def test_the_ways_have_names_of_their_own():
    assert len({way.name for way in WAYS}) == len(WAYS)
    assert {REFERENCE, SHIPS} <= set(WAYS)


def test_a_way_that_cannot_run_says_why():
    from scr.scope.cross_encoder import CrossEncoder

    def nowhere():
        raise ModuleNotFoundError("No module named 'nowhere'")

    found = Runner.open(Way("nowhere", nowhere), CrossEncoder.from_pretrained(), [SAMPLE])
    assert found == Row("nowhere", problem="ModuleNotFoundError: No module named 'nowhere'")


def test_all_ways_read_the_same(monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr("benchmarks.scope.arithmetic.WAYS", (REFERENCE, WAYS[3], SHIPS))
    reference, plain, ships = measure([SAMPLE], timed=1, rounds=1)
    assert (reference.difference, reference.changed, reference.speed) == (0, 0, 1)
    assert plain.difference < 1e-4
    assert ships.difference < 0.2
    assert plain.auroc == reference.auroc


def test_the_plot_needs_no_more_than_one_part(tmp_path):
    ways = [asdict(Row("ONNX fp32", 300.0, 1.0, 30.0, 40.0, 0.0, 0.0)), asdict(Row("OpenVINO fp32", problem="absent"))]
    speed.plot({"arithmetic": ways}, tmp_path / "ways.png")
    spread = {"median": 5.0, "p95": 6.0, "n": 3}
    single = Single(IN_SCOPE, 0.4, spread, spread, spread, spread, 1.0, 3.0, 0.0)
    batched = Batched(IN_SCOPE, 8, "together", 200.0, 1.0, 1.0, 3.0)
    speed.plot({"decision": {"single": [asdict(single)], "batched": [asdict(batched)]}}, tmp_path / "decision.png")
    assert (tmp_path / "ways.png").stat().st_size
    assert (tmp_path / "decision.png").stat().st_size
    json.dumps(asdict(single), allow_nan=False)


@pytest.mark.parametrize("wrong", [["--queries", "8"], ["--queries", "400"], ["--facts", "100"]])
def test_too_few_questions_or_facts_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        speed.options(["--cache", "cache", "--parts", "decision", *wrong])
    assert "--queries: give 64 to 256" in capsys.readouterr().err


def test_the_arithmetic_needs_the_data_sets(capsys):
    with pytest.raises(SystemExit):
        speed.options(["--cache", "cache"])
    assert "--data" in capsys.readouterr().err
