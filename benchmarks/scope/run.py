"""The table of the scope decision: `python -m benchmarks.scope.run --data DATA [--scope NAMES] [--sample RECORDS]`.

All facts of a set are loaded at once; the candidates come from exact search over the shipped encoder's vectors.
Any object with the `ScopeClassifier` protocol can be measured: see `measure`. The near-misses written by hand
(`near_misses.py`) are one more set of the table, with figures of their own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write_result
from scr.encoder import Encoder, open_encoder
from scr.engines import Engine
from scr.evaluation.scope_plots import Ranking, draw
from scr.facts import Fact, new_id
from scr.scope import Candidate, ScopeClassifier
from scr.scope.cross_encoder import SHIPPED

from .judge import Scored, extremes, figures
from .near_misses import NEAR_MISSES, near_misses, pair_figures
from .sets import ScopeSet, every_set

_HERE = Path(__file__).parent
_AT_ONCE = 64


@dataclass(frozen=True)
class Retrieved:
    """A set's facts near each question.

    Attributes:
        found: places of the facts, nearest first, shape (q, k).
        cosines: shape (q, k).
    """

    found: NDArray[np.int64]
    cosines: NDArray[np.float32]


def retrieve(data: ScopeSet, encoder: Encoder, k: int = 20) -> Retrieved:
    """The k nearest facts of every question, by exact search."""
    facts, queries = encoder.encode(data.facts), encoder.encode([a.query for a in data.asked])
    cosines = queries @ facts.T
    k = min(k, len(data.facts))
    found = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return Retrieved(found.astype(np.int64), np.take_along_axis(cosines, found, 1))


def measure(classifier: ScopeClassifier, data: ScopeSet, near: Retrieved, k: int, floor: float) -> tuple[Scored, float]:
    """Score the k nearest candidates of every question; candidates under the floor of cosine score nothing.

    Returns:
        the scores, and questions per second (without encoding and search).
    """
    facts = [fact_of(text) for text in data.facts]
    scores = np.zeros((len(data.asked), min(k, near.found.shape[1])), np.float32)
    begun = time.perf_counter()
    for start in range(0, len(data.asked), _AT_ONCE):
        rows, places = np.nonzero(near.cosines[start : start + _AT_ONCE, :k] >= floor)
        rows += start
        pairs = [
            (data.asked[row].query, Candidate(facts[near.found[row, place]], float(near.cosines[row, place])))
            for row, place in zip(rows, places, strict=True)
        ]
        scores[rows, places] = classifier.score(pairs)
    return Scored(data, near.found[:, :k], scores), len(data.asked) / (time.perf_counter() - begun)


def fact_of(text: str) -> Fact:
    """A stored fact of nothing but a text."""
    nothing = dict.fromkeys(("subject", "relation", "object", "question", "source", "valid_from", "valid_to"))
    return Fact(id=new_id(), text=text, namespace="default", created_at=datetime.now(UTC), **nothing)  # type: ignore[arg-type]


def main() -> None:
    """Read the options, measure, write results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--scope", default="serac,cross-encoder", help="classifiers, with commas")
    parser.add_argument("--classifier", type=Path, help="folder of the cross-encoder; the shipped one if left out")
    parser.add_argument(
        "--model", default="smollm2-135m", help="what llm and cascade ask, of benchmarks/tools/models.py"
    )
    parser.add_argument("--sample", type=int, default=0, help="records whose questions are put; 0 is all")
    parser.add_argument("--k", type=int, default=10, help="candidates that are judged")
    parser.add_argument(
        "--floor",
        type=float,
        default=-1.0,
        help="cosine under which a candidate is not judged, beside the classifier's own",
    )
    parser.add_argument("--name", default="table", help="of the result file")
    parser.add_argument("--extremes", type=Path, help="file for the last classifier's worst errors, to look at")
    parser.add_argument("--sets", default="", help="names of sets, with commas; all if left out")
    given = parser.parse_args()
    engine = partial(open_engine, given.model)
    classifiers = [open_classifier(name, given.classifier, engine) for name in given.scope.split(",")]
    encoder = open_encoder()
    results: dict[str, dict[str, Any]] = {}
    looked: dict[str, Any] = {}
    drawn: dict[str, list[Ranking]] = {}
    for whole in every_set(given.data):
        if given.sets and whole.name not in given.sets.split(","):
            continue
        data = whole.sampled(given.sample) if given.sample else whole
        near = retrieve(data, encoder)
        cosine = Scored(data, near.found, near.cosines)
        drawn[data.name] = [cosine.ranking("cosine")]
        results[data.name] = {"cosine": figures(cosine, best_cut(cosine), probabilities=False)}
        for classifier in classifiers:
            scored, speed = measure(classifier, data, near, given.k, given.floor)
            row = figures(scored, classifier.threshold, probabilities=True) | {"queries_per_second": round(speed, 1)}
            results[data.name][classifier.name] = row
            looked[data.name] = extremes(scored)
            drawn[data.name].append(scored.ranking(classifier.name))
        for name, row in results[data.name].items():
            print(data.name, name, json.dumps(_short(row)), flush=True)
    if not given.sets or NEAR_MISSES in given.sets.split(","):
        results[NEAR_MISSES] = by_hand(classifiers, encoder)
    parameters = {
        name: str(value)
        for name, value in vars(given).items()
        if name not in ("data", "name", "extremes", "classifier")
    }
    folder = given.classifier or SHIPPED
    write_result(_HERE / f"results/{given.name}.json", parameters, results, folder)
    if drawn:
        draw(drawn, _HERE / f"results/{given.name}")
    if given.extremes:  # they quote the data sets, so they stay outside the project
        write_result(given.extremes, parameters, looked, folder)


def by_hand(classifiers: Sequence[ScopeClassifier], encoder: Encoder) -> dict[str, Any]:
    """The near-misses written by hand, by cosine at its best and by the classifiers; each pair judged by itself."""
    data = near_misses()
    facts, queries = encoder.encode(data.facts), encoder.encode([a.query for a in data.asked])
    own = np.array([[a.record] for a in data.asked])
    near = Retrieved(own, (queries * facts[own[:, 0]]).sum(1, keepdims=True))
    cosine = Scored(data, near.found, near.cosines)
    rows = {"cosine": pair_figures(cosine, best_cut(cosine))}
    for classifier in classifiers:
        scored, _ = measure(classifier, data, near, 1, -1.0)
        rows[classifier.name] = pair_figures(scored, classifier.threshold)
    for name, row in rows.items():
        print(data.name, name, json.dumps(row), flush=True)
    return rows


def open_classifier(name: str, folder: Path | None, engine: Callable[[], Engine] | None = None) -> ScopeClassifier:
    """A classifier by its name; the cross-encoder from the folder, or the shipped one.

    Args:
        name: as `scr scope eval` takes it.
        folder: of a trained cross-encoder.
        engine: opens the language model, for those that ask it.
    """
    if name == "cross-encoder":
        from scr.scope.cross_encoder import CrossEncoder

        return CrossEncoder.from_pretrained(folder)
    from scr.scope.opening import open_scope

    return open_scope(name, engine=engine)


@cache
def open_engine(model: str) -> Engine:
    """A model in this process, by its name in benchmarks/tools/models.py."""
    from benchmarks.tools.models import build
    from scr.engines.transformers import TransformersEngine

    return TransformersEngine.from_pretrained(build(model))


def best_cut(scored: Scored) -> float:
    """The threshold with the highest balanced accuracy on the set itself: cosine at its best."""
    inside = scored.inside
    if not inside.any():
        return 0.6
    cuts = np.quantile(scored.top, np.linspace(0, 1, 201))
    gains = [np.mean(scored.top[inside] >= cut) + np.mean(scored.top[~inside] < cut) for cut in cuts]
    return float(cuts[int(np.argmax(gains))])


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The figures for the terminal."""
    short = {f"auroc {k}": v["value"] for k, v in row.get("auroc", {}).items()}
    short |= {f"ff95 {k}": v for k, v in row.get("at_95_recall", {}).items()}
    short |= {f"ff {k}": v for k, v in row["false_fires_at_threshold"].items()}
    short |= {f"right {k}": v for k, v in row.get("right_fact", {}).items()}
    return short | {
        "ece": round(row.get("calibration_error", float("nan")), 4),
        "ece direct": round(row.get("calibration_error_direct", float("nan")), 4),
    }


if __name__ == "__main__":
    main()
