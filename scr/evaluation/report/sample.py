"""The questions that a report holds: at most so many a row, failures first, the same ones each time."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from scr.errors import UsageError
from scr.evaluation.results import Answered, CaseResult, Results, RowKey, read_cases

AT_MOST = 30_000
"""Questions in a whole report."""
AT_MOST_A_ROW = 1_000
CHARACTERS = 40_000_000
"""Text in a whole report, before it is compressed."""
LONGEST = 4_000
"""Characters of one text; the file of the case has all of it."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A question of a report.

    Attributes:
        case: its case, of which the other questions may not be in the report.
        place: of the question in its case, from 0.
        answered: what was said.
        flags: ``false_fire``, ``wrong_fact``, ``no_fact``, as far as they hold.
    """

    case: CaseResult
    place: int
    answered: Answered
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class SampledRow:
    """The questions of a row.

    Attributes:
        key: of the row.
        total: how many questions it has.
        failed: how many of them failed.
        kept: those in the report, by case and place.
        failed_kept: how many of these failed.
    """

    key: RowKey
    total: int
    failed: int
    kept: tuple[Sampled, ...]
    failed_kept: int


def flags_of(case: CaseResult, answered: Answered, shows: bool) -> frozenset[str]:
    """What went wrong with the facts that the model saw.

    Args:
        case: with its own facts.
        answered: the question.
        shows: whether the method shows facts at all; one that changes weights is not to be blamed for showing none.
    """
    if not answered.in_scope:
        return frozenset({"false_fire"} if answered.shown else ())
    if not answered.shown:
        return frozenset({"no_fact"} if shows else ())
    return frozenset() if {*case.facts} & {*answered.shown} else frozenset({"wrong_fact"})


def failed(answered: Answered, flags: frozenset[str]) -> bool:
    """Whether it broke its promise: not right in scope, changed out of scope, or shown what it should not be."""
    wrong = answered.contains is False if answered.in_scope else answered.preserved is False
    return wrong or bool(flags & {"false_fire", "wrong_fact"})


def clipped(text: str) -> str:
    """A text of bounded length that says what is missing."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} … [{len(text) - LONGEST:,} more characters in the case's file]"


def sample_rows(run: Path, results: Results) -> list[SampledRow]:
    """Choose the questions of every row.

    Raises:
        UsageError: the file of a case is damaged.
    """
    shows = {row.key: False for row in results.rows}
    for row in results.rows:
        shows[row.key] |= bool(row.scope)
    if not shows:
        return []
    number, characters = min(AT_MOST_A_ROW, AT_MOST // len(shows)), CHARACTERS // len(shows)
    return [_sample(run, key, shows[key], max(1, number), characters) for key in shows]


def _sample(run: Path, key: RowKey, shows: bool, number: int, characters: int) -> SampledRow:
    count: Counter[str] = Counter()

    def ranked() -> Iterator[tuple[tuple[bool, bytes, str, int], Sampled]]:
        for case in _cases(run, key):
            # By a digest of the case and not of the row, so that rows hold the same questions where they can.
            digest = blake2b(case.case.encode("utf-8", "replace"), digest_size=8).digest()
            for place, answered in enumerate(case.answered):
                flags = flags_of(case, answered, shows)
                bad = failed(answered, flags)
                count.update(total=1, failed=bad)
                yield (not bad, digest, case.case, place), Sampled(case, place, answered, flags)

    best = heapq.nsmallest(number, ranked(), key=lambda pair: pair[0])
    kept: list[tuple[tuple[bool, bytes, str, int], Sampled]] = []
    for rank, sampled in best:
        characters -= _size(sampled)
        if characters < 0 and kept:
            break
        kept.append((rank, sampled))
    bad = sum(not rank[0] for rank, _ in kept)
    ordered = sorted((sampled for _, sampled in kept), key=lambda one: (one.case.case, one.place))
    return SampledRow(key, count["total"], count["failed"], tuple(ordered), bad)


def _cases(run: Path, key: RowKey) -> Iterator[CaseResult]:
    try:
        yield from read_cases(run, key)
    except OSError as error:
        raise UsageError(f"cannot read {key.folder(run)}: {(error.strerror or str(error)).lower()}") from None


def turns(given: object) -> list[tuple[str, str]]:
    """What the model was given as turns of role and text; a text of its own has no role."""
    if given is None:
        return []
    if isinstance(given, list | tuple) and all(isinstance(turn, dict) for turn in given):
        return [(str(turn.get("role", "")), str(turn.get("content", ""))) for turn in given]
    return [("", str(given))]


def _size(sampled: Sampled) -> int:
    one = sampled.answered
    texts = [one.prompt, one.answer, one.bare, *one.shown, *(text for _, text in turns(one.given))]
    return sum(min(len(text), LONGEST) for text in (*texts, *(other.fact for other in one.considered)))
