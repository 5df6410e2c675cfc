"""The table without wrong labels: `python -m benchmarks.scope.verdicts --data DATA [--sets NAMES] [--scores FOLDER]`.

The 100 highest false fires and the 100 lowest questions in scope of each set were read one by one (`verdicts.json`): is
the label wrong, is the classifier, or can it be argued? Questions are named by a digest, since the data sets are not
copied here. Only a label that is plainly wrong is left out, for every classifier alike. Only the learned classifier's
worst were read, so the figures without them flatter it a little: what another gets wrong by a wrong label stays in.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write_result
from scr.encoder import open_encoder
from scr.scope import ScopeClassifier

from .judge import Scored, figures
from .run import best_cut, measure, open_classifier, retrieve
from .sets import ScopeSet, every_set

_HERE = Path(__file__).parent
FALSE_FIRES, MISSES = "false_fires", "misses"
WRONG_LABEL = "wrong label"
VERDICTS = (WRONG_LABEL, "classifier", "debatable")
_FLOOR = -1.0  # of cosine: every candidate is left to the classifier, as in the table


@dataclass(frozen=True)
class Verdict:
    """What a reader said of one of the worst errors.

    Attributes:
        set: name of the set.
        list: `FALSE_FIRES` (out of scope, highest score first) or `MISSES` (in scope, lowest first).
        rank: place in the list, from 1; 0 is a question that was in it with earlier weights. Its label stays judged.
        question: digest of the question's text, see `digest`.
        score: highest score among its candidates when it was read.
        verdict: one of `VERDICTS`.
        reason: kind of error in a few words.
    """

    set: str
    list: str
    rank: int
    question: str
    score: float
    verdict: str
    reason: str


def digest(query: str) -> str:
    """The name of a question: xxh64 of its text in UTF-8, in hex."""
    import xxhash

    return xxhash.xxh64_hexdigest(query.encode())


def read_verdicts(path: Path = _HERE / "verdicts.json") -> tuple[Verdict, ...]:
    """All verdicts."""
    return tuple(Verdict(**row) for row in json.loads(path.read_text(encoding="utf-8")))


def counts(verdicts: Iterable[Verdict]) -> dict[str, dict[str, dict[str, Any]]]:
    """How many of each verdict, and of each reason within it, by set and list; of those that are in the lists now."""
    verdicts = [verdict for verdict in verdicts if verdict.rank]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, which, verdict), n in Counter((v.set, v.list, v.verdict) for v in verdicts).items():
        found.setdefault(name, {}).setdefault(which, {})[verdict] = {"n": n}
    reasons = Counter((v.set, v.list, v.verdict, v.reason) for v in verdicts)
    for (name, which, verdict, reason), n in reasons.most_common():
        found[name][which][verdict].setdefault("reasons", {})[reason] = n
    return found


def rightly_labelled(data: ScopeSet, verdicts: Iterable[Verdict]) -> NDArray[np.bool_]:
    """Which questions keep their label, shape (q,): a question is left out on the side where its label is wrong."""
    wrong = {(v.list, v.question) for v in verdicts if v.set == data.name and v.verdict == WRONG_LABEL}
    return np.array([(MISSES if a.facts else FALSE_FIRES, digest(a.query)) not in wrong for a in data.asked])


def only(scored: Scored, keep: NDArray[np.bool_]) -> Scored:
    """The same scores of fewer questions."""
    asked = tuple(a for a, kept in zip(scored.data.asked, keep, strict=True) if kept)
    return Scored(replace(scored.data, asked=asked), scored.found[keep], scored.scores[keep])


def both(scored: Scored, keep: NDArray[np.bool_], threshold: float | None) -> dict[str, Any]:
    """The figures with all labels and without the wrong ones; no threshold stands for the best one on each."""
    rows = {"all labels": scored, "without wrong labels": only(scored, keep)}
    return {
        name: figures(row, best_cut(row) if threshold is None else threshold, probabilities=threshold is not None)
        for name, row in rows.items()
    }


def scores_of(data: ScopeSet, classifier: ScopeClassifier, k: int, kept: Path | None) -> tuple[Scored, Scored]:
    """Cosine's word and the classifier's; kept in the folder, if one is given, and read from there the next time."""
    path = kept / f"{data.name}.npz" if kept else None
    if path and path.exists():
        with np.load(path) as file:
            return Scored(data, file["near"], file["cosines"]), Scored(data, file["near"][:, :k], file["scores"])
    near = retrieve(data, open_encoder())
    scored, _ = measure(classifier, data, near, k, _FLOOR)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, near=near.found, cosines=near.cosines, scores=scored.scores)
    return Scored(data, near.found, near.cosines), scored


def main() -> None:
    """Read the options, measure, write results/verdicts.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", default="wiki_counterfact,zsre,eren,counterfact", help="names of sets, with commas")
    parser.add_argument("--k", type=int, default=10, help="candidates that are judged")
    parser.add_argument("--scores", type=Path, help="folder where scores are kept; empty it after a training")
    given = parser.parse_args()
    verdicts = read_verdicts()
    results: dict[str, Any] = {"verdicts": counts(verdicts), "left_out": {}, "figures": {}}
    for name, lists in results["verdicts"].items():
        for which, found in lists.items():
            print(name, which, {verdict: row["n"] for verdict, row in found.items()}, flush=True)
    classifier = open_classifier("cross-encoder", None)
    for data in every_set(given.data):
        if data.name not in given.sets.split(","):
            continue
        keep = rightly_labelled(data, verdicts)
        inside = np.array([bool(a.facts) for a in data.asked])
        results["left_out"][data.name] = {
            FALSE_FIRES: int((~keep & ~inside).sum()),
            MISSES: int((~keep & inside).sum()),
        }
        cosine, scored = scores_of(data, classifier, given.k, given.scores)
        results["figures"][data.name] = {
            "cosine": both(cosine, keep, None),
            classifier.name: both(scored, keep, classifier.threshold),
        }
        for who, rows in results["figures"][data.name].items():
            for labels, row in rows.items():
                print(data.name, who, labels, json.dumps(_short(row)), flush=True)
    write_result(_HERE / "results/verdicts.json", {"sets": given.sets, "k": given.k}, results)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """The figures for the terminal."""
    short = {f"auroc {kind}": found["value"] for kind, found in row.get("auroc", {}).items()}
    ends = {
        "ff95": row.get("at_95_recall", {}),
        "ff": row["false_fires_at_threshold"],
        "right": row.get("right_fact", {}),
    }
    return short | {
        f"{name} {kind}": found[kind] for name, found in ends.items() for kind in ("rel+gen", "all") if kind in found
    }


if __name__ == "__main__":
    main()
