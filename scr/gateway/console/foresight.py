"""What a change would do, said before it is made: to the facts it contradicts, and to what was asked lately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from scr.changes import Changes, OnConflict
from scr.facts import Fact, NewFact
from scr.gateway.recent import LONGEST_TEXT, Past
from scr.query import queries_of
from scr.scope import Candidate, ScopeClassifier
from scr.scope.conflicts import StatementConflicts
from scr.scope.rivals import LearnedConflicts
from scr.store import FactStore

MOST_QUERIES = 200
"""Most past queries that a new fact is tried on."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Difference:
    """A past query that would now be decided otherwise.

    Attributes:
        past: how it was decided.
        score: the new fact's; None where it would not even be retrieved.
        applies: whether the new fact would govern it.
        lost: facts that governed it and no longer would.
    """

    past: Past
    score: float | None
    applies: bool
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foresight:
    """What adding or changing one fact would do.

    Attributes:
        duplicate: whether it is there already.
        superseded: facts whose place it would take.
        differences: past queries that would be decided otherwise.
        tried: how many past queries there were to try.
    """

    duplicate: bool
    superseded: tuple[Fact, ...]
    differences: tuple[Difference, ...]
    tried: int


class _Enough(Exception):
    """Ends a rehearsal, and takes back all that was done in it."""


def rehearse(store: FactStore, work: Callable[[Changes], _T]) -> _T:
    """What changes of a store would do; nothing of them is kept.

    Raises:
        UsageError: the changes cannot be made; one of its subclasses.
        StoreError: one of its subclasses.
    """
    done: list[_T] = []
    try:
        with store.ledger.write("import", store.namespace, "nobody") as transaction:
            done.append(work(Changes(transaction, StatementConflicts(), store.namespace)))
            raise _Enough
    except _Enough:
        return done[0]


def foresee(
    store: FactStore,
    scope: ScopeClassifier,
    new: NewFact,
    past: Sequence[Past],
    *,
    k: int,
    on_conflict: OnConflict = "supersede",
    fact_id: str | None = None,
) -> Foresight:
    """What a new fact, or another text of the fact with an id, would do.

    Args:
        store: the facts.
        scope: says whether the fact would govern a query.
        new: the fact.
        past: queries that were decided, the latest first.
        k: how many candidates are retrieved for a query.
        on_conflict: what would become of the facts that it contradicts.
        fact_id: of the fact that is changed; None where one is added.
    """
    near = store.search([new.text], LearnedConflicts.neighbours)[0]
    rivals = [fact.id for fact in LearnedConflicts(lambda: scope).rivals(new, near)]
    yields: OnConflict = "keep" if on_conflict == "keep" else "supersede"
    added = rehearse(
        store,
        lambda changes: changes.update(fact_id, new, rivals) if fact_id else changes.insert(new, yields, rivals),
    )
    gone = {added.fact.id}
    if added.fact.valid_from is None or added.fact.valid_from <= datetime.now(UTC):
        gone |= {fact.id for fact in added.superseded}  # else they hold until then
    latest = list({one.query: one for one in reversed(past) if one.query}.values())[::-1][:MOST_QUERIES]
    found = () if added.duplicate else tuple(_differences(store, scope, added.fact, latest, gone, k))
    return Foresight(added.duplicate, added.superseded, found, len(latest))


def _differences(
    store: FactStore, scope: ScopeClassifier, fact: Fact, past: Sequence[Past], gone: set[str], k: int
) -> list[Difference]:
    scores, holds = _scores(store, scope, fact, past, gone, k), fact.holds_at(datetime.now(UTC))
    found = []
    for one, score in zip(past, scores, strict=True):
        applies = holds and score is not None and score >= scope.threshold
        given = {each.id: each.text for each in one.facts if each.applies}
        then = {each: text for each, text in given.items() if each not in gone}
        if applies:
            then[fact.id] = fact.text[:LONGEST_TEXT]
        if then != given:
            lost = tuple(text for each, text in given.items() if then.get(each) != text)
            found.append(Difference(one, score, applies, lost))
    return found


def _scores(
    store: FactStore, scope: ScopeClassifier, fact: Fact, past: Sequence[Past], gone: set[str], k: int
) -> list[float | None]:
    """The fact's score for each query, the best of its parts; None where facts that stay are all nearer."""
    parts = [(place, part) for place, one in enumerate(past) for part in queries_of(one.query)]
    if not parts:
        return []
    vectors = store.encoder.encode([fact.text, *(part for _, part in parts)])
    cosines = (vectors[1:] @ vectors[0]).tolist()
    kept = []
    for (place, part), cosine in zip(parts, cosines, strict=True):
        facts = [one for one in past[place].facts if one.id not in gone]
        if len(facts) < k or cosine > min(one.similarity for one in facts):
            kept.append((place, (part, Candidate(fact, cosine))))
    best: list[float | None] = [None] * len(past)
    for (place, _), score in zip(kept, scope.score([pair for _, pair in kept]).tolist() if kept else [], strict=True):
        best[place] = max(score, best[place] or 0.0)
    return best
