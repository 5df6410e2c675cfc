"""What keeps figures of the table from their goals: `python -m benchmarks.scope.limits --data DATA [--scores FOLDER]`.

- `calibration`: other maps from scores to probabilities, fitted on held-out questions of the training sets, and the
  best that any one map of the score could do on the tests.
- `right_fact`: at which step of the decision zsRE's questions lose their right fact, and what reading more finds.
- `general`: what it takes to fire on .2 % of general text, and what that costs in right facts.

None of it was chosen by these figures: they say how far a goal is, not what ships.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write_result
from scr.encoder import open_encoder
from scr.scope.cross_encoder import CrossEncoder
from scr.scope.measure import auroc

from . import calibration
from .arithmetic import onnx
from .judge import Scored, rate
from .run import Retrieved, measure, retrieve
from .sets import IN_SCOPE, every_set, texts
from .verdicts import only, read_verdicts, rightly_labelled, scores_of

_HERE = Path(__file__).parent
_K = 10
_WIDE = 20
_FLOOR = -1.0  # of cosine: every candidate is left to the classifier, as in the table
_BUDGET = 0.002
_FLOORS = (0.25, 0.3, 0.35, 0.4)
_THRESHOLDS = (0.5, 0.3, 0.2, 0.1, 0.05)


def main() -> None:
    """Read the options, measure, write results/limits.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--scores", type=Path, help="folder where scores are kept; empty it after a training")
    given = parser.parse_args()
    classifier = CrossEncoder.from_pretrained()
    pairs = {data.name: scores_of(data, classifier, _K, given.scores) for data in every_set(given.data)}
    results = {
        "calibration": calibrated(given.data, classifier, pairs),
        "right_fact": right_fact(given.data, pairs["zsre"], classifier),
        "general": general(pairs, classifier),
    }
    print(json.dumps(results, indent=1))
    write_result(_HERE / "results/limits.json", {"k": _K, "wide": _WIDE}, results)


def calibrated(folder: Path, classifier: CrossEncoder, pairs: dict[str, tuple[Scored, Scored]]) -> dict[str, Any]:
    """The calibration error of every way on every set; and on the questions that the way was fitted to."""
    labelled = {name: pair for name, pair in pairs.items() if pair[1].inside.any()}
    sets = {name: calibration.Tops.of(scored, cosine) for name, (cosine, scored) in labelled.items()}
    data = calibration.held_out(folder)
    near = retrieve(data, open_encoder())
    scored, _ = measure(classifier, data, near, _K, _FLOOR)
    every = calibration.Tops.of(scored, Scored(data, near.found, near.cosines))
    own = every.only(calibration.of_source(folder, data, calibration.KNOWEDIT))
    rows = {"as it ships": calibration.errors(calibration.as_it_ships(every), {**sets, "fitted to": every})}
    for name, held in ((calibration.HELD_OUT, every), (calibration.KNOWEDIT, own)):
        for way, fit in calibration.WAYS.items():
            rows[f"{way}, {name}"] = calibration.errors(fit(held), {**sets, "fitted to": held})
    rows["best for all tests"] = calibration.errors(calibration.best_for_all(list(sets.values())), sets)
    in_scope = {name: rate(tops.inside) for name, tops in {**sets, "held-out": every, "knowedit": own}.items()}
    return {
        "errors": rows,
        "in_scope": in_scope,
        "questions": {"held-out": len(every.score), "knowedit": len(own.score)},
    }


def right_fact(folder: Path, pair: tuple[Scored, Scored], classifier: CrossEncoder) -> dict[str, Any]:
    """Where reliability and generalization lose their right fact, and what other settings of the same weights find."""
    cosine, ships = pair
    config, near = classifier.config, Retrieved(cosine.found, cosine.scores)
    whole = classifier.with_threshold(classifier.threshold)
    whole.config = replace(config, margin=2.0, first=0)
    wide, _ = measure(whole, ships.data, near, _WIDE, _FLOOR)
    inside_margin = cosine.scores >= cosine.scores[:, :1] - config.margin
    found = {
        "as it ships": ships,
        "the nearest four do not decide": _first(wide, _K, inside_margin),
        "no margin": _first(wide, _K),
        "20 candidates, no margin": wide,
        "float32, no exits": measure(_precise(classifier), ships.data, near, _K, _FLOOR)[0],
    }
    keep, same = rightly_labelled(ships.data, read_verdicts()), twins(folder)
    rows = {name: _rights(scored, keep, same, config.threshold) for name, scored in found.items()}
    rows |= {f"threshold {cut}": _rights(ships, keep, same, cut) for cut in _THRESHOLDS}
    return {"lost": _lost(_counting(ships, same), _counting(wide, same), config.threshold), "ways": rows}


def twins(folder: Path) -> tuple[tuple[int, ...], ...]:
    """For each record of zsRE those that edit the same answer to the same question, itself among them, by place.

    They have the subject and the answer before the edit in common; their new answers differ, and no store would hold
    both. With all of them in force any one is right.
    """
    rows = json.loads((folder / "knowedit/zsre_test.json").read_text(encoding="utf-8"))
    edited: dict[tuple[str, str], list[int]] = {}
    keys = [{(row["subject"].casefold().strip(), answer) for answer in texts(row["ground_truth"])} for row in rows]
    for place, own in enumerate(keys):
        for key in own:
            edited.setdefault(key, []).append(place)
    return tuple(tuple(sorted({place for key in own for place in edited[key]})) for own in keys)


def _counting(scored: Scored, same: Sequence[Sequence[int]]) -> Scored:
    """The scores where the twins of a right fact are right too."""
    asked = (
        replace(a, facts=tuple(sorted({one for fact in a.facts for one in same[fact]}))) for a in scored.data.asked
    )
    return Scored(replace(scored.data, asked=tuple(asked)), scored.found, scored.scores)


def _first(scored: Scored, k: int, read: NDArray[np.bool_] | None = None) -> Scored:
    """The k nearest candidates alone; one that is not read scores nothing."""
    scores = scored.scores if read is None else np.where(read, scored.scores, np.float32(0))
    return Scored(scored.data, scored.found[:, :k], scores[:, :k])


def _precise(classifier: CrossEncoder) -> CrossEncoder:
    return classifier.with_network(onnx("fp32", early=False)())


def _rights(scored: Scored, keep: NDArray[np.bool_], same: Sequence[Sequence[int]], threshold: float) -> dict[str, Any]:
    """By label: the right fact applies, it has the highest score, and what fires out of scope."""
    rows = {}
    kinds = {
        "all labels": scored,
        "without wrong labels": only(scored, keep),
        "twins are right": _counting(scored, same),
    }
    for labels, some in kinds.items():
        direct = some.mask(IN_SCOPE[:2])
        rows[labels] = {
            "applies": rate(some.right_applies(threshold)[direct]),
            "highest": rate((some.right & (some.top >= threshold))[direct]),
            "false_fires": rate(some.top[~some.inside] >= threshold),
        }
    return rows


def _lost(ships: Scored, wide: Scored, threshold: float) -> dict[str, float]:
    """Shares of the questions of reliability and generalization, by the first step at which the right fact is lost."""
    direct, right = ships.mask(IN_SCOPE[:2]), wide.governing
    steps = {
        "not among the 20 nearest": right.any(1),
        "not among the 10 nearest": right[:, :_K].any(1),
        "below the threshold if it is read": (right[:, :_K] & (wide.scores[:, :_K] >= threshold)).any(1),
        "not read": ships.right_applies(threshold),
        "another fact scores higher": ships.right & (ships.top >= threshold),
    }
    shares, held = {}, np.ones_like(direct)
    for name, hits in steps.items():
        shares[name] = rate((held & ~hits)[direct])
        held &= hits
    return shares | {"it has the highest score": rate(held[direct])}


def general(pairs: dict[str, tuple[Scored, Scored]], classifier: CrossEncoder) -> dict[str, Any]:
    """False fires on general text, and the right facts of other sets that still apply, under stricter settings."""
    text = pairs["general"][1]
    allowed = int(_BUDGET * len(text.top))
    strict = float(np.nextafter(np.sort(text.top)[::-1][allowed], np.float32(1)))
    rows = {"as it ships": _fires(pairs, classifier.threshold), "threshold": _fires(pairs, strict)}
    for floor in _FLOORS:
        rows[f"floor {floor}"] = _fires(
            {name: _above(*pair, floor) for name, pair in pairs.items()}, classifier.threshold
        )
    near = Retrieved(pairs["general"][0].found, pairs["general"][0].scores)
    precise, _ = measure(_precise(classifier), text.data, near, _K, _FLOOR)
    rows["float32, no exits"] = {"false_fires": int((precise.top >= classifier.threshold).sum())}
    return {"questions": len(text.top), "allowed": allowed, "threshold": round(strict, 4), "ways": rows}


def _above(cosine: Scored, scored: Scored, floor: float) -> tuple[Scored, Scored]:
    """The scores where a candidate below a floor of cosine is not read."""
    kept = np.where(cosine.scores[:, : scored.scores.shape[1]] >= floor, scored.scores, 0).astype(np.float32)
    return cosine, Scored(scored.data, scored.found, kept)


def _fires(pairs: dict[str, tuple[Scored, Scored]], threshold: float) -> dict[str, Any]:
    """Of general text how many fire; of each other set how many right facts apply, of everything in scope."""
    text = pairs["general"][1]
    others = {name: scored for name, (_, scored) in pairs.items() if scored.inside.any()}
    right = {name: rate(scored.right_applies(threshold)[scored.inside]) for name, scored in others.items()}
    ranked = {name: round(auroc(one.top[one.inside], one.top[~one.inside]), 4) for name, one in others.items()}
    return {"false_fires": int((text.top >= threshold).sum()), "applies": right, "auroc": ranked}


if __name__ == "__main__":
    main()
