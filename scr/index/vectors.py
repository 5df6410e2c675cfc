"""Nearest vectors by cosine: exact while there are few, inverted lists once there are many."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["flat", "ivf"]

EXACT_UP_TO = 30_000
"""Up to here every vector is compared, in about a millisecond."""

_OUTGROWN = 4
_TRAINING_PER_LIST = 48
_RECALL, _SAMPLE, _K = 0.997, 500, 20


class VectorIndex:
    """Unit vectors of 16-bit floats under numbers that stay, 2 bytes a dimension and 8 a number.

    Args:
        native: a trained FAISS index that keeps ids.
        kind: ``flat`` compares every vector; ``ivf`` only those in the lists nearest to the query.
    """

    def __init__(self, native: Any, kind: Kind) -> None:
        self._native, self.kind = native, kind

    @classmethod
    def create(cls, dimensions: int) -> VectorIndex:
        """An empty index."""
        codes = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        return cls(faiss.IndexIDMap(codes), "flat")

    def __len__(self) -> int:
        return int(self._native.ntotal)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._native.d)

    @property
    def native(self) -> Any:
        """The FAISS index, for saving."""
        return self._native

    def numbers(self) -> NDArray[np.int64]:
        """Every number in the index, in no order."""
        if self.kind == "flat":
            return np.array(faiss.vector_to_array(self._native.id_map), np.int64)
        lists = self._native.invlists
        parts = [
            faiss.rev_swig_ptr(lists.get_ids(place), lists.list_size(place)).copy()
            for place in range(lists.nlist)
            if lists.list_size(place)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def add(self, numbers: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add vectors, shape (n, dimensions), under n numbers that are not in the index."""
        if len(numbers):
            self._native.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.asarray(numbers, np.int64))
            if self._outgrown():
                self._regroup()

    def remove(self, numbers: NDArray[np.int64]) -> int:
        """Remove numbers; unknown ones are ignored. Returns how many were there."""
        if not len(numbers) or not len(self):
            return 0
        return int(self._native.remove_ids(faiss.IDSelectorBatch(np.asarray(numbers, np.int64))))

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
        selector = None if allowed is None else faiss.IDSelectorBitmap(allowed)
        cosines, numbers = self._search(queries, k, selector, self._probes())
        short = (numbers[:, -1] < 0) & (self.kind == "ivf")
        if short.any():
            # A narrow filter, or a large k, may find too little in the nearest lists: look into all of them.
            everywhere = int(self._native.nlist)
            cosines[short], numbers[short] = self._search(queries[short], k, selector, everywhere)
        return cosines, numbers

    def _search(
        self, queries: NDArray[np.float32], k: int, selector: Any, probes: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self.kind == "ivf":
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        cosines, numbers = self._native.search(queries, k, params=parameters)
        return cosines, numbers

    def _probes(self) -> int:
        return int(self._native.nprobe) if self.kind == "ivf" else 0

    def _outgrown(self) -> bool:
        if self.kind == "flat":
            return len(self) > EXACT_UP_TO
        return len(self) > _OUTGROWN * _ideal_capacity(self._native.nlist)

    def _regroup(self) -> None:
        """Sort the vectors into lists of about the square root of their number, and measure how many to look into."""
        numbers, vectors = self._everything()
        lists = 1 << round(np.log2(np.sqrt(len(numbers)) * 2))
        coarse = faiss.IndexFlatIP(self.dimensions)
        grouped = faiss.IndexIVFScalarQuantizer(
            coarse, self.dimensions, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
        )
        grouped.cp.niter, grouped.cp.max_points_per_centroid = 8, _TRAINING_PER_LIST
        grouped.cp.min_points_per_centroid = 1
        generator = np.random.default_rng(0)
        some = generator.permutation(len(numbers))[: lists * _TRAINING_PER_LIST]
        grouped.train(vectors[some])
        grouped.add_with_ids(vectors, numbers)
        grouped.nprobe = _enough_probes(grouped, vectors, generator)
        self._native, self.kind = grouped, "ivf"

    def _everything(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self.kind == "flat":
            return self.numbers(), self._native.index.reconstruct_n(0, len(self))
        lists, size = self._native.invlists, self._native.code_size
        codes = [
            faiss.rev_swig_ptr(lists.get_codes(place), lists.list_size(place) * size).copy()
            for place in range(lists.nlist)
            if lists.list_size(place)
        ]
        vectors = np.concatenate(codes).view(np.float16).reshape(-1, self.dimensions)
        return self.numbers(), vectors.astype(np.float32)


def _ideal_capacity(lists: int) -> int:
    return int((lists / 2) ** 2)


def _enough_probes(grouped: Any, vectors: NDArray[np.float32], generator: np.random.Generator) -> int:
    """Fewest lists, by doubling, that hold nearly all of the true neighbours of sample queries."""
    sample = vectors[generator.choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False)]
    # Questions lie beside their facts, not on them.
    sample = sample + generator.normal(0, 0.6 / np.sqrt(sample.shape[1]), sample.shape).astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    whole = faiss.SearchParametersIVF(nprobe=grouped.nlist)
    _, truth = grouped.search(sample, _K, params=whole)
    probes = 1
    while probes < grouped.nlist:
        _, found = grouped.search(sample, _K, params=faiss.SearchParametersIVF(nprobe=probes))
        hits = sum(len(np.intersect1d(*pair)) for pair in zip(truth, found, strict=True))
        if hits >= _RECALL * truth.size:
            break
        probes = int(probes * 1.25) + 1
    return min(probes, int(grouped.nlist))
