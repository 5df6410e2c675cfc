"""The index against brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scr.index.sealed import Sketches
from scr.index.vectors import VectorIndex

from ..kept import KeptEncoder
from .material import brute_force, clustered, filled, recall, sealed, units

_D = 16
Fill: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.float32]], VectorIndex]


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    yield
    faiss.omp_set_num_threads(before)


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex(_D)
    cosines, numbers = index.search(units(3, _D), 5)
    assert len(index) == 0
    assert cosines.shape == numbers.shape == (3, 5)
    assert (numbers == -1).all()
    assert index.remove(np.array([1, 2])) == 0
    assert index.numbers().size == 0


@pytest.mark.parametrize("count", [1, 5, 400])
def test_few_vectors_are_compared_exactly(count: int) -> None:
    stored = units(count, _D)
    numbers = np.arange(1, count + 1)
    index = filled(numbers, stored)
    queries = units(20, _D, seed=9)
    cosines, found = index.search(queries, 10)
    expected_cosines, expected = brute_force(numbers, stored, queries, 10)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(cosines[found > 0], expected_cosines[expected > 0], atol=1e-5)


def test_a_stored_vector_is_its_own_nearest_with_cosine_one() -> None:
    stored = units(300, _D)
    cosines, found = filled(np.arange(300) + 7, stored).search(stored, 1)
    np.testing.assert_array_equal(found[:, 0], np.arange(300) + 7)
    np.testing.assert_allclose(cosines, 1, atol=2e-3)


@pytest.mark.parametrize("fill", [filled, sealed])
def test_a_filter_is_honoured_and_finds_all_it_leaves(fill: Fill) -> None:
    stored = clustered(3_000, _D)
    numbers = np.arange(1, len(stored) + 1)
    index = fill(numbers, stored)
    for share in (0.0, 0.002, 0.02, 0.5):
        chosen = np.random.default_rng(3).random(len(stored) + 1) < share
        chosen[0] = False
        _, found = index.search(stored[:10], 20, np.packbits(chosen, bitorder="little"))
        assert chosen[found[found > 0]].all()
        assert ((found > 0).sum(axis=1) == min(20, chosen.sum())).all()


def test_a_filter_may_be_shorter_than_the_index() -> None:
    index = filled(np.arange(1, 101), units(100, _D))
    allowed = np.packbits(np.arange(8) == 3, bitorder="little")
    _, found = index.search(units(2, _D, seed=5), 4, allowed)
    np.testing.assert_array_equal(found, [[3, -1, -1, -1]] * 2)


@pytest.mark.parametrize("fill", [filled, sealed])
def test_more_wanted_than_there_are_finds_all(fill: Fill) -> None:
    stored = clustered(1_200, _D)
    _, found = fill(np.arange(1_200) + 1, stored).search(stored[:3], 1_500)
    for row in found:
        assert set(row[row > 0]) == set(range(1, 1_201))


@pytest.mark.parametrize("dimensions", [16, 25, 31, 64])
def test_sealed_vectors_and_recent_ones_are_found_together(dimensions: int) -> None:
    stored = clustered(6_000, dimensions)
    numbers = np.arange(6_000) * 3 + 1
    index = sealed(numbers[:5_000], stored[:5_000])
    index.add(numbers[5_000:], stored[5_000:])
    np.testing.assert_array_equal(np.sort(index.numbers()), numbers)
    queries = stored[::30] + 0.05 * units(200, dimensions, seed=4)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    cosines, found = index.search(queries, 20)
    expected_cosines, expected = brute_force(numbers, stored, queries, 20)
    assert recall(found, expected) >= 0.98
    np.testing.assert_allclose(cosines[:, 0], expected_cosines[:, 0], atol=1e-5)


def test_sketches_of_real_dimensions_recall_nearly_all() -> None:
    stored = clustered(12_000, 384)
    numbers = np.arange(1, 12_001)
    queries = stored[::60] + 0.6 * units(200, 384, seed=4)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, found = sealed(numbers, stored).search(queries, 20)
    assert recall(found, brute_force(numbers, stored, queries, 20)[1]) >= 0.99


@pytest.mark.parametrize("fill", [filled, sealed])
def test_removed_numbers_are_found_no_more(fill: Fill) -> None:
    stored = clustered(2_000, _D)
    index = fill(np.arange(1, 2_001) * 2, stored)
    gone = np.arange(-5, 3_801)  # odd ones are unknown
    assert index.remove(gone) == 1_900
    assert index.remove(gone) == 0
    assert len(index) == 100
    _, found = index.search(stored[:20], 150)
    for row in found:
        assert set(row) == {-1, *range(3_802, 4_001, 2)}


@pytest.mark.parametrize("fill", [filled, sealed])
def test_blocks_give_back_every_vector_in_the_order_of_numbers(fill: Fill) -> None:
    stored = clustered(300, _D)
    numbers = np.random.default_rng(0).permutation(900)[:300]
    index = fill(np.sort(numbers[:200]), stored[:200][np.argsort(numbers[:200])])
    index.add(numbers[200:], stored[200:])
    index.remove(numbers[150:250])
    got_numbers, got = (np.concatenate(part) for part in zip(*index.blocks(), strict=True))
    kept = np.r_[numbers[:150], numbers[250:]]
    order = np.argsort(kept)
    np.testing.assert_array_equal(got_numbers, kept[order])
    np.testing.assert_array_equal(got, np.r_[stored[:150], stored[250:]][order].astype(np.float16))


def test_copied_sketches_leave_the_first_alone() -> None:
    stored = clustered(500, _D)
    first = Sketches.train(stored)
    first.add(np.arange(500), stored.astype(np.float16))
    second = first.copy()
    second.remove(np.arange(400))
    assert (second.shortlist(stored[:5], 50, None) >= 400).all()
    assert (first.shortlist(stored[:5], 1, None)[:, 0] < 400).any()


def test_sealed_vectors_may_all_go() -> None:
    index = sealed(np.arange(1, 51), clustered(50, _D))
    assert index.remove(np.arange(1, 51)) == 50
    assert len(index) == 0
    assert (index.search(units(2, _D), 5)[1] == -1).all()


def test_real_sentences_are_recalled(kept: KeptEncoder) -> None:
    names = [f"{first} {last}" for first in ("Ada", "Boris", "Chen", "Dina") for last in ("Kovic", "Lindley", "Orman")]
    towns = ["Lyon", "Porto", "Graz", "Turku", "Leeds", "Bari"]
    facts = [f"{name} {verb} {town}." for name in names for verb in ("was born in", "lives in") for town in towns]
    facts += [f"The mayor of {town} is {name}." for town in towns for name in names]
    facts += [f"{town} has a population of {count:,}." for town in towns for count in range(1_000, 60_000, 1_000)]
    questions = [f"Where was {name} born?" for name in names] + [f"Who is the mayor of {town}?" for town in towns]
    stored, queries = kept.encode(facts), kept.encode(questions)
    numbers = np.arange(1, len(facts) + 1)
    _, found = sealed(numbers, stored.astype(np.float16).astype(np.float32)).search(queries, 20)
    assert recall(found, brute_force(numbers, stored, queries, 20)[1]) >= 0.98


_Step = tuple[str, list[int]]
_steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "replace"]), st.lists(st.integers(1, 60), min_size=1, max_size=12)),
    max_size=15,
)


@pytest.mark.parametrize("fill", [filled, sealed])
@settings(max_examples=40, deadline=None)
@given(steps=_steps)
def test_any_sequence_of_changes_leaves_what_a_dict_would_hold(fill: Fill, steps: list[_Step]) -> None:
    first, some = units(20, _D, seed=77), np.arange(1, 41, 2)
    index, model = fill(some, first), dict(zip(some.tolist(), first, strict=True))
    for seed, (kind, wanted) in enumerate(steps):
        numbers = np.unique(wanted).astype(np.int64)
        fresh = units(len(numbers), _D, seed=seed)
        if kind != "add":
            assert index.remove(numbers) == sum(model.pop(number, None) is not None for number in numbers.tolist())
        if kind != "remove":
            new = np.array([number not in model for number in numbers.tolist()])
            index.add(numbers[new], fresh[new])
            model.update(zip(numbers[new].tolist(), fresh[new], strict=True))
    assert len(index) == len(model)
    assert set(index.numbers().tolist()) == set(model)
    queries = units(3, _D, seed=99)
    _, found = index.search(queries, 60)  # all of them: exact whatever the kind
    stored = np.array(list(model.values()), np.float32).reshape(-1, _D)
    expected = brute_force(np.array(list(model), np.int64), stored, queries, 60)[1]
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))
    if model:
        nearest = (queries @ stored.T).max(axis=1)
        np.testing.assert_allclose(
            [model[number] @ query for number, query in zip(found[:, 0], queries, strict=True)], nearest, atol=2e-3
        )
