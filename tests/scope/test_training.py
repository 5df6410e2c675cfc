from collections import Counter
from random import Random

import numpy as np
import pytest

from scr.scope.measure import auroc, average_precision, calibration_error, platt
from scr.scope.training.build import Builder
from scr.scope.training.mined import mined
from scr.scope.training.negatives import general
from scr.scope.training.pairs import Probe, Record, split_of
from scr.scope.training.relations import library, relation_of, sharp

NAMES = ["Ada Lund", "Ben Okafor", "Carla Whitt", "Dmitri Falk", "Elena Marchetti", "Farid Haddad", "Gro Hansen"]
TOWNS = ["Oslo", "Lagos", "Leeds", "Minsk", "Trieste", "Cairo", "Bergen"]
PROBE = Probe("who sings the song", "general", positive=False)
RECORDS = [
    Record("made", name, town, f"Where was {name} born?", "birthplace", probes=(PROBE,))
    for name, town in zip(NAMES, TOWNS, strict=True)
]


def test_the_library_is_whole():
    relations = library()
    assert len(relations) > 100
    for relation in relations.values():
        assert relation.nouns
        assert relation.questions
        for text in (*relation.clozes, *relation.questions):
            assert "{s}" in text, f"{relation.key}: {text}"
        assert all("{o}" in text for text in relation.inverse)


def test_a_relation_is_recognised_in_other_words():
    assert relation_of("Where was Ada Lund born?", "Ada Lund") == "birthplace"
    assert relation_of("The place of death of Ada Lund is", "Ada Lund") == "deathplace"
    assert relation_of("In what city was Ada Lund born in?", "Ada Lund") == "birthplace"
    assert relation_of("Where was Ada Lund born?", "Ben Okafor") == ""
    assert sharp("burial", "birthplace")
    assert not sharp("country", "continent")
    assert not sharp("continent", "country")


def test_pairs_are_the_same_for_the_same_seed():
    assert list(Builder(RECORDS, 3).pairs()) == list(Builder(RECORDS, 3).pairs())
    assert list(Builder(RECORDS, 3).pairs()) != list(Builder(RECORDS, 4).pairs())


def test_labels_follow_the_kind_and_every_kind_is_there():
    pairs = [pair for seed in range(30) for pair in Builder(RECORDS, seed).pairs()]
    by_kind = {kind: {p.label for p in pairs if p.kind == kind} for kind in Counter(p.kind for p in pairs)}
    for kind in ("asked", "alias", "nested", "verified", "made up"):
        assert by_kind[kind] == {1.0}
    for kind in ("same subject", "same relation", "lookalike", "negated", "object", "framed", "task", "general"):
        assert by_kind[kind] == {0.0}


def test_a_subject_is_in_one_part_only():
    assert split_of("Ada  Lund", "zsre") == split_of("ada lund", "zsre")
    parts = Counter(split_of(f"subject {n}", "counterfact") for n in range(2000))
    assert 0.02 < parts["tune"] / 2000 < 0.06
    assert 0.10 < parts["test"] / 2000 < 0.18
    assert not any(split_of(f"subject {n}", "zsre") == "test" for n in range(2000))


def test_measures_against_values_worked_out_by_hand():
    assert auroc([3, 2], [1, 2]) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert np.isnan(auroc([], [1]))
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx((1 + 2 / 3) / 2)
    assert calibration_error([0.25, 0.25, 0.25, 0.25], [1, 0, 0, 0]) == pytest.approx(0)
    assert calibration_error([0.9, 0.9], [0, 0]) == pytest.approx(0.9)


def test_platt_finds_the_scale_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=20000).astype(np.float32) * 3
    labels = rng.random(20000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    scale, shift = platt(logits, labels)
    assert scale == pytest.approx(0.5, abs=0.03)
    assert shift == pytest.approx(-1, abs=0.06)


def test_platt_is_not_surer_than_few_pairs_allow():
    logits = np.array([-4, -3.5, -3, -5, -4.2, -2.9, 2, 3, 2.5, 4], np.float32)
    scale, shift = platt(logits, logits > 0)
    chances = 1 / (1 + np.exp(-(scale * logits + shift)))
    assert 0.6 < chances[logits > 0].mean() < 0.95  # of 4 of 4: (4 + 1) / (4 + 2)
    assert 0.05 < chances[logits < 0].mean() < 0.2


def test_mined_negatives_are_near_and_surely_wrong(kept):
    employed = [Record("made", name, "Acme", f"Who employs {name}?", "employer", probes=(PROBE,)) for name in NAMES[:4]]
    pairs = list(mined(RECORDS + employed, kept, 0))
    assert pairs == list(mined(RECORDS + employed, kept, 0))
    assert {pair.label for pair in pairs if pair.kind == "mined"} == {0.0}
    assert {pair.label for pair in pairs if pair.kind == "asked"} == {1.0}
    governs = {pair.query: pair.fact for pair in pairs if pair.kind == "asked"}
    for pair in pairs:
        name = next((name for name in NAMES if name in pair.query), None)
        if pair.kind == "mined" and name and name in pair.fact:
            # Of the one asked about there are two facts: it is the other one.
            assert ("Acme" in governs[pair.query]) != ("Acme" in pair.fact)
    outside = {pair.query for pair in pairs if pair.query == PROBE.query}
    assert outside == {PROBE.query}


def test_requests_and_sums_are_filled_in():
    rng = Random(0)
    texts = {general(rng) for _ in range(2000)}
    assert len(texts) > 1000
    assert not any("{" in text and "{}" not in text for text in texts)
