"""Figures of a classifier on labelled queries, and thresholds for an error budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scr.errors import UsageError
from scr.evaluation.scope import (
    Decided,
    Labelled,
    LabelledSet,
    conformal_threshold,
    decide,
    judged_pairs,
    read_labelled,
    report,
)
from scr.scope import Candidate
from scr.scope.opening import open_scope

from ..kept import KeptEncoder

FACTS = {
    "a": "Anton Velde was born in Ulmbach.",
    "b": "The mayor of Lyon is Ada Kovic.",
    "c": "Velmora lies in Ardenia.",
}
QUERIES = (
    Labelled("Where was Anton Velde born?", frozenset("a"), "direct"),
    Labelled("Who is the mayor of Lyon?", frozenset("b"), "direct"),
    Labelled("Who runs the town hall of Lyon?", frozenset("b"), "paraphrase"),
    Labelled("How old is Anton Velde?", frozenset(), "same subject"),
    Labelled("Write a poem about the sea.", frozenset(), "task"),
)


def decided(facts: str, *scored: tuple[str, float], kind: str = "k", cosine: float = 0.5) -> Decided:
    """Applies from 0.5 on."""
    rows = tuple((name, score, score >= 0.5) for name, score in scored)
    return Decided(Labelled("q", frozenset(facts), kind), rows, tuple("abc"), cosine)


def test_figures_are_what_one_counts_by_hand() -> None:
    found = report(
        [
            decided("a", ("a", 0.9), ("b", 0.1), kind="direct", cosine=0.8),  # right
            decided("b", ("a", 0.8), ("b", 0.6), kind="direct", cosine=0.7),  # a right one applies, below a wrong one
            decided("b", ("a", 0.7), ("b", 0.2), kind="alias", cosine=0.2),  # a wrong one alone
            decided("c", ("c", 0.4), kind="alias", cosine=0.6),  # silent
            decided("", ("a", 0.75), kind="near", cosine=0.3),  # false fire
            decided("", ("a", 0.3), kind="near", cosine=0.1),
            decided("", kind="far", cosine=0.0),
        ],
        200.04,
    )
    assert found.n == 7
    assert found.precision == pytest.approx(2 / 4)
    assert found.recall == pytest.approx(2 / 4)
    assert found.right_fact_rate == pytest.approx(1 / 4)
    assert found.false_fire_rate == pytest.approx(1 / 3, abs=1e-4)
    assert found.auroc == pytest.approx((3 + 3 + 2 + 2) / 12, abs=1e-4)
    assert found.cosine_auroc == pytest.approx((3 + 3 + 2 + 3) / 12, abs=1e-4)
    assert found.retrieval_recall == {"1": 0.25, "5": 1.0, "20": 1.0}
    assert found.queries_per_second == 200.0
    assert found.by_kind["direct"] == {"n": 2, "auroc": 1.0, "recall": 1.0, "right_fact_rate": 0.5}
    assert found.by_kind["near"] == {"n": 2, "false_fire_rate": 0.5, "auroc": pytest.approx(0.75)}
    assert found.by_kind["far"] == {"n": 1, "false_fire_rate": 0.0, "auroc": 1.0}


def test_of_nothing_there_is_no_rate() -> None:
    only = report([decided("", ("a", 0.1))], 1.0)
    assert (only.auroc, only.recall, only.precision, only.cosine_auroc) == (None, None, None, None)
    assert only.false_fire_rate == 0.0
    json.dumps(only.by_kind, allow_nan=False)


def test_queries_are_decided_with_every_fact_loaded(kept: KeptEncoder) -> None:
    rows, speed = decide(LabelledSet(FACTS, QUERIES), open_scope("cosine"), kept)
    assert speed > 0
    assert [row.labelled for row in rows] == list(QUERIES)
    assert [row.nearest[0] for row in rows[:3]] == ["a", "b", "b"]
    assert all({name for name, _, _ in row.scored} == set(FACTS) for row in rows)
    assert rows[0].hit
    assert rows[0].score == max(score for _, score, _ in rows[0].scored)
    assert report(rows, speed).retrieval_recall["1"] == 1.0


def test_facts_that_contradict_each_other_are_all_loaded(kept: KeptEncoder) -> None:
    facts = {"old": "The capital of Ardenia is Velmora.", "new": "The capital of Ardenia is Ulmbach."}
    rows, _ = decide(LabelledSet(facts, QUERIES[:1]), open_scope("cosine"), kept)
    assert set(rows[0].nearest) == {"old", "new"}


def test_pairs_to_train_on_hold_what_applies_and_the_nearest_that_does_not(kept: KeptEncoder) -> None:
    pairs = judged_pairs(LabelledSet(FACTS, QUERIES[:4:3]), kept, k=2)
    assert pairs[0] == (FACTS["a"], QUERIES[0].query, True)
    assert [governs for _, query, governs in pairs if query == QUERIES[0].query] == [True, False]
    assert [governs for _, query, governs in pairs if query == QUERIES[3].query] == [False, False]


@pytest.mark.parametrize("budget", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("count", [99, 150, 1_000])
def test_the_guarantee_holds_over_many_draws(budget: float, count: int) -> None:
    chance = np.random.default_rng(0)
    fired = [
        draw[-1] >= conformal_threshold(draw[:-1], budget)
        for draw in chance.beta(0.3, 3, (20_000, count + 1)).astype(np.float32)
    ]
    # At most the budget, and not much less: a threshold of 1 would keep within any.
    spread = 4 * np.sqrt(budget / 20_000)
    assert budget - 1 / (count + 1) - spread <= np.mean(fired) <= budget + spread


def test_a_threshold_keeps_the_rate_on_the_scores_themselves() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.95] * 40)
    cut = conformal_threshold(scores, 0.25)
    assert np.mean(scores >= cut) <= 0.25
    assert 0.9 < cut <= 0.95


def test_too_few_queries_or_too_high_scores_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 99"):
        conformal_threshold(np.zeros(98), 0.01)
    assert conformal_threshold(np.zeros(99), 0.01) > 0
    with pytest.raises(UsageError, match="full 1"):
        conformal_threshold(np.ones(200), 0.01)


def written(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_labelled_files_are_read(tmp_path: Path) -> None:
    facts = written(tmp_path / "f", [{"id": 1, "text": "Tea is green."}, "", {"id": "x", "text": "Rain is wet."}])
    queries = written(tmp_path / "q", [{"query": "What is tea?", "facts": [1]}, {"query": "Hello", "kind": "chat"}])
    data = read_labelled(facts, queries)
    assert data.facts == {"1": "Tea is green.", "x": "Rain is wet."}
    assert data.queries == (
        Labelled("What is tea?", frozenset("1"), "in scope"),
        Labelled("Hello", frozenset(), "chat"),
    )


def test_ids_of_one_text_are_one_fact(tmp_path: Path) -> None:
    facts = written(tmp_path / "f", [{"id": 1, "text": "Tea is green."}, {"id": 2, "text": "Tea is green. "}])
    queries = written(tmp_path / "q", [{"query": "What is tea?", "facts": [2]}])
    data = read_labelled(facts, queries)
    assert data.facts == {"1": "Tea is green."}
    assert data.queries[0].facts == {"1"}


@pytest.mark.parametrize(
    ("facts", "queries", "message"),
    [
        ([], [{"query": "q"}], "no facts"),
        ([{"id": "1", "text": "t"}], [], "no queries"),
        ([{"id": "1"}], [{"query": "q"}], 'f, line 1: "text"'),
        ([{"id": "1", "text": "t"}], [{"query": "q", "facts": ["2"]}], "q, line 1: no fact in f has the id '2'"),
        ([{"id": "1", "text": "t"}], [{"query": "q", "facts": "1"}], "list of ids"),
        ([{"id": "1", "text": "t"}], ["{"], "q, line 1: not JSON"),
        ([{"id": "1", "text": "t"}], [[1]], "q, line 1: not a JSON object"),
        ([{"id": "1", "text": "t"}], [{"query": ""}], '"query" is missing'),
        ([{"id": "1", "text": "t"}, {"id": "1", "text": "u"}], [{"query": "q"}], "f, line 2: another fact has the id"),
        ([{"id": "1", "text": "t\u0007"}], [{"query": "q"}], "f, line 1: the text holds the control character"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, facts: list[object], queries: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_labelled(written(tmp_path / "f", facts), written(tmp_path / "q", queries))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_labelled(tmp_path / "none", tmp_path / "none")


class Silent:
    """Not a classifier: nothing applies."""

    name, threshold = "silent", 0.5

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        return np.zeros(len(pairs), np.float32)


def test_any_classifier_can_be_measured(kept: KeptEncoder) -> None:
    figures = report(*decide(LabelledSet(FACTS, QUERIES), Silent(), kept))
    assert (figures.recall, figures.false_fire_rate, figures.precision) == (0.0, 0.0, None)
