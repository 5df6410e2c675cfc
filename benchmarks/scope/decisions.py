"""What a whole decision costs among many facts, by its parts: through the product's own pipeline, real parts only."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gateway.questions import Questions
from benchmarks.gateway.run import make_store
from benchmarks.sentences import sentences
from benchmarks.store.run import Timed, spread
from scr.context import ContextBuilder
from scr.pipeline import Decision, Pipeline
from scr.scope.cross_encoder import CrossEncoder
from scr.store import FactStore

IN_SCOPE, NEAR_MISS, GENERAL = "in scope", "near-miss", "everyday"
PAUSES = (0.0, 0.4)
"""Seconds before each single question: none, and as where questions come now and then."""
BATCHES = (1, 8, 64)
TOGETHER, IN_TURN = "together", "in turn"
PARTS = ("total", "encode", "search", "classify")
_WARM = 5


@dataclass(frozen=True)
class Cost:
    """Milliseconds that questions took, each of them and by parts.

    Attributes:
        total: waited for.
        encode: the questions.
        search: the nearest facts, and their rows in the ledger.
        classify: score the candidates and put them into order.
    """

    total: float
    encode: float
    search: float
    classify: float


@dataclass(frozen=True)
class Single:
    """One question at a time.

    Attributes:
        kind: of questions.
        pause_s: before each.
        total_ms: median, 95th percentile and number; so are the parts.
        encode_ms: see `Cost`.
        search_ms: see `Cost`.
        classify_ms: see `Cost`.
        fired: share of the questions that a fact is said to govern.
        read: candidates that the classifier reads, the mean.
        skipped: share of the questions whose nearest fact lies below the floor of cosine: nothing is read.
    """

    kind: str
    pause_s: float
    total_ms: dict[str, float]
    encode_ms: dict[str, float]
    search_ms: dict[str, float]
    classify_ms: dict[str, float]
    fired: float
    read: float
    skipped: float


@dataclass(frozen=True)
class Batched:
    """Many questions at a time.

    Attributes:
        kind: of questions.
        batch: how many are encoded and searched together.
        classified: together, or in turn as in the gateway.
        queries_per_s: the median of the rounds.
        encode_ms: of a question, the median of the rounds; see `Cost`.
        search_ms: the same.
        classify_ms: the same.
    """

    kind: str
    batch: int
    classified: str
    queries_per_s: float
    encode_ms: float
    search_ms: float
    classify_ms: float


def questions(facts: int, count: int, seed: int = 0) -> dict[str, list[str]]:
    """Different questions by kind: of stored facts, of facts like them that are not stored, and of everyday matters."""
    ask = Questions(facts)
    stored = {sentence.question for sentence in sentences(facts)}
    alike = (sentence.question for sentence in sentences(20 * count, seed + 1))
    unknown = [question for question in dict.fromkeys(alike) if question not in stored]
    return {
        IN_SCOPE: _first(ask.draw(1, seed), count),
        NEAR_MISS: random.Random(seed).sample(unknown, count),  # noqa: S311
        GENERAL: _first(ask.draw(0, seed), count),
    }


def _first(drawn: Iterable[str], count: int) -> list[str]:
    """The first different ones: what a batch asks twice would be read once."""
    found: dict[str, None] = {}
    for question in drawn:
        found[question] = None
        if len(found) == count:
            break
    return list(found)


class Measurement:
    """Decisions of an open store.

    Args:
        store: opened with the encoder that is timed.
        encoder: the same.
    """

    def __init__(self, store: FactStore, encoder: Timed) -> None:
        self._store, self._encoder = store, encoder
        self._scope = CrossEncoder.from_pretrained()
        self._pipeline = Pipeline(store, self._scope, ContextBuilder())

    def single(self, kind: str, queries: Sequence[str], pause: float) -> Single:
        """Decide each question by itself."""
        for query in queries[:_WARM]:
            self._pipeline.decide(query)
        costs, decisions = [], []
        for query in queries:
            time.sleep(pause)
            cost, (decision,) = self._timed([query], 1)
            costs.append(cost)
            decisions.append(decision)
        parts = {f"{part}_ms": spread([vars(cost)[part] for cost in costs]) for part in PARTS}
        nearest = [found[0].similarity for found in self._store.search(queries, 1)]
        return Single(
            kind,
            pause,
            **parts,
            fired=round(float(np.mean([one.in_scope for one in decisions])), 4),
            read=round(float(np.mean([sum(judged.score > 0 for judged in one.facts) for one in decisions])), 2),
            skipped=round(float(np.mean(np.array(nearest) < self._scope.config.floor)), 4),
        )

    def batched(self, queries: Sequence[str], batch: int, classified: str) -> list[Cost]:
        """The cost of a question in each full batch."""
        at_once = batch if classified == TOGETHER else 1
        starts = range(0, len(queries) - batch + 1, batch)
        return [self._timed(queries[start : start + batch], at_once)[0] for start in starts]

    def _timed(self, queries: Sequence[str], at_once: int) -> tuple[Cost, list[Decision]]:
        """What a question cost, and the decisions."""
        self._encoder.seconds, start = 0.0, time.perf_counter()
        decisions = list(self._pipeline.decide_each(queries, at_once=at_once))
        total = 1000 * (time.perf_counter() - start) / len(decisions)
        encode = 1000 * self._encoder.seconds / len(decisions)
        retrieve, score = (sum(one.timings_ms[step] for one in decisions) for step in ("retrieve", "score"))
        return Cost(total, encode, retrieve / len(decisions) - encode, score / len(decisions)), decisions


def row(kind: str, batch: int, classified: str, rounds: Sequence[Sequence[Cost]]) -> Batched:
    """The medians of rounds."""
    means = [{part: float(np.mean([vars(one)[part] for one in costs])) for part in PARTS} for costs in rounds]
    median = {part: float(np.median([mean[part] for mean in means])) for part in PARTS}
    parts = {f"{part}_ms": round(median[part], 3) for part in PARTS[1:]}
    return Batched(kind, batch, classified, round(1000 / median["total"], 1), **parts)


def measure(
    facts: int, cache: Path, asked: Mapping[str, Sequence[str]], rounds: int
) -> tuple[list[Single], list[Batched]]:
    """Every kind of question at a time and in batches; the ways of a round take turns."""
    path = cache / f"gateway-facts-{facts}"
    if not path.is_dir():
        make_store(path, facts, cache)
    encoder = Timed()
    with FactStore.open(path, encoder=encoder) as store:
        measurement = Measurement(store, encoder)
        alone = [measurement.single(kind, queries, pause) for pause in PAUSES for kind, queries in asked.items()]
        ways = [
            (kind, batch, classified)
            for classified in (TOGETHER, IN_TURN)
            for batch in BATCHES
            for kind in asked
            if batch > 1 or classified == TOGETHER
        ]
        costs: dict[tuple[str, int, str], list[list[Cost]]] = {way: [] for way in ways}
        for number in range(rounds):
            print("round", number + 1, "of", rounds, flush=True)
            for kind, batch, classified in random.Random(number).sample(ways, len(ways)):  # noqa: S311
                costs[kind, batch, classified].append(measurement.batched(asked[kind], batch, classified))
    return alone, [row(*way, costs[way]) for way in ways]
