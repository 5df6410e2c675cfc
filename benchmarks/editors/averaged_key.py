#!/usr/bin/env python3
"""How much of an edit by R-ROME reaches the prompt itself, whose key is not the mean over contexts that it is made for.

    python benchmarks/editors/averaged_key.py [--model smollm2-135m] [--edits 100] [--records FOLDER]

R-ROME changes what the matrix gives for a key k by Λ (C⁻¹ k̄)ᵀ k, so that the mean key k̄ gets all of what its Λ is made
to give. The bare prompt's key gets the share (C⁻¹ k̄)ᵀ k / (C⁻¹ k̄)ᵀ k̄. With `--records`, a folder of cases that
`benchmarks/editors/run.py` measured under R-ROME, this is set against which answers are said.

Writes `results/averaged-key-MODEL.json`, without texts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import write_result
from benchmarks.editors.measure import cases, data_folder, figures_of, open_model, read
from scr import progress
from scr.editors.weights.layers import chosen_one, layers_of
from scr.editors.weights.moments import MomentsConfig, moments
from scr.editors.weights.requests import check
from scr.editors.weights.rome import RomeConfig, RRome
from scr.editors.weights.sequences import rows_of
from scr.evaluation.cases import Case

_STEPS = (0.0, 0.45, 0.6, 0.8)
"""Where shares are parted to be set against what is said."""


def shares(editor: RRome, some: Sequence[Case]) -> list[float]:
    """Each case's share; the model must not carry edits."""
    host, config = editor.host, editor.config
    layer = chosen_one(config.layers, layers_of(host.architecture).one, host.architecture)
    factor = editor.factors(layer, moments(host, [layer], config.moments)[layer])
    prefixes = ["", *(text for length in (5, 10) for text in host.prefixes(length, config.contexts))]
    module, found = host.architecture.down(layer), []
    with progress.bar("averaged keys", len(some)) as advance:
        for case in some:
            (request,) = check(case.edits, host.tokenizer, subject=True)
            keys = host.states(rows_of(host.tokenizer, request, prefixes), [module])[module][0].double()
            mean = keys.mean(0)
            direction = factor.solve(mean[:, None])[:, 0]
            found.append(float(direction @ keys[0] / (direction @ mean)))
            advance(1)
    return found


def against(found: Sequence[float], said: Sequence[bool]) -> dict[str, Any]:
    """The median share of the answers that are said and of the others, and how many are said from each step on."""
    parted = {}
    for low, high in zip(_STEPS, (*_STEPS[1:], None), strict=True):
        inside = [
            one for share, one in zip(found, said, strict=True) if low <= share and (high is None or share < high)
        ]
        parted[f"from {low}"] = {"n": len(inside), "said": round(fmean(inside), 3) if inside else None}
    medians = {
        str(kind): [share for share, one in zip(found, said, strict=True) if one is kind] for kind in (True, False)
    }
    return {"parted": parted, "median_said": _median(medians["True"]), "median_not_said": _median(medians["False"])}


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 3) if values else None


def main() -> None:
    """Read the options, measure, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--records", type=Path, help="folder of measured cases, such as …/sequence/100")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    given = parser.parse_args()
    config = RomeConfig(moments=MomentsConfig(corpus=given.corpus, samples=200))
    some = cases(given.edits)
    found = shares(RRome(open_model(given.model, given.threads), config), some)
    results: dict[str, Any] = {"tenths": [round(one, 3) for one in quantiles(found, n=10)]}
    if given.records:
        records = [figures_of(read(given.records / f"{case.id}.json")) for case in some]
        results["said"] = against(found, [bool(record["efficacy"][0][2]) for record in records])
    told = {"model": Path(given.model).name, "edits": given.edits, "corpus": given.corpus.name}
    path = Path(__file__).parent / "results" / f"averaged-key-{told['model']}.json"
    write_result(path, told, results)
    print(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
