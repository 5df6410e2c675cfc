"""Negatives that retrieval brings: the facts near a query, among thousands, that do not govern it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from scr.encoder import Encoder

from .negatives import general, task
from .pairs import Pair, Record, Split, normal, split_of
from .relations import library, sharp
from .wording import dress, question, statement

POOL = 2_500
_NEAREST = 10
_PER_OWN, _PER_OUTSIDE = 2, 2
_OUTSIDE_SHARE = 0.6


@dataclass(frozen=True)
class _Query:
    """A question to mine for.

    Attributes:
        text: the question.
        record: place of the record it came from in the pool.
        own: whether that record's fact governs it.
        kind: for the pairs.
    """

    text: str
    record: int
    own: bool
    kind: str


def mined(records: Sequence[Record], encoder: Encoder, seed: int) -> Iterator[Pair]:
    """Pairs of each part: every record's question with its fact, and questions with near facts that do not govern them.

    A near fact is passed over where it might govern the question after all: it shares the subject and no relation
    library says that it speaks of something else, or the question names its subject.
    """
    rng = Random(seed)  # noqa: S311 - seeded on purpose
    for part in ("train", "tune"):
        own = [record for record in records if split_of(record.subject, record.source) == part]
        rng.shuffle(own)
        for start in range(0, len(own), POOL):
            yield from _mine(own[start : start + POOL], part, encoder, rng)


def _mine(pool: Sequence[Record], part: Split, encoder: Encoder, rng: Random) -> Iterator[Pair]:
    facts = [statement(record, rng) for record in pool]
    subjects = [normal(record.subject) for record in pool]
    queries = [query for place, record in enumerate(pool) for query in _queries(record, place, rng)]
    near = _nearest(encoder.encode([query.text for query in queries]), encoder.encode(facts))
    for query, places in zip(queries, near, strict=True):
        source = pool[query.record].source
        if query.own:
            yield Pair(facts[query.record], query.text, 1.0, query.kind, source, part)
        wrong = [place for place in places if _surely_not(pool, subjects, query, place)]
        for place in wrong[: _PER_OWN if query.own else _PER_OUTSIDE]:
            yield Pair(facts[place], query.text, 0.0, "mined", source, part)


def _queries(record: Record, place: int, rng: Random) -> Iterator[_Query]:
    yield _Query(dress(question(record, rng), rng), place, own=True, kind="asked")
    for probe in record.probes:
        if probe.positive:
            yield _Query(probe.query, place, own=True, kind=probe.kind)
        elif probe.kind in ("general", "specificity") or rng.random() < _OUTSIDE_SHARE:
            yield _Query(probe.query, place, own=False, kind=probe.kind)
    if rng.random() < 0.12:
        yield _Query(general(rng), place, own=False, kind="general")
    if rng.random() < 0.05:
        yield _Query(task(record, rng), place, own=False, kind="task")


def _nearest(queries: NDArray[np.float32], facts: NDArray[np.float32]) -> list[list[int]]:
    return [np.argsort(-row, kind="stable")[:_NEAREST].tolist() for row in queries @ facts.T]


def _surely_not(pool: Sequence[Record], subjects: Sequence[str], query: _Query, place: int) -> bool:
    """Whether a near fact surely does not govern a question."""
    if place == query.record:
        return False
    asked, named = pool[query.record], subjects[place]
    same_subject = named in subjects[query.record] or subjects[query.record] in named
    if query.own and query.kind == "asked" and same_subject:
        known = asked.relation in library() and pool[place].relation in library()
        return known and sharp(asked.relation, pool[place].relation)
    # Nor where another question, about who knows what, names the fact's subject or object.
    text = f" {normal(query.text)} "
    return not same_subject and f" {named} " not in text and not _shares_rare_word(named, text)


def _shares_rare_word(named: str, text: str) -> bool:
    """Whether a long word of the subject's name is in the question: it may be the subject by half its name."""
    return any(len(word) > 6 and f" {word} " in text for word in named.split())
