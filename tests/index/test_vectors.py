"""The index against brute force."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scr.index import vectors
from scr.index.vectors import VectorIndex

from ..kept import KeptEncoder
from .material import brute_force, clustered, filled, recall, units

_D = 16


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inverted lists from 500 vectors on, so that few show what many would do."""
    monkeypatch.setattr(vectors, "EXACT_UP_TO", 500)


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex.create(_D)
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
    assert index.kind == "flat"
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(cosines[found > 0], expected_cosines[expected > 0], atol=1e-5)


def test_a_stored_vector_is_its_own_nearest_with_cosine_one() -> None:
    stored = units(300, _D)
    cosines, found = filled(np.arange(300) + 7, stored).search(stored, 1)
    np.testing.assert_array_equal(found[:, 0], np.arange(300) + 7)
    np.testing.assert_allclose(cosines, 1, atol=2e-3)


@pytest.mark.usefixtures("small_lists")
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_a_filter_is_honoured_and_finds_all_it_leaves(kind: str) -> None:
    stored = clustered(400 if kind == "flat" else 3_000, _D)
    numbers = np.arange(1, len(stored) + 1)
    index = filled(numbers, stored)
    assert index.kind == kind
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


@pytest.mark.usefixtures("small_lists")
def test_more_wanted_than_there_are_finds_all() -> None:
    stored = clustered(1_200, _D)
    _, found = filled(np.arange(1_200) + 1, stored).search(stored[:3], 1_500)
    for row in found:
        assert set(row[row > 0]) == set(range(1, 1_201))


@pytest.mark.usefixtures("small_lists")
def test_many_go_into_lists_and_are_found_again() -> None:
    stored = clustered(6_000, 64)
    numbers = np.arange(6_000) * 3 + 1
    index = VectorIndex.create(64)
    for start in range(0, 6_000, 700):
        index.add(numbers[start : start + 700], stored[start : start + 700])
    assert index.kind == "ivf"
    np.testing.assert_array_equal(np.sort(index.numbers()), numbers)
    queries = stored[::30] + 0.05 * units(200, 64, seed=4)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, found = index.search(queries, 20)
    assert recall(found, brute_force(numbers, stored, queries, 20)[1]) >= 0.98


@pytest.mark.usefixtures("small_lists")
def test_removed_numbers_are_found_no_more() -> None:
    stored = clustered(2_000, _D)
    index = filled(np.arange(1, 2_001), stored)
    gone = np.arange(1, 1_901)
    assert index.remove(gone) == 1_900
    assert index.remove(gone) == 0
    assert len(index) == 100
    _, found = index.search(stored[:20], 150)
    for row in found:
        assert set(row) == {-1, *range(1_901, 2_001)}


@pytest.mark.usefixtures("small_lists")
def test_real_sentences_are_recalled(kept: KeptEncoder) -> None:
    names = [f"{first} {last}" for first in ("Ada", "Boris", "Chen", "Dina") for last in ("Kovic", "Lindley", "Orman")]
    towns = ["Lyon", "Porto", "Graz", "Turku", "Leeds", "Bari"]
    facts = [f"{name} {verb} {town}." for name in names for verb in ("was born in", "lives in") for town in towns]
    facts += [f"The mayor of {town} is {name}." for town in towns for name in names]
    facts += [f"{town} has a population of {count:,}." for town in towns for count in range(1_000, 60_000, 1_000)]
    questions = [f"Where was {name} born?" for name in names] + [f"Who is the mayor of {town}?" for town in towns]
    stored, queries = kept.encode(facts), kept.encode(questions)
    numbers = np.arange(1, len(facts) + 1)
    index = filled(numbers, stored)
    assert index.kind == "ivf"
    _, found = index.search(queries, 20)
    assert recall(found, brute_force(numbers, stored, queries, 20)[1]) >= 0.9


_Step = tuple[str, list[int]]
_steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "replace"]), st.lists(st.integers(1, 60), min_size=1, max_size=12)),
    max_size=15,
)


@pytest.mark.parametrize("exact_up_to", [10_000, 20])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_any_sequence_of_changes_leaves_what_a_dict_would_hold(
    exact_up_to: int, steps: list[_Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "EXACT_UP_TO", exact_up_to)
    index, model = VectorIndex.create(_D), dict[int, NDArray[np.float32]]()
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
