"""Nearest facts, one query at a time: ``python -m benchmarks.retrieval.run --cache FOLDER``.

Questions about 100,000 fact sentences are searched (k = 20) among 1,000, 100,000 and a million vectors, in one
thread, by the index of the store and by what FAISS offers; the exact float32 search says what is right. Encoding the
sentences takes some minutes the first time and is kept in the cache.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write_result
from benchmarks.vectors import encoded, mixed
from scr.encoder import open_encoder
from scr.index.snapshot import Origin, load, save
from scr.index.vectors import VectorIndex

RESULTS = Path(__file__).parent / "results"
_K, _QUERIES = 20, 500
_IP = faiss.METRIC_INNER_PRODUCT
_SCALAR = faiss.ScalarQuantizer

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True)
class Row:
    """One index over one number of facts.

    Attributes:
        index: its name.
        facts: how many vectors.
        median_ms: of one query.
        p95_ms: of one query.
        recall: share of the exact nearest 20.
        build_s: from vectors in memory.
        open_s: from a file in the page cache.
        bytes_per_fact: of that file.
    """

    index: str
    facts: int
    median_ms: float
    p95_ms: float
    recall: float
    build_s: float
    open_s: float
    bytes_per_fact: float


def ours(vectors: NDArray[np.float16]) -> Iterator[Any]:
    """The store's index: filled in blocks, saved as a snapshot, opened again."""
    origin = Origin("benchmark", "encoder", "1")
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        index = VectorIndex(vectors.shape[1])
        for begin in range(0, len(vectors), 50_000):
            some = vectors[begin : begin + 50_000].astype(np.float32)
            index.add(np.arange(begin, begin + len(some)), some)
        save(index, folder, origin, 1, "")
        built = time.perf_counter() - start
        start = time.perf_counter()
        index, _ = load(folder, origin)
        opened = time.perf_counter() - start
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        yield lambda query: index.search(query[None], _K)[1][0]
        yield built, opened, size


def native(make: Callable[[int, int], Any], vectors: NDArray[np.float16]) -> Iterator[Any]:
    """An index of FAISS."""
    start = time.perf_counter()
    index = make(vectors.shape[1], len(vectors))
    if not index.is_trained:
        chosen = np.sort(np.random.default_rng(0).choice(len(vectors), min(len(vectors), 50_000), replace=False))
        index.train(vectors[chosen].astype(np.float32))
    for begin in range(0, len(vectors), 50_000):
        index.add(vectors[begin : begin + 50_000].astype(np.float32))
    built = time.perf_counter() - start
    data = faiss.serialize_index(index)
    start = time.perf_counter()
    faiss.deserialize_index(data)
    opened = time.perf_counter() - start
    size = data.nbytes
    del data
    yield lambda query: index.search(query[None], _K)[1][0]
    yield built, opened, size


def _inverted(dimensions: int, count: int) -> Any:
    lists = 1 << round(np.log2(2 * np.sqrt(count)))
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dimensions), dimensions, lists, _SCALAR.QT_fp16, _IP, False)
    index.nprobe, index.cp.niter, index.cp.min_points_per_centroid = max(1, lists // 4), 8, 1
    return index


def _graph(dimensions: int, _: int) -> Any:
    index = faiss.IndexHNSWSQ(dimensions, _SCALAR.QT_fp16, 32, _IP)
    index.hnsw.efConstruction, index.hnsw.efSearch = 80, 128
    return index


NATIVE: dict[str, Callable[[int, int], Any]] = {
    "flat float32": lambda d, _: faiss.IndexFlatIP(d),
    "flat float16": lambda d, _: faiss.IndexScalarQuantizer(d, _SCALAR.QT_fp16, _IP),
    "flat 8 bits": lambda d, _: faiss.IndexScalarQuantizer(d, _SCALAR.QT_8bit, _IP),
    "inverted lists, a quarter searched": _inverted,
    "HNSW": _graph,
}
_SLOW_TO_BUILD = {"HNSW": 100_000}


def measure(search: Search, queries: NDArray[np.float32], exact: NDArray[np.int64]) -> tuple[list[float], float]:
    """Milliseconds of each query, in one thread, and the recall."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    found, took = [], []
    for query in queries:
        start = time.perf_counter()
        found.append(search(query))
        took.append(1000 * (time.perf_counter() - start))
    faiss.omp_set_num_threads(threads)
    return took, float(np.mean([np.isin(right, got).mean() for right, got in zip(exact, found, strict=True)]))


def rows(vectors: NDArray[np.float16], queries: NDArray[np.float32]) -> Iterator[Row]:
    """Every index over these vectors."""
    exact = nearest(vectors, queries)
    kinds = {"store": ours, **{name: lambda v, make=make: native(make, v) for name, make in NATIVE.items()}}
    for name, kind in kinds.items():
        if len(vectors) > _SLOW_TO_BUILD.get(name, len(vectors)):
            continue
        steps = kind(vectors)
        took, recall = measure(next(steps), queries, exact)
        built, opened, size = next(steps)
        yield Row(
            index=name,
            facts=len(vectors),
            median_ms=round(statistics.median(took), 3),
            p95_ms=round(float(np.percentile(took, 95)), 3),
            recall=round(recall, 4),
            build_s=round(built, 2),
            open_s=round(opened, 3),
            bytes_per_fact=round(size / len(vectors), 1),
        )


def nearest(vectors: NDArray[np.float16], queries: NDArray[np.float32]) -> NDArray[np.int64]:
    """The exact nearest of each query, in float32."""
    heap = faiss.ResultHeap(len(queries), _K, keep_max=True)
    for begin in range(0, len(vectors), 50_000):
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors[begin : begin + 50_000].astype(np.float32))
        cosines, found = index.search(queries, _K)
        heap.add_result(cosines, found + begin)
    heap.finalize()
    return np.asarray(heap.I)


def plot(results: list[Row], path: Path) -> None:
    """Recall against latency, one panel for each number of facts."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sizes = sorted({row.facts for row in results})
    figure, panels = plt.subplots(1, len(sizes), figsize=(4.5 * len(sizes), 4), sharey=True)
    for panel, size in zip(np.atleast_1d(panels), sizes, strict=True):
        for row in (row for row in results if row.facts == size):
            panel.plot(row.median_ms, row.recall, "o", markersize=11 if row.index == "store" else 7, label=row.index)
        panel.set(xscale="log", xlabel="ms a query (median, one thread)", title=f"{size:,} facts")
        panel.axhline(0.99, color="grey", linewidth=0.8, linestyle="--")
        panel.grid(alpha=0.3)
    np.atleast_1d(panels)[0].set_ylabel("recall of the nearest 20")
    handles = {h.get_label(): h for p in np.atleast_1d(panels) for h in p.get_lines()[:-1]}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=6, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for encoded sentences")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1_000, 100_000, 1_000_000])
    given = parser.parse_args()
    chosen, vectors = encoded(100_000, given.cache)
    results: list[Row] = []
    for size in given.sizes:
        some = np.concatenate([block.astype(np.float16) for block in mixed(chosen, vectors, size)])
        asked = np.random.default_rng(1).choice(min(size, len(chosen)), min(size, _QUERIES), replace=False)
        queries = open_encoder().encode([chosen[place].question for place in asked])
        for row in rows(some, queries):
            print(row, flush=True)
            results.append(row)
    write_result(
        RESULTS / "retrieval.json",
        {"k": _K, "queries": _QUERIES, "threads": 1},
        [asdict(row) for row in results],
    )
    plot(results, RESULTS / "retrieval.png")


if __name__ == "__main__":
    main()
