"""Ways of running the scope classifier's network on a CPU: their speed, and what they change of its word.

Every way reads the same pairs through the shipped tokenizer, batches and calibration; a way's libraries are imported
when it is opened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scr.assets import minilm_folder
from scr.encoder import open_encoder
from scr.encoder.session import usable_cores
from scr.pipeline import DEFAULT_K
from scr.scope.cross_encoder import SHIPPED, WEIGHTS, CrossEncoder, CrossEncoderConfig, prepare
from scr.scope.measure import auroc
from scr.scope.network import Exits, Network

from .judge import Scored
from .run import retrieve
from .sets import every_set

Pairs: TypeAlias = list[tuple[str, str]]
"""(fact, query)."""
Run: TypeAlias = Callable[[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]], NDArray[np.float32]]
"""Logits, shape (b,), of ids, mask and types, each of shape (b, t)."""


@dataclass(frozen=True)
class Way:
    """A way of running the network.

    Attributes:
        name: runtime, precision and what else is special.
        open: opens it; raises whatever the runtime raises where it cannot run.
    """

    name: str
    open: Callable[[], Network]


@dataclass(frozen=True)
class Row:
    """One way.

    Attributes:
        way: its name.
        pairs_per_s: many pairs at once, the median of the rounds.
        speed: the same as a multiple of torch fp32's.
        query_ms: of one query with its candidates, the median of all.
        query_p95_ms: of the same.
        difference: the largest of a probability to torch fp32's.
        changed: share of the pairs that torch fp32 puts on the other side of the threshold.
        auroc: of each set's questions by their highest score, every candidate read.
        problem: why it was not measured; then the figures are None.
    """

    way: str
    pairs_per_s: float | None = None
    speed: float | None = None
    query_ms: float | None = None
    query_p95_ms: float | None = None
    difference: float | None = None
    changed: float | None = None
    auroc: dict[str, float] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True)
class Sample:
    """Questions of one development test with the facts that retrieval finds for them.

    Attributes:
        name: of the set.
        inside: which questions a fact governs, shape (q,).
        pairs: each question's candidates, nearest first, q lists of k.
    """

    name: str
    inside: NDArray[np.bool_]
    pairs: tuple[Pairs, ...]

    def auroc(self, chances: NDArray[np.float32]) -> float:
        """By the highest of each question's probabilities, given in the order of the pairs."""
        top = chances.reshape(len(self.inside), -1).max(1)
        return round(auroc(top[self.inside], top[~self.inside]), 4)


class Whole(Network):
    """A network in one piece, in any runtime."""

    def __init__(self, run: Run) -> None:
        super().__init__(())
        self._run = run

    def logits(self, ids: NDArray[np.int32], mask: NDArray[np.int32], types: NDArray[np.int32]) -> NDArray[np.float32]:
        return self._run(ids, mask, types)


def torch(precision: str) -> Callable[[], Network]:
    """The network as it is trained."""

    def open_it() -> Network:
        import torch as library

        from scr.scope.training.model import PairModel

        model: Any = PairModel(minilm_folder())
        model.load_trained(SHIPPED / WEIGHTS)
        model.eval()
        if precision == "bfloat16":
            model.bert.bfloat16()  # the head stays in float32, as in training
        if precision == "int8":
            model = library.ao.quantization.quantize_dynamic(model, {library.nn.Linear}, dtype=library.qint8)

        def run(*tokens: NDArray[np.int32]) -> NDArray[np.float32]:
            library.set_num_threads(usable_cores())  # of the whole process, so before each run
            with library.inference_mode():
                return np.asarray(model(*map(library.from_numpy, tokens)), np.float32)

        return Whole(run)

    return open_it


def onnx(arithmetic: str, *, early: bool) -> Callable[[], Network]:
    """Our graph in ONNX Runtime, as the product opens it, with or without its early exits."""

    def open_it() -> Network:
        exits = Exits.read(SHIPPED) if early else None
        if early and exits is None:
            raise FileNotFoundError("the shipped classifier has no early exits")
        return Network.open(_graphs(arithmetic, exits), exits.below.tolist() if exits else ())

    return open_it


def openvino(precision: str) -> Callable[[], Network]:
    """Our graph in OpenVINO, computing in `f32` or `bf16`."""

    def open_it() -> Network:
        import openvino as library

        # Threads that are free to move, as those of the other runtimes are.
        settings = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "INFERENCE_NUM_THREADS": usable_cores()}
        settings["INFERENCE_PRECISION_HINT"] = precision
        graph = _graphs("fp32", None) / "stage-0.onnx"
        compiled = library.Core().compile_model(graph, "CPU", settings)

        def run(ids: NDArray[np.int32], mask: NDArray[np.int32], types: NDArray[np.int32]) -> NDArray[np.float32]:
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
            return np.array(compiled(feed)[0][:, 0], np.float32)

        return Whole(run)

    return open_it


def _graphs(arithmetic: str, exits: Exits | None) -> Path:
    config = replace(CrossEncoderConfig.read(SHIPPED), arithmetic=arithmetic)
    return prepare(SHIPPED, config, minilm_folder(), exits)


REFERENCE = Way("torch fp32", torch("fp32"))
SHIPS = Way("ONNX int8, early exits (shipped)", onnx("int8", early=True))
WAYS = (
    REFERENCE,
    Way("torch bfloat16", torch("bfloat16")),
    Way("torch int8, dynamic", torch("int8")),
    Way("ONNX fp32", onnx("fp32", early=False)),
    Way("ONNX fp32, early exits", onnx("fp32", early=True)),
    Way("ONNX int8", onnx("int8", early=False)),
    SHIPS,
    Way("OpenVINO fp32", openvino("f32")),
    Way("OpenVINO bfloat16", openvino("bf16")),
)


def samples(folder: Path, questions: int, seed: int = 0) -> list[Sample]:
    """So many questions of each development test that has questions in scope, drawn at random; all its facts loaded."""
    encoder = open_encoder()
    found = []
    for whole in every_set(folder):
        if not any(asked.facts for asked in whole.asked):
            continue
        count = min(questions, len(whole.asked))
        drawn = random.Random(seed).sample(whole.asked, count)  # noqa: S311
        data = replace(whole, asked=tuple(drawn))
        near = retrieve(data, encoder, DEFAULT_K)
        pairs = tuple(
            [(data.facts[place], asked.query) for place in places]
            for asked, places in zip(data.asked, near.found.tolist(), strict=True)
        )
        found.append(Sample(data.name, Scored(data, near.found, near.cosines).inside, pairs))
    return found


@dataclass
class Runner:
    """An opened way, and what was measured of it.

    Attributes:
        way: which.
        classifier: the shipped one, reading by it.
        chances: probabilities of each sample's pairs.
        speeds: pairs per second, one of each round.
        took: milliseconds of single queries, of all rounds.
    """

    way: Way
    classifier: CrossEncoder
    chances: list[NDArray[np.float32]]
    speeds: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)

    @classmethod
    def open(cls, way: Way, shipped: CrossEncoder, given: Sequence[Sample]) -> Runner | Row:
        """Open a way and let it read all samples; a row that says why where it cannot run."""
        try:
            classifier = shipped.with_network(way.open())
            return cls(way, classifier, [classifier.score_pairs(_flat(sample.pairs)) for sample in given])
        except Exception as error:  # every runtime has its own
            if way is REFERENCE:
                raise
            reason = " ".join(str(error).split()) or "no reason given"
            return Row(way.name, problem=f"{type(error).__name__}: {reason[:300]}")

    def run(self, queries: Sequence[Pairs]) -> None:
        """One round: all pairs at once, then query by query."""
        pairs = _flat(queries)
        start = time.perf_counter()
        self.classifier.score_pairs(pairs)
        self.speeds.append(len(pairs) / (time.perf_counter() - start))
        for candidates in queries:
            start = time.perf_counter()
            self.classifier.score_pairs(candidates)
            self.took.append(1000 * (time.perf_counter() - start))

    def row(self, right: Runner, given: Sequence[Sample]) -> Row:
        """Compare with the reference."""
        mine, theirs = np.concatenate(self.chances), np.concatenate(right.chances)
        threshold = self.classifier.threshold
        speed = float(np.median(self.speeds))
        median, p95 = np.percentile(self.took, [50, 95])
        return Row(
            way=self.way.name,
            pairs_per_s=round(speed, 1),
            speed=round(speed / float(np.median(right.speeds)), 2),
            query_ms=round(float(median), 2),
            query_p95_ms=round(float(p95), 2),
            difference=float(f"{np.abs(mine - theirs).max():.2g}"),
            changed=round(float(np.mean((mine >= threshold) != (theirs >= threshold))), 5),
            auroc={sample.name: sample.auroc(own) for sample, own in zip(given, self.chances, strict=True)},
        )


def measure(given: Sequence[Sample], timed: int, rounds: int) -> list[Row]:
    """Every way, in the order of the table; the ways take turns, in another order each round.

    Args:
        given: what is read once by each way.
        timed: queries of each sample that are read again in each round.
        rounds: of timing.
    """
    shipped = CrossEncoder.from_pretrained()
    opened: list[Runner | Row] = []
    for way in WAYS:
        opened.append(Runner.open(way, shipped, given))
        print("read by", way.name, flush=True)
    runners = [each for each in opened if isinstance(each, Runner)]
    queries = [candidates for sample in given for candidates in sample.pairs[:timed]]
    for number in range(rounds):
        print("round", number + 1, "of", rounds, flush=True)
        for runner in random.Random(number).sample(runners, len(runners)):  # noqa: S311
            runner.run(queries)
    right = next(runner for runner in runners if runner.way is REFERENCE)
    return [each.row(right, given) if isinstance(each, Runner) else each for each in opened]


def _flat(queries: Sequence[Pairs]) -> Pairs:
    return [pair for candidates in queries for pair in candidates]
