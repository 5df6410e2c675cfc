"""What a change would do, said before it is made: to the facts it contradicts, and to what was asked lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scr.changes import Added, Changes, OnConflict
from scr.facts import Fact, NewFact
from scr.gateway.recent import Past
from scr.query import queries_of
from scr.scope import Candidate, ScopeClassifier
from scr.scope.conflicts import StatementConflicts
from scr.scope.rivals import LearnedConflicts
from scr.store import FactStore

MOST_QUERIES = 200
"""Most past queries that a new fact is tried on."""


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


def rehearse(
    store: FactStore, facts: Sequence[NewFact], on_conflict: OnConflict = "supersede", rivals: Sequence[str] = ()
) -> list[Added]:
    """What inserting facts in this order would do to each; nothing is kept.

    Args:
        store: where.
        facts: to be inserted.
        on_conflict: what would become of the facts that they contradict.
        rivals: ids of facts that each of them is known to contradict in other words.

    Raises:
        Conflict: one contradicts another and ``on_conflict`` is ``reject``.
        StoreError: one of its subclasses.
    """
    done: list[Added] = []
    try:
        with store.ledger.write("import", store.namespace, "nobody") as transaction:
            changes = Changes(transaction, StatementConflicts(), store.namespace)
            done.extend(changes.insert(new, on_conflict, rivals) for new in facts)
            raise _Enough
    except _Enough:
        return done


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
    (added,) = rehearse(store, [new], "keep" if on_conflict == "keep" else "supersede", rivals)
    superseded = tuple(fact for fact in added.superseded if fact.id != fact_id)
    gone = {fact.id for fact in superseded} | ({fact_id} if fact_id else set())
    latest = list({one.query: one for one in reversed(past) if one.query}.values())[::-1][:MOST_QUERIES]
    found = () if added.duplicate else tuple(_differences(store, scope, new, latest, gone, k))
    return Foresight(added.duplicate, superseded, found, len(latest))


def _differences(
    store: FactStore, scope: ScopeClassifier, new: NewFact, past: Sequence[Past], gone: set[str], k: int
) -> list[Difference]:
    scores = _scores(store, scope, new, past, k)
    found = []
    for one, score in zip(past, scores, strict=True):
        lost = tuple(fact.text for fact in one.facts if fact.applies and fact.id in gone)
        applies = score is not None and score >= scope.threshold
        if applies or lost:
            found.append(Difference(one, score, applies, lost))
    return found


def _scores(store: FactStore, scope: ScopeClassifier, new: NewFact, past: Sequence[Past], k: int) -> list[float | None]:
    """The new fact's score for each query, the best of its parts; None where other facts are all nearer."""
    stated = {name: getattr(new, name) for name in NewFact.__dataclass_fields__}
    fact = Fact(id="", namespace=store.namespace, created_at=datetime.now(UTC), **stated)
    parts = [(place, part) for place, one in enumerate(past) for part in queries_of(one.query)]
    if not parts:
        return []
    vectors = store.encoder.encode([new.text, *(part for _, part in parts)])
    cosines = (vectors[1:] @ vectors[0]).tolist()
    kept = []
    for (place, part), cosine in zip(parts, cosines, strict=True):
        facts = past[place].facts
        if len(facts) < k or cosine > min(one.similarity for one in facts):
            kept.append((place, (part, Candidate(fact, cosine))))
    best: list[float | None] = [None] * len(past)
    for (place, _), score in zip(kept, scope.score([pair for _, pair in kept]).tolist() if kept else [], strict=True):
        best[place] = max(score, best[place] or 0.0)
    return best
