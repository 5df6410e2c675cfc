"""Vectors to search, and the slow way that is surely right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scr.index.sealed import Sealed, Sketches
from scr.index.vectors import VectorIndex


def units(count: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    """Random directions, as 16-bit floats can hold them."""
    drawn = np.random.default_rng(seed).normal(size=(count, dimensions))
    return _as_stored(drawn)


def clustered(count: int, dimensions: int, seed: int = 0) -> NDArray[np.float32]:
    """Directions that gather around a few, as sentences of one relation do."""
    generator = np.random.default_rng(seed)
    middles = units(max(1, count // 60), dimensions, seed + 1)
    return _as_stored(
        middles[generator.integers(len(middles), size=count)]
        + generator.normal(0, 0.7 / np.sqrt(dimensions), (count, dimensions))
    )


def _as_stored(drawn: NDArray[np.float64]) -> NDArray[np.float32]:
    drawn = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn.astype(np.float16).astype(np.float32)


def filled(numbers: NDArray[np.int64], stored: NDArray[np.float32]) -> VectorIndex:
    """An index of these vectors."""
    index = VectorIndex(stored.shape[1])
    index.add(numbers, stored)
    return index


def sealed(numbers: NDArray[np.int64], stored: NDArray[np.float32]) -> VectorIndex:
    """An index of these vectors, all of them sealed; numbers have to rise."""
    sketches, vectors = Sketches.train(stored), stored.astype(np.float16)
    sketches.add(numbers, vectors)
    return VectorIndex(stored.shape[1], Sealed(numbers, vectors, sketches))


def brute_force(
    numbers: NDArray[np.int64], stored: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cosines and numbers of the k nearest, padded with minus infinity and -1."""
    cosines = np.full((len(queries), max(k, len(numbers))), -np.inf, np.float32)
    cosines[:, : len(numbers)] = queries @ stored.T
    padded = np.full(cosines.shape[1], -1, np.int64)
    padded[: len(numbers)] = numbers
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(cosines, order, 1), padded[order]


def recall(found: NDArray[np.int64], expected: NDArray[np.int64]) -> float:
    """Share of the true neighbours that were found."""
    return float(np.mean([np.isin(right, row).mean() for right, row in zip(expected, found, strict=True)]))
