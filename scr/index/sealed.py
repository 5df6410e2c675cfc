"""Many vectors that change no more: compared by short sketches first, and the best of them exactly."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

_SHORTLIST, _PER_RESULT = 400, 20
_SAMPLE = 20_000
_DIMENSIONS_PER_SKETCH = 4


class Sketches:
    """Four bits for every four dimensions of a vector, all of them scanned for each query.

    Product quantisation (Jégou et al. 2011) with tables that fit into registers (André et al. 2015), in FAISS. A single
    inverted list holds them all: unlike the plain index, that one takes filters and gives up numbers.

    Args:
        native: a trained ``IndexIVFPQFastScan`` of one list.
    """

    def __init__(self, native: Any) -> None:
        self._native = native

    @classmethod
    def train(cls, sample: NDArray[np.float32]) -> Sketches:
        """Codebooks for vectors like these, shape (n, dimensions), n ≥ 16; they are not added."""
        parts = -(-sample.shape[1] // _DIMENSIONS_PER_SKETCH)
        dimensions, lists, bits = parts * _DIMENSIONS_PER_SKETCH, 1, 4
        whole = faiss.IndexFlatIP(dimensions)
        whole.add(np.zeros((1, dimensions), np.float32))
        native = faiss.IndexIVFPQFastScan(whole, dimensions, lists, parts, bits, faiss.METRIC_INNER_PRODUCT)
        native.by_residual = False
        native.pq.cp.min_points_per_centroid = 1
        native.train(_padded(sample, dimensions))
        return cls(native)

    @classmethod
    def from_bytes(cls, data: NDArray[np.uint8]) -> Sketches:
        """What ``to_bytes`` gave. FAISS trusts the bytes: check them first."""
        return cls(faiss.deserialize_index(data))

    def to_bytes(self) -> NDArray[np.uint8]:
        """For a file."""
        data: NDArray[np.uint8] = faiss.serialize_index(self._native)
        return data

    def copy(self) -> Sketches:
        """The same sketches, to be changed without harm to these."""
        return Sketches.from_bytes(self.to_bytes())

    def add(self, numbers: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Add vectors, shape (n, dimensions), under n new numbers."""
        self._native.add_with_ids(_padded(vectors, self._native.d), np.asarray(numbers, np.int64))

    def remove(self, numbers: NDArray[np.int64]) -> None:
        """Drop numbers."""
        self._native.remove_ids(faiss.IDSelectorBatch(np.asarray(numbers, np.int64)))

    def shortlist(
        self, queries: NDArray[np.float32], size: int, allowed: NDArray[np.uint8] | None
    ) -> NDArray[np.int64]:
        """Numbers of the vectors that look nearest, shape (q, size), -1 where there are fewer."""
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=1)
        numbers: NDArray[np.int64] = self._native.search(_padded(queries, self._native.d), size, params=parameters)[1]
        return numbers


def _padded(vectors: NDArray[np.floating[Any]], dimensions: int) -> NDArray[np.float32]:
    """With zeros up to ``dimensions``, which change no cosine."""
    missing = dimensions - vectors.shape[1]
    return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors, np.float32)


def sample_of(count: int) -> NDArray[np.int64]:
    """Which of ``count`` rows to train on, rising; the same for the same count."""
    chosen = np.random.default_rng(0).choice(count, min(count, _SAMPLE), replace=False)
    return np.sort(chosen)


class Sealed:
    """Unit vectors, and a sketch of each.

    Args:
        numbers: rising, shape (n,), int64.
        vectors: theirs, shape (n, dimensions), float16; both may lie in mapped files.
        sketches: of the same numbers.
    """

    def __init__(self, numbers: NDArray[np.int64], vectors: NDArray[np.float16], sketches: Sketches) -> None:
        self._numbers, self.vectors, self.sketches = numbers, vectors, sketches
        self._live = np.ones(len(numbers), np.bool_)

    def __len__(self) -> int:
        return int(np.count_nonzero(self._live))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of ``vectors`` that are not removed, rising."""
        return np.flatnonzero(self._live)

    def numbers(self) -> NDArray[np.int64]:
        """The number of each of ``rows``."""
        numbers: NDArray[np.int64] = self._numbers[self._live]
        return numbers

    def remove(self, numbers: NDArray[np.int64]) -> int:
        """Remove numbers; unknown ones are ignored. Returns how many were there."""
        wanted = np.unique(numbers)
        places = np.minimum(np.searchsorted(self._numbers, wanted), len(self._numbers) - 1)
        places = places[(self._numbers[places] == wanted) & self._live[places]]
        if len(places):
            self._live[places] = False
            self.sketches.remove(self._numbers[places])
        return len(places)

    def search(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest vectors of each query; see :meth:`VectorIndex.search`."""
        size = min(len(self), max(_SHORTLIST, _PER_RESULT * k))
        cosines = np.full((len(queries), k), -np.inf, np.float32)
        found = np.full((len(queries), k), -1, np.int64)
        if not size:
            return cosines, found
        for row, shortlist in enumerate(self.sketches.shortlist(queries, size, allowed)):
            numbers = shortlist[shortlist >= 0]
            exact = self.vectors[np.searchsorted(self._numbers, numbers)].astype(np.float32) @ queries[row]
            best = np.argsort(-exact, kind="stable")[:k]
            cosines[row, : len(best)], found[row, : len(best)] = exact[best], numbers[best]
        return cosines, found
