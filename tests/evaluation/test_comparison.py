"""Two runs, or two methods, on the same records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scr.errors import UsageError
from scr.evaluation.combined import paired_harmonic
from scr.evaluation.comparison import Compared, Difference, Side, compare
from scr.evaluation.results import CaseResult, Results, RowKey, read_cases
from scr.evaluation.statistics import paired_test

from .synthetic import Shape, make_cases, make_row, make_run, write_cases, write_results

SHAPE = Shape(
    datasets=("river-towns",),
    models=("tiny-135m",),
    methods=("bare", "scr", "scr:cosine"),
    edits=(1,),
    cases=10,
    nasty=False,
)
KEY = RowKey("river-towns", "tiny-135m", "scr", 1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "first", SHAPE)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "second", SHAPE, seed=1)


def one(row: Compared, dimension: str, score: str) -> Difference:
    (found,) = [one for one in row.differences if (one.dimension, one.score) == (dimension, score)]
    return found


def wanted(answer: CaseResult, dimension: str) -> float:
    """Reliability and preservation of a case, written once more."""
    kind = "reliability" if dimension == "reliability" else "locality"
    found = [q.contains if kind == "reliability" else q.preserved for q in answer.answered if q.kind == kind]
    return sum(map(bool, found)) / len(found)


@pytest.mark.parametrize(("dimension", "score"), [("reliability", "contains"), ("locality_preservation", "exact")])
def test_differences_are_those_of_the_same_records(run: Path, other: Path, dimension: str, score: str) -> None:
    (row,) = [row for row in compare(run, other).rows if row.first == KEY and row.split == "raw"]
    values = [[wanted(case, dimension) for case in read_cases(side, KEY)] for side in (run, other)]
    found = one(row, dimension, score)
    assert found.first == pytest.approx(sum(values[0]) / 10)
    assert found.second == pytest.approx(sum(values[1]) / 10)
    assert found.paired == paired_test(values[1], values[0])


def test_the_harmonic_mean_is_compared(run: Path, other: Path) -> None:
    comparison = compare(run, other)
    (row,) = [row for row in comparison.rows if row.first == KEY and row.split == "raw"]
    for score in ("contains", "exact"):
        found = one(row, "harmonic_mean", score)
        # Of the same records as the tables, so that the figures are theirs.
        first, second = (
            next(r for r in Results.read(side).rows if (r.key, r.split) == (KEY, "raw")).scores["harmonic_mean"]
            for side in (run, other)
        )
        assert found.first == pytest.approx(first[score].value)
        assert found.second == pytest.approx(second[score].value)
        assert found.paired.difference == pytest.approx(found.second - found.first)
        assert found.paired.low <= found.paired.difference <= found.paired.high
        assert 0 < found.paired.p <= 1
    assert "| Harmonic mean " in comparison.text()


def test_a_harmonic_mean_that_differs_is_told_from_chance() -> None:
    generator = np.random.default_rng(1)
    low, high = generator.random((60, 4)) < 0.4, generator.random((60, 4)) < 0.8
    missing = generator.random((60, 4)) < 0.1
    sides = [np.where(missing, np.nan, side) for side in (high, low)]
    first, second, paired = paired_harmonic(*sides)
    assert first == pytest.approx(4 / sum(1 / np.nanmean(sides[0], axis=0)))
    assert paired.difference == pytest.approx(first - second)
    assert 0 < paired.low < paired.difference < paired.high
    assert paired.p < 0.001
    back = paired_harmonic(*reversed(sides))[2]
    assert (back.difference, back.p) == (pytest.approx(-paired.difference), paired.p)
    same = paired_harmonic(sides[0], sides[0])[2]
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_a_run_differs_from_itself_in_nothing(run: Path) -> None:
    comparison = compare(run, run)
    assert {row.first.method for row in comparison.rows} == {"bare", "scr", "scr:cosine"}
    assert {row.split for row in comparison.rows} == {"raw", "clean"}
    for row in comparison.rows:
        assert row.differences
        assert {(one.paired.difference, one.paired.p) for one in row.differences} == {(0.0, 1.0)}


def test_the_sign_says_what_the_second_gained(run: Path) -> None:
    comparison = compare(f"{run}:bare", f"{run}:scr")
    row = comparison.rows[0]
    assert (row.first.method, row.second.method) == ("bare", "scr")
    found = one(row, "reliability", "contains")
    assert found.second - found.first == pytest.approx(found.paired.difference)
    assert found.paired.difference > 0.3
    assert found.paired.p < 0.05


def test_a_method_with_an_option_is_found(run: Path) -> None:
    assert Side.parse(f"{run}:scr:cosine") == Side(run, "scr:cosine")
    assert [row.first.method for row in compare(f"{run}:scr:cosine", run).rows] == ["scr:cosine"] * 2


def test_a_folder_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a:b", replace(SHAPE, methods=("scr",), cases=2))
    assert Side.parse(run) == Side(run)
    assert Side.parse(f"{run}:scr") == Side(run, "scr")


def test_records_that_one_side_alone_has_are_said_and_left_out(run: Path, tmp_path: Path) -> None:
    cases = make_cases(KEY, SHAPE, 0)
    changed = replace(cases[0], answered=(replace(cases[0].answered[0], prompt="Another?"), *cases[0].answered[1:]))
    mine = [changed, *cases[1:7], replace(cases[7], case="mine-alone")]
    write_cases(tmp_path / "run", KEY, mine)
    write_results(tmp_path / "run", [make_row(KEY, split, mine) for split in ("raw", "clean")])
    comparison = compare(tmp_path / "run", run)
    row = comparison.rows[0]
    assert (row.records, row.only_first, row.only_second, row.changed) == (6, 1, 3, 1)
    assert {found.paired.n for found in row.differences if found.dimension == "reliability"} == {6}
    assert comparison.only_first == ()
    assert {key.method for key in comparison.only_second} == {"bare", "scr:cosine"}
    told = comparison.text()
    assert "6 records in both; 1 only in the first; 3 only in the second; 1 left out" in told
    assert "Only in first:" in told


def test_a_question_that_is_flawed_on_one_side_is_clean_on_neither(tmp_path: Path) -> None:
    cases = [
        replace(case, answered=tuple(replace(one, flaws=()) for one in case.answered))
        for case in make_cases(KEY, SHAPE, 0)
    ]
    flawed = [
        replace(case, answered=(replace(case.answered[0], flaws=("unanswerable",)), *case.answered[1:]))
        for case in cases
    ]
    for name, some in (("whole", flawed), ("sample", cases)):
        write_cases(tmp_path / name, KEY, some)
        write_results(tmp_path / name, [make_row(KEY, split, some) for split in ("raw", "clean")])
    for pair in (("whole", "sample"), ("sample", "whole")):
        for row in compare(*(tmp_path / name for name in pair)).rows:
            there = "reliability" in {found.dimension for found in row.differences}
            assert there == (row.split == "raw")
            assert {found.paired.difference for found in row.differences} == {0}


def test_a_question_that_one_side_has_no_score_for_is_not_compared(run: Path, tmp_path: Path) -> None:
    cases = make_cases(KEY, SHAPE, 0)
    unscored = [
        replace(
            case, answered=tuple(replace(q, contains=None) if q.kind == "reliability" else q for q in case.answered)
        )
        for case in cases[:4]
    ] + cases[4:]
    write_cases(tmp_path / "run", KEY, unscored)
    write_results(tmp_path / "run", [make_row(KEY, split, unscored) for split in ("raw", "clean")])
    row = compare(tmp_path / "run", f"{run}:scr").rows[0]
    assert one(row, "reliability", "contains").paired.n == 6
    assert one(row, "generalization", "contains").paired.n == 10


def test_it_is_told_in_a_table_and_in_json(run: Path, other: Path) -> None:
    comparison = compare(f"{run}:scr", other)
    told = comparison.text()
    found = one(comparison.rows[0], "reliability", "contains")
    (line, *_) = [line for line in told.splitlines() if line.startswith("| Reliability") and "contains" in line]
    assert f"{found.first * 100:.1f}" in line
    assert f"{found.paired.difference * 100:+.1f} [" in line
    document = json.loads(json.dumps(comparison.to_json()))
    assert document["rows"][0]["first"]["method"] == "scr"
    assert document["rows"][0]["differences"][0]["paired"]["n"] == 10


def test_it_refuses_what_cannot_be_compared(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no run of `scr eval`"):
        compare(run, tmp_path)
    with pytest.raises(UsageError, match=r"has no method 'rome': it has bare, scr, scr:cosine"):
        compare(run, f"{run}:rome")
    elsewhere = make_run(tmp_path / "elsewhere", replace(SHAPE, datasets=("guild masters",), cases=2))
    with pytest.raises(UsageError, match="no row in common"):
        compare(run, elsewhere)
    key = RowKey("guild masters", "tiny-135m", "bare", 1)
    next(key.folder(elsewhere).glob("*.json")).write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match=r"a case in .* is damaged"):
        compare(elsewhere, elsewhere)
    assert Results.read(run).rows
