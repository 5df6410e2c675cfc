"""Nearest vectors by cosine: the sealed many, by way of sketches, and the recent ones, exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from scr.index.sealed import Sealed

_BLOCK = 65_536
_WORTH_THREADS = 64


class VectorIndex:
    """Unit vectors of 16-bit floats under numbers that stay.

    Args:
        dimensions: length of a vector.
        sealed: vectors from a snapshot; None where every vector is to be compared.
    """

    def __init__(self, dimensions: int, sealed: Sealed | None = None) -> None:
        self.dimensions, self.sealed = dimensions, sealed
        codes = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._recent: Any = faiss.IndexIDMap(codes)

    def __len__(self) -> int:
        return int(self._recent.ntotal) + (len(self.sealed) if self.sealed else 0)

    def numbers(self) -> NDArray[np.int64]:
        """Every number in the index, in no order."""
        recent = self._recent_numbers()
        return np.concatenate([self.sealed.numbers(), recent]) if self.sealed else recent

    def _recent_numbers(self) -> NDArray[np.int64]:
        return np.array(faiss.vector_to_array(self._recent.id_map), np.int64)

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Every number, rising, with its vector, some at a time."""
        sealed = self.sealed
        recent = len(sealed.vectors) if sealed else 0  # places from here on are those of recent vectors
        places = np.arange(recent, recent + self._recent.ntotal)
        if sealed:
            places = np.concatenate([sealed.rows, places])
        numbers = self.numbers()
        order = np.argsort(numbers, kind="stable")
        for start in range(0, len(order), _BLOCK):
            some = order[start : start + _BLOCK]
            old = places[some] < recent
            vectors = np.empty((len(some), self.dimensions), np.float16)
            if sealed:
                vectors[old] = sealed.vectors[places[some][old]]
            vectors[~old] = self._recent.index.reconstruct_batch(places[some][~old] - recent)
            yield numbers[some], vectors

    def add(self, numbers: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add vectors, shape (n, dimensions), under n numbers that are not in the index."""
        if len(numbers):
            self._recent.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.asarray(numbers, np.int64))

    def remove(self, numbers: NDArray[np.int64]) -> int:
        """Remove numbers; unknown ones are ignored. Returns how many were there."""
        if not len(numbers):
            return 0
        removed = self.sealed.remove(numbers) if self.sealed else 0
        if self._recent.ntotal:
            removed += int(self._recent.remove_ids(faiss.IDSelectorBatch(np.asarray(numbers, np.int64))))
        return removed

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.uint8] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest vectors of each query.

        Args:
            queries: shape (q, dimensions), of length 1.
            k: how many; where there are fewer, rows end in numbers of -1.
            allowed: one bit per number, little-endian; None allows all.

        Returns:
            Cosines and numbers, each of shape (q, k), best first.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        parameters = faiss.SearchParameters(sel=None if allowed is None else faiss.IDSelectorBitmap(allowed))
        with _threads_for(len(queries)):
            cosines, numbers = self._recent.search(queries, k, params=parameters)
            if not self.sealed:
                return cosines, numbers
            old_cosines, old_numbers = self.sealed.search(queries, k, allowed)
        cosines = np.concatenate([np.where(numbers < 0, -np.inf, cosines), old_cosines], axis=1)
        numbers = np.concatenate([numbers, old_numbers], axis=1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(cosines, best, 1).astype(np.float32), np.take_along_axis(numbers, best, 1)


@contextmanager
def _threads_for(queries: int) -> Iterator[None]:
    """Search for few queries in this thread alone: to wake others costs more, where cores are busy up to 20 ms."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(before if queries >= _WORTH_THREADS else 1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
