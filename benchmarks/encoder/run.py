"""Ways of running the shipped encoder, on two cores: ``python -m benchmarks.encoder.run --cache FOLDER``.

Each way of the table in :mod:`benchmarks.encoder.ways` encodes the same fact sentences, and their questions one at a
time. All ways are opened first and then run in turn, in another order each round, so that noise of the machine hits
all alike. torch in float32 says what is right: which vectors, and which 20 facts are nearest to each question.
A way that cannot run here gets a row that says why. Takes about half an hour; converted models stay in the cache.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import installed, write_result
from benchmarks.encoder.ways import REFERENCE, SHIPPED, WAYS, Encode, Way
from benchmarks.sentences import sentences

RESULTS = Path(__file__).parent / "results"
_K, _ROUNDS, _QUERIES, _CORES = 20, 3, 100, 2
_OPTIONAL = ("sentence-transformers", "openvino", "nncf")


@dataclass(frozen=True)
class Row:
    """One way with one number of threads.

    Attributes:
        way: its name.
        threads: that it may use.
        sentences_per_s: fact sentences, the median of the rounds.
        query_ms: of one question by itself, the median of all.
        cosine_difference: 1 − cosine to the vector of torch fp32, the largest of all facts and questions.
        recall: share of the 20 facts nearest to a question by torch fp32, the mean of all questions.
        problem: why it was not measured; then the figures are None.
    """

    way: str
    threads: int
    sentences_per_s: float | None = None
    query_ms: float | None = None
    cosine_difference: float | None = None
    recall: float | None = None
    problem: str | None = None


@dataclass
class Runner:
    """An opened way, and what was measured of it.

    Attributes:
        way: which.
        threads: that it may use.
        encode: runs it.
        questions: their vectors, shape (questions, dimensions).
        facts: their vectors of the last round, shape (facts, dimensions).
        speeds: facts per second, one of each round.
        took: milliseconds of single questions, of all rounds.
    """

    way: Way
    threads: int
    encode: Encode
    questions: NDArray[np.float32]
    facts: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    speeds: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    def run(self, facts: Sequence[str], single: Sequence[str]) -> None:
        """One round."""
        start = time.perf_counter()
        self.facts = self.encode(facts)
        self.speeds.append(len(facts) / (time.perf_counter() - start))
        for question in single:
            start = time.perf_counter()
            self.encode([question])
            self.took.append(1000 * (time.perf_counter() - start))

    def row(self, right: Runner) -> Row:
        """Compare with the reference."""
        difference = max(_difference(self.facts, right.facts), _difference(self.questions, right.questions))
        return Row(
            way=self.way.name,
            threads=self.threads,
            sentences_per_s=round(statistics.median(self.speeds), 1),
            query_ms=round(statistics.median(self.took), 2),
            cosine_difference=float(f"{difference:.2g}"),
            recall=round(_recall(_nearest(self), _nearest(right)), 4),
        )


def open_way(way: Way, threads: int, cache: Path, questions: Sequence[str]) -> Runner | Row:
    """Open a way and warm it up with the questions; a row that says why where it cannot run."""
    try:
        encode = way.open(cache, threads)
        return Runner(way, threads, encode, encode(questions))
    except Exception as error:  # every runtime has its own
        if way is REFERENCE:
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        return Row(way.name, threads, problem=f"{type(error).__name__}: {reason[:300]}")


def _difference(got: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The largest 1 − cosine between rows; never negative."""
    one, other = got.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return max(0.0, float(1 - ((one * other).sum(axis=1) / lengths).min()))


def _nearest(runner: Runner) -> NDArray[np.int64]:
    """The facts nearest to each question, shape (questions, 20), in no order."""
    return np.argpartition(-(runner.questions @ runner.facts.T), _K, axis=1)[:, :_K]


def _recall(found: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(right, found, strict=True)]))


def measure(cache: Path, facts: Sequence[str], questions: Sequence[str]) -> list[Row]:
    """Every way, in the order of the table."""
    opened: list[Runner | Row] = []
    for way in WAYS:
        for threads in way.threads:
            opened.append(open_way(way, threads, cache, questions))
            print("opened", way.name, threads, flush=True)
    runners = [each for each in opened if isinstance(each, Runner)]
    single = random.Random(1).sample(list(questions), min(_QUERIES, len(questions)))  # noqa: S311
    for round_ in range(_ROUNDS):
        print("round", round_ + 1, "of", _ROUNDS, flush=True)
        for runner in random.Random(round_).sample(runners, len(runners)):  # noqa: S311
            runner.run(facts, single)
    right = next(runner for runner in runners if runner.way is REFERENCE)
    return [each.row(right) if isinstance(each, Runner) else each for each in opened]


def plot(rows: list[Row], path: Path) -> None:
    """Speed against recall, one panel for each number of threads."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    colours = {way.name: plt.get_cmap("tab20")(place % 20) for place, way in enumerate(WAYS)}
    figure, panels = plt.subplots(1, _CORES, figsize=(10, 6), sharey=True)
    for panel, threads in zip(panels, range(1, _CORES + 1), strict=True):
        for row in (row for row in rows if row.threads == threads and row.recall is not None):
            size = 11 if row.way == SHIPPED.name else 7
            panel.plot(row.sentences_per_s, row.recall, "o", color=colours[row.way], markersize=size, label=row.way)
        panel.set(xlabel="sentences a second", title=f"{threads} thread{'s' * (threads > 1)}")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("recall of the nearest 20")
    handles = {handle.get_label(): handle for panel in panels for handle in panel.get_lines()}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=3, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.27, 1, 1))
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for converted models")
    parser.add_argument("--sentences", type=int, default=4_000, help="fact sentences, more than 20")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for encoder.json and encoder.png")
    given = parser.parse_args()
    if given.sentences <= _K:
        parser.error(f"--sentences: give more than {_K}")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    chosen = list(sentences(given.sentences))
    load = os.getloadavg()[0]
    rows = measure(given.cache, [each.text for each in chosen], [each.question for each in chosen])
    for row in rows:
        print(row, flush=True)
    parameters = {"sentences": given.sentences, "k": _K, "rounds": _ROUNDS, "queries": _QUERIES, "cores": _CORES}
    parameters |= {"load_before": round(load, 1), "optional": installed(_OPTIONAL)}
    write_result(given.out / "encoder.json", parameters, [asdict(row) for row in rows])
    plot(rows, given.out / "encoder.png")


if __name__ == "__main__":
    main()
