#!/usr/bin/env python3
"""How much of an edit arrives where it is not meant to: at the keys of other subjects, and at those of usual text.

    python benchmarks/editors/reach.py --model qwen-coder-0.5b --samples 200,1000 --weight 4453,45000

A layer's matrix is changed so that an edit's key gives a residual r more. What a key k gives more is then a multiple of
r: near 1 for the edit's own, and what is written here for others. Each edit is alone, by MEMIT's closed form (its eq.
14) with each weight λ, and by AlphaEdit's, as the first one and as the next after others, whose keys it keeps. A share
that has the same sign at every subject adds up over a sequence.

Usual text is the last token of windows of a text that the statistics are not of. Adds to `results/reach-MODEL.json`.
Needs the data sets (`SCR_DATA`, or ../shared/data) and scr with its extras `local` and `editors`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import write_result
from benchmarks.editors.measure import cases, data_folder, open_model, read
from scr.editors.weights.algebra import Factor
from scr.editors.weights.alphaedit import AlphaEditConfig, alphaedit_delta, free_directions
from scr.editors.weights.delta import Delta
from scr.editors.weights.host import Host
from scr.editors.weights.layers import layers_of
from scr.editors.weights.memit import memit_delta
from scr.editors.weights.moments import MomentsConfig, moments, windows_of
from scr.editors.weights.requests import check
from scr.editors.weights.spread import contexts, keys_of
from scr.errors import ScrError, UsageError

if TYPE_CHECKING:
    import torch

LENGTH = 64
"""Tokens of a window of usual text."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one layer: of edits, of others before them, and of usual text [inner, n]."""

    edits: torch.Tensor
    earlier: torch.Tensor
    usual: torch.Tensor


def keys_by_layer(host: Host, layers: tuple[int, ...], first: int, count: int, text: Path) -> dict[int, Keys]:
    """The keys of so many edits, of all before them, and of as many tokens of a text as there are edits."""
    edits = [edit for case in cases(first + count) for edit in case.edits]
    earlier, requests = (check(some, host.tokenizer, subject=True) for some in (edits[:first], edits[first:]))
    prefixes = contexts(host, 5)
    windows = islice(windows_of(host.tokenizer, text, LENGTH), len(requests))
    rows = [replace(row, subject=len(row.ids) - 1) for row in windows]
    modules = {layer: host.architecture.down(layer) for layer in layers}
    seen = host.states(rows, list(modules.values()))
    return {
        layer: Keys(
            keys_of(host, requests, layer, prefixes),
            keys_of(host, earlier, layer, prefixes),
            seen[module][0].double().T,
        )
        for layer, module in modules.items()
    }


def reach(keys: Keys, write: Callable[[torch.Tensor, torch.Tensor], Delta]) -> dict[str, float]:
    """Shares of a residual: of the edits at their own keys (median), at other edits', at usual ones (mean and rms).

    Args:
        keys: of a layer.
        write: from one edit's key [inner, 1] and its residual [1, 1], the change of the matrix [1, inner].
    """
    import torch

    one = torch.ones(1, 1, dtype=keys.edits.dtype)
    written = torch.cat([write(key[:, None], one).matrix() for key in keys.edits.T])
    among, usual = written @ keys.edits, written @ keys.usual
    others = among[~torch.eye(len(among), dtype=torch.bool)]
    found = {"own": among.diagonal().median()}
    for name, shares in (("others", others), ("usual", usual)):
        found |= {name: shares.mean(), f"{name}_rms": shares.square().mean().sqrt()}
    return {name: round(float(share), 5) for name, share in found.items()}


def _writers(
    host: Host, moment: torch.Tensor, earlier: torch.Tensor, weights: list[float]
) -> Iterator[tuple[str, Callable[[torch.Tensor, torch.Tensor], Delta]]]:
    usual = Factor.of(moment)
    for weight in weights:
        yield f"memit, weight {weight:g}", partial(memit_delta, usual, weight=weight)
    basis = free_directions(moment, AlphaEditConfig().threshold)
    ridge = layers_of(host.architecture).ridge
    yield f"alphaedit, ridge {ridge:g}", partial(alphaedit_delta, basis, None, ridge=ridge)
    name = f"alphaedit, ridge {ridge:g}, after {earlier.shape[1]} edits"
    yield name, partial(alphaedit_delta, basis, earlier, ridge=ridge)


def _run(options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    engine = open_model(options.model, options.threads)
    host = Host.of(engine)
    usual = layers_of(host.architecture)
    keys = keys_by_layer(host, usual.several, options.skip, options.edits, options.text)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for samples in options.samples:
        config = MomentsConfig(corpus=options.corpus, samples=samples)
        for layer, moment in moments(host, usual.several, config).items():
            for name, write in _writers(host, moment, keys[layer].earlier, options.weights or [usual.weight]):
                row = reach(keys[layer], write)
                found.setdefault(f"{name}, {samples} windows", {})[str(layer)] = row
                print(name, samples, layer, json.dumps(row), flush=True)
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--edits", type=int, default=60, help="how many, each beside the others")
    parser.add_argument(
        "--skip", type=int, default=100, help="records before the first, AlphaEdit's earlier edits; 1 or more"
    )
    parser.add_argument("--samples", default="200", help="windows of the statistics, parted by commas")
    parser.add_argument("--weight", default="", help="MEMIT's λ, parted by commas; without any the model's default")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    parser.add_argument("--text", type=Path, default=data_folder() / "wikitext-2" / "test.txt", help="usual text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.samples = [int(one) for one in options.samples.split(",")]
    options.weights = [float(one) for one in options.weight.split(",") if one]
    return options


def _known(path: Path, told: Mapping[str, object]) -> dict[str, object]:
    """Rows of an earlier run, which must be of the same keys."""
    found = read(path) if path.is_file() else {"parameters": told, "results": {}}
    if found["parameters"] != told:
        raise UsageError(f"{path} is of {found['parameters']}: name another folder with --out")
    return dict(found["results"])


def main() -> int:
    """Measure what the command line names."""
    options = _options()
    name = Path(options.model).name
    path = options.out / f"reach-{name}.json"
    told = {"model": name, "first": options.skip, "edits": options.edits}
    told |= {"corpus": options.corpus.name, "text": options.text.name}
    try:
        known = _known(path, told)
        write_result(path, told, known | _run(options))
    except ScrError as error:
        print(f"reach.py: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
