"""The speed of the scope decision on two cores: ``python -m benchmarks.scope.speed --cache FOLDER --data DATA``.

Writes results/speed.json and results/speed.png.

``decision``: the whole decision (encode, retrieve, score 10 candidates) among 100,000 made-up facts, a question at a
time and in batches, for questions of stored facts, of facts like them that are not stored, and of everyday matters.
Parts are told apart, so that one sees which of them holds it up. The store is that of benchmarks/gateway; it is made if
the cache has none.

``arithmetic``: the classifier's network alone in several runtimes and precisions, with and without early exits, on
pairs as retrieval finds them for questions of the development tests. Every candidate is read: neither the floor of
cosine nor the margin leaves any out. A way that cannot run here gets a row that says why.

A part that is left out stays as it was written before.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import installed, write_result

from . import arithmetic, decisions

RESULTS = Path(__file__).parent / "results"
PARTS = ("decision", "arithmetic")
"""In the order they are run: torch is not to be loaded where the product does without."""
_CORES = 2
_OPTIONAL = ("openvino",)
_MOST_QUERIES = 256  # of everyday questions there are not many more
_SINGLE_MS, _BATCHED_PER_S = 25, 150
"""What is asked for."""


def decision(given: argparse.Namespace) -> dict[str, Any]:
    """The whole decision."""
    asked = decisions.questions(given.facts, given.queries)
    alone, batched = decisions.measure(given.facts, given.cache, asked, given.rounds)
    for row in (*alone, *batched):
        print(row, flush=True)
    return {"single": [asdict(row) for row in alone], "batched": [asdict(row) for row in batched]}


def ways(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The network alone."""
    rows = arithmetic.measure(arithmetic.samples(given.data, given.questions), given.timed, given.rounds)
    for row in rows:
        print(row, flush=True)
    return [asdict(row) for row in rows]


def plot(results: Mapping[str, Any], path: Path) -> None:
    """The runtimes' speed, a single decision by its parts, and decisions a second by the size of the batch."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(16, 4.5), width_ratios=(1.1, 1.3, 0.9))
    _draw_ways(panels[0], [row for row in results.get("arithmetic", []) if row["problem"] is None])
    _draw_single(panels[1], results.get("decision", {}).get("single", []))
    _draw_batched(panels[2], results.get("decision", {}).get("batched", []))
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _draw_ways(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    rows = rows[::-1]
    colours = ["tab:orange" if row["way"] == arithmetic.SHIPS.name else "tab:blue" for row in rows]
    bars = panel.barh([row["way"] for row in rows], [row["pairs_per_s"] for row in rows], color=colours)
    panel.bar_label(bars, [f"{row['query_ms']:.1f} ms" for row in rows], padding=3, fontsize=8)
    panel.set(xlabel="pairs a second (beside it: 10 pairs of one query)", title="the network alone")
    panel.margins(x=0.18)


def _draw_single(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    names = [f"{row['kind']},\n{row['pause_s']:g} s apart" if row["pause_s"] else row["kind"] for row in rows]
    below = [0.0] * len(rows)
    for part in ("encode", "search", "classify"):
        heights = [row[f"{part}_ms"]["median"] for row in rows]
        panel.bar(range(len(rows)), heights, bottom=below, label=part)
        below = [one + other for one, other in zip(below, heights, strict=True)]
    panel.plot(range(len(rows)), [row["total_ms"]["p95"] for row in rows], "k_", markersize=14, label="95th percentile")
    panel.axhline(_SINGLE_MS, color="grey", linewidth=0.8, linestyle="--")
    panel.set_xticks(range(len(rows)), names, fontsize=8)
    panel.set(ylabel="ms (median by part)", title="one question at a time")
    panel.margins(y=0.25)
    panel.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")


def _draw_batched(panel: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind and row["classified"] == decisions.TOGETHER]
        panel.plot([row["batch"] for row in own], [row["queries_per_s"] for row in own], "o-", label=kind)
    panel.axhline(_BATCHED_PER_S, color="grey", linewidth=0.8, linestyle="--")
    panel.set_xscale("log", base=2)
    panel.set_xticks(decisions.BATCHES, [str(size) for size in decisions.BATCHES])
    panel.set_ylim(bottom=0)
    panel.set(xlabel="questions in a batch", ylabel="decisions a second", title="many questions")
    if rows:
        panel.legend(frameon=False)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the store and its vectors")
    parser.add_argument("--data", type=Path, help="folder of the data sets, for the arithmetic")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for speed.json and speed.png")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--facts", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=128, help="of each kind that are decided, 64 to 256")
    parser.add_argument("--questions", type=int, default=250, help="of each development test that are read for AUROC")
    parser.add_argument("--timed", type=int, default=25, help="of these, whose reading is timed in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    if "arithmetic" in given.parts and given.data is None:
        parser.error("--data: the arithmetic needs the data sets")
    if not max(decisions.BATCHES) <= given.queries <= min(_MOST_QUERIES, given.facts // 2):
        parser.error(f"--queries: give {max(decisions.BATCHES)} to {_MOST_QUERIES}, and twice as many --facts or more")
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    given = options(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    load = os.getloadavg()[0]
    measured = {"decision": decision, "arithmetic": ways}
    path = given.out / "speed.json"
    before = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
    results = before | {part: measured[part](given) for part in PARTS if part in given.parts}
    kept = {name: value for name, value in vars(given).items() if name not in {"cache", "data", "out"}}
    parameters = {**kept, "cores": _CORES, "load_before": round(load, 1), "optional": installed(_OPTIONAL)}
    write_result(path, parameters, results)
    plot(results, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
