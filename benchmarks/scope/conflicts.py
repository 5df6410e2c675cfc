"""Which facts a new one retires: `python -m benchmarks.scope.conflicts --data DATA [--pairs N]`.

Pairs of sentences about subjects that no training has seen (the held-out seventh of CounterFact), each in one of its
surface forms. A new value of the same relation must retire the old one; another relation of the subject, the relation
of another subject, and a further value of a relation that has many must not. The same fact in other words is counted
apart: to retire it does no harm.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from benchmarks.common import write_result
from scr.encoder import open_encoder
from scr.scope import Candidate
from scr.scope.conflicts import ConflictDetector, StatementConflicts
from scr.scope.opening import open_scope
from scr.scope.rivals import LearnedConflicts
from scr.scope.training.build import Builder
from scr.scope.training.data import load_records
from scr.scope.training.pairs import Record, split_of
from scr.scope.training.relations import library
from scr.scope.training.wording import statement

from .run import fact_of

_HERE = Path(__file__).parent
_MANY = (
    "speaks", "award", "child", "siblings", "occupation", "genre", "instrument", "cast", "twin_city", "membership",
    "alma_mater", "employer", "sport", "borders", "participants", "characters", "field_of_work", "product",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Two sentences, and whether the new one retires the old one."""

    kind: str
    old: str
    new: str
    retires: bool


def cases(records: list[Record], count: int, rng: Random) -> Iterator[Case]:
    """`count` cases of each kind, as far as there are."""
    builder = Builder(records, rng.randrange(1 << 30))
    held_out = [r for r in records if r.relation and split_of(r.subject, r.source) == "test"]
    rng.shuffle(held_out)
    for record in held_out[:count]:
        old, relation = statement(record, rng), library()[record.relation]
        others = {r.object for r in builder.by_relation[record.relation, "train"]} - {record.object}
        if others and record.relation not in _MANY:
            changed = _with(record, rng.choice(sorted(others)))
            yield Case("another value", old, statement(changed, rng), retires=True)
        if others and record.relation in _MANY:
            yield Case("one of many", old, statement(_with(record, rng.choice(sorted(others))), rng), retires=False)
        if made := builder._made_up(record, relation):
            yield Case("another relation", old, statement(made, rng), retires=False)
        if other := builder._other_subject(record):
            named = _with(other, rng.choice(sorted(others or {"Lyon"})))
            yield Case("another subject", old, statement(named, rng), retires=False)
        yield Case("the same again", old, statement(record, rng), retires=False)


def _with(record: Record, value: str) -> Record:
    """The record with another object; its own sentences are left out, since they name the first one."""
    return replace(record, object=value, statements=(), paraphrases=())


def measure(detector: ConflictDetector, found: list[Case], cosines: list[float]) -> dict[str, dict[str, float]]:
    """How many cases of each kind the detector retires, as `scr add` does."""
    retired: dict[str, list[bool]] = {}
    for case, cosine in zip(found, cosines, strict=True):
        new, old = fact_of(case.new), fact_of(case.old)
        gone = detector.conflicts(new, [old]) or detector.rivals(new, [Candidate(old, cosine)])
        retired.setdefault(case.kind, []).append(bool(gone))
    return {kind: {"n": len(one), "retired": round(sum(one) / len(one), 4)} for kind, one in sorted(retired.items())}


def main() -> None:
    """Read the options, measure, write results/conflicts.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--pairs", type=int, default=1_000, help="records that cases are made of")
    given = parser.parse_args()
    found = list(cases(load_records(given.data), given.pairs, Random(0)))  # noqa: S311 - seeded on purpose
    encoder = open_encoder()
    old, new = encoder.encode([case.old for case in found]), encoder.encode([case.new for case in found])
    cosines = (old * new).sum(axis=1).tolist()
    detectors = {"grammar": StatementConflicts(), "learned": LearnedConflicts(open_scope)}
    results = {name: measure(detector, found, cosines) for name, detector in detectors.items()}
    for name, rows in results.items():
        print(name, rows)
    write_result(_HERE / "results/conflicts.json", {"pairs": given.pairs}, results)


if __name__ == "__main__":
    main()
