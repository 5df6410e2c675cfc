"""Embeddings by the hundred thousand and by the million, without encoding a million sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sentences import Sentence, sentences
from scr.encoder import open_encoder

_BLOCK = 50_000


def encoded(count: int, cache: Path) -> tuple[list[Sentence], NDArray[np.float32]]:
    """Sentences and their embeddings, shape (count, dimensions), kept in ``cache`` for the next run."""
    chosen = list(sentences(count))
    file = cache / f"sentences-{count}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, open_encoder().encode([sentence.text for sentence in chosen]).astype(np.float16))
    return chosen, np.load(file).astype(np.float32)


def mixed(
    chosen: list[Sentence], vectors: NDArray[np.float32], count: int, seed: int = 2
) -> Iterator[NDArray[np.float32]]:
    """Blocks of ``count`` vectors in all: the given ones, then mixtures of two facts of one relation.

    Around the middle of their relation, two facts are turned into each other by 20 to 70 degrees. Distances to the
    nearest neighbours and the spectrum come out as those of encoded sentences, which noise around sentences misses.
    """
    relations = np.array([sentence.relation for sentence in chosen])
    middles = np.stack([vectors[relations == relation].mean(0) for relation in range(relations.max() + 1)])
    by_relation = np.argsort(relations, kind="stable")
    first = np.searchsorted(relations[by_relation], np.arange(relations.max() + 2))
    chance = np.random.default_rng(seed)
    for start in range(0, min(count, len(vectors)), _BLOCK):
        yield vectors[start : min(count, start + _BLOCK)]
    for start in range(len(vectors), count, _BLOCK):
        size = min(_BLOCK, count - start)
        one = chance.integers(0, len(vectors), size)
        own = relations[one]
        other = by_relation[first[own] + (chance.random(size) * (first[own + 1] - first[own])).astype(int)]
        angle = np.deg2rad(chance.uniform(20, 70, (size, 1))).astype(np.float32)
        made = (
            middles[own]
            + np.cos(angle) * (vectors[one] - middles[own])
            + np.sin(angle) * (vectors[other] - middles[own])
        )
        yield made / np.linalg.norm(made, axis=1, keepdims=True)
