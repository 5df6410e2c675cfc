"""Why a method is wrong where the oracle is right: `python -m benchmarks.evaluation.losses RUNS [--methods scr,…]`.

Of every run below RUNS, as `benchmarks.evaluation.run` leaves them. The oracle is shown the record's own fact alone,
so that each question that it answers and the method does not has one of these reasons:

- `not_found`: the own fact was not among the facts retrieved.
- `refused`: it was, and was not shown.
- `among_others`: it was shown beside others.
- `otherwise`: it was shown alone (in other words, or the answer changed with its batch).

`gained` are those that the method answers and the oracle does not. `reachable` is each dimension's score if the own
fact were shown alone wherever `scr:cosine` weighed it, which is wherever it was retrieved: what a perfect decision
would make of it, beside the oracle's. Clean questions; contained answers.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from benchmarks.common import write_result
from scr.evaluation.results import Answered, Results, RowKey, read_cases

_OUT = Path(__file__).parent / "results" / "losses.json"
_METHODS = "scr,scr:cosine,scr:cascade,rag:1,rag"
_RETRIEVED = "scr:cosine"


def main() -> None:
    """Read the options, count, write results/losses.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--methods", default=_METHODS, help="with commas")
    parser.add_argument("--out", type=Path, default=_OUT)
    given = parser.parse_args()
    runs = sorted(path.parent for path in given.runs.glob("*/results.json"))
    counted = {run.name: counts(run, given.methods.split(",")) for run in runs}
    found = {run.name: reachable(run) for run in runs}
    write_result(given.out, {"methods": given.methods}, {"lost": counted, "reachable": found})


def counts(run: Path, methods: list[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Questions by method, kind and reason."""
    keys = {row.method: row.key for row in Results.read(run).rows}  # a run here has one set, model and number of edits
    return {method: by_kind(run, keys[method], keys["oracle"]) for method in methods if method in keys}


def by_kind(run: Path, key: RowKey, oracle: RowKey) -> dict[str, dict[str, int]]:
    """Questions by kind and reason."""
    kinds: dict[str, Counter[str]] = {}
    for own, mine, best in (one for record in paired(run, key, oracle) for one in record):
        kinds.setdefault(": ".join(filter(None, (mine.kind, mine.sub))), Counter()).update([reason(own, mine, best)])
    return {kind: dict(sorted(reasons.items())) for kind, reasons in sorted(kinds.items())}


def reachable(run: Path) -> dict[str, dict[str, float]]:
    """The mean over records, each a mean over kinds of questions, by dimension."""
    keys = {row.method: row.key for row in Results.read(run).rows}
    if _RETRIEVED not in keys:
        return {}
    scores: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for record in paired(run, keys[_RETRIEVED], keys["oracle"]):
        kinds: defaultdict[str, defaultdict[str, list[tuple[bool, bool]]]] = defaultdict(lambda: defaultdict(list))
        for own, mine, best in record:
            kinds[mine.kind][mine.sub].append((bool(best.contains and own & _weighed(mine)), bool(best.contains)))
        for kind, subs in kinds.items():
            means = [[mean(side) for side in zip(*several, strict=True)] for several in subs.values()]
            scores[kind].append((mean(found for found, _ in means), mean(best for _, best in means)))
    return {
        kind: {
            "found": round(mean(found for found, _ in several), 3),
            "oracle": round(mean(one for _, one in several), 3),
        }
        for kind, several in scores.items()
    }


def paired(run: Path, key: RowKey, oracle: RowKey) -> Iterator[list[tuple[frozenset[str], Answered, Answered]]]:
    """Each record's clean questions in scope, as both answered them, with the record's own facts."""
    for case, right in zip(read_cases(run, key), read_cases(run, oracle), strict=True):
        both = zip(case.answered, right.answered, strict=True)
        yield [(frozenset(case.facts), mine, best) for mine, best in both if mine.in_scope and not mine.flaws]


def _weighed(answered: Answered) -> set[str]:
    return {one.fact for one in answered.considered}


def reason(own: frozenset[str], mine: Answered, best: Answered) -> str:
    """Why the two differ, or `both` or `neither` where they do not."""
    if mine.contains == best.contains:
        return "both" if mine.contains else "neither"
    if mine.contains:
        return "gained"
    if not own & _weighed(mine):
        return "not_found"
    if not own & {*mine.shown}:
        return "refused"
    return "among_others" if len(mine.shown) > len(own & {*mine.shown}) else "otherwise"


if __name__ == "__main__":
    main()
