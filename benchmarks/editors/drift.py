#!/usr/bin/env python3
"""How a sequence of edits moves the states that its next edits begin at, from the targets that run.py has kept.

    python benchmarks/editors/drift.py --model qwen-coder-0.5b --method memit,come [--every 20]

By so many edits: the median norm of the state at the subject's last token, in whose place a target will stand, before
the edit is made; and the share of targets that were found, with a loss below the one that ends the search. The bound
on a target's distance is a share of that norm, so that where the norm grows so do the edits.

Writes `results/drift-MODEL.json` and `.png`. Needs scr with its extras `local` and `editors`, and no data.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import write_result
from benchmarks.editors.measure import runs_folder
from benchmarks.editors.plot import styles_of
from benchmarks.editors.run import folder_of
from benchmarks.editors.shared import kept_of
from scr.editors.weights.targets import Target, TargetConfig

_ENOUGH = TargetConfig().enough


def drift(targets: Sequence[Target], every: int) -> dict[str, dict[str, float]]:
    """By the last of so many edits: how many they are, the median norm at their subjects, the share that was found.

    Args:
        targets: of a sequence, one for each edit.
        every: edits in a row of the result; the last row may have fewer.
    """
    found = {}
    for begin in range(0, len(targets), every):
        some = targets[begin : begin + every]
        found[str(begin + len(some))] = {
            "n": len(some),
            "norm": round(median(float(one.start.norm()) for one in some), 2),
            "found": round(fmean(one.loss < _ENOUGH for one in some), 3),
        }
    return found


def plot(rows: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Write the picture of what :func:`drift` gives for each method."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, (norms, founds) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for method, style in styles_of(list(rows)).items():
        edits = [int(number) for number in rows[method]]
        norms.plot(edits, [row["norm"] for row in rows[method].values()], **style)
        founds.plot(edits, [row["found"] for row in rows[method].values()], **style)
    norms.set(title="norm of the state at the subject", yscale="log")
    norms.yaxis.set_major_formatter("{x:g}")
    founds.set(title="share of targets that were found", ylim=(-0.03, 1.03))
    for axis in (norms, founds):
        axis.set_xlabel("edits in sequence")
        axis.grid(color="#e2e2de")
    figure.legend(*norms.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Read the options and the targets, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="names with settings, parted by commas, as run.py had them")
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--every", type=int, default=20, help="edits in a row of the result")
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="where run.py keeps its records")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(namespace=argparse.Namespace(batch=1))  # runs of one edit after the other
    rows: dict[str, Any] = {}
    for method in options.method.split(","):
        folder = folder_of(method, options) / "sequence" / "targets"
        rows[method] = drift([one.target for one in kept_of(folder)], options.every)
        if not rows[method]:
            print(f"drift.py: {folder} holds no targets: run.py --sequence keeps them there", file=sys.stderr)
            return 1
    path = options.out / f"drift-{Path(options.model).name}.json"
    write_result(path, {"model": Path(options.model).name, "every": options.every, "found below": _ENOUGH}, rows)
    plot(rows, path.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
