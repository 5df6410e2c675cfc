"""What an operation does to the facts: which take whose place, and what taking it back restores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from scr.errors import Conflict, FactError, UnknownFact, UsageError
from scr.facts import Fact, NewFact, format_time, new_id
from scr.ledger import EventKind, Operation, Transaction
from scr.scope.conflicts import ConflictDetector, overlap

OnConflict: TypeAlias = Literal["supersede", "keep", "reject"]


@dataclass(frozen=True, slots=True)
class Added:
    """What inserting a fact did.

    Attributes:
        fact: the new fact, or the one that was there already.
        superseded: facts it took the place of.
        duplicate: whether a fact with the same text was there, so that nothing was changed.
    """

    fact: Fact
    superseded: tuple[Fact, ...] = ()
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Undone:
    """An operation that was taken back, and the facts whose state that changed."""

    operation: Operation
    facts: tuple[Fact, ...]


class Changes:
    """The changes that make up one operation, within its transaction."""

    def __init__(self, transaction: Transaction, detector: ConflictDetector, namespace: str) -> None:
        self._transaction, self._detector, self._namespace = transaction, detector, namespace

    def insert(self, new: NewFact, on_conflict: OnConflict, rivals: Sequence[str] = ()) -> Added:
        """Insert a fact, unless one with the same text is there and holds as long.

        Args:
            new: the fact.
            on_conflict: what becomes of the facts that it contradicts.
            rivals: ids of facts that are known to contradict it, besides those that share its statement.

        Raises:
            Conflict: it contradicts a stored fact and ``on_conflict`` is ``reject``.
        """
        same = self._transaction.with_text(new.text)
        if there := next((one for one in same if _holds_as_long(one, new, self._transaction.at)), None):
            return Added(there, duplicate=True)
        fact = Fact(
            id=new_id(),
            namespace=self._namespace,
            created_at=self._transaction.at,
            **{name: getattr(new, name) for name in NewFact.__dataclass_fields__},
        )
        superseded = self._supersede(fact, rivals, on_conflict)
        for one in same:
            if one not in superseded and overlap(one, fact):
                self._put("superseded", _ended(one, fact))
                superseded.append(one)
        fact = replace(fact, supersedes=tuple(one.id for one in superseded))
        self._put("added", fact)
        return Added(fact, tuple(superseded))

    def update(self, fact_id: str, new: NewFact, rivals: Sequence[str] = ()) -> Added:
        """Change what a fact says; the facts that it contradicts from now on are superseded.

        Raises:
            UnknownFact: it is not an active fact.
            FactError: it would end before it begins.
        """
        old = self._active(fact_id)
        fact = _updated(old, new)
        if fact.valid_from and fact.valid_to and fact.valid_to <= fact.valid_from:
            raise FactError(
                f"the fact would hold from {format_time(fact.valid_from)} to {format_time(fact.valid_to)}, which is "
                "never: give both valid_from and valid_to"
            )
        superseded = self._supersede(fact, rivals, "supersede")
        fact = replace(fact, supersedes=old.supersedes + tuple(one.id for one in superseded))
        self._put("updated", fact)
        return Added(fact, tuple(superseded))

    def remove(self, fact_id: str) -> Fact:
        """Take a fact out of service.

        Raises:
            UnknownFact: it is not an active fact.
        """
        fact = replace(self._active(fact_id), status="removed")
        self._put("removed", fact)
        return fact

    def undo(self, count: int) -> list[Undone]:
        """Take back the last operations, newest first.

        Raises:
            UsageError: there are fewer operations than that.
        """
        operations = self._transaction.undoable(count)
        if len(operations) < count:
            raise UsageError(
                f"only {len(operations)} of {count} operations can be undone in namespace {self._namespace!r}: "
                "see `scr log`"
            )
        undone = []
        for operation in operations:
            self._transaction.mark_reverted(operation.number)
            undone.append(Undone(operation, tuple(self._restore(operation))))
        return undone

    def _put(self, kind: EventKind, fact: Fact) -> None:
        self._transaction.put(kind, fact, self._detector.statement(fact))

    def _active(self, fact_id: str) -> Fact:
        fact = self._transaction.get(fact_id)
        if fact is None or fact.namespace != self._namespace or fact.status != "active":
            raise UnknownFact(f"no active fact {fact_id!r} in namespace {self._namespace!r}: see `scr list --all`")
        return fact

    def _supersede(self, fact: Fact, rivals: Sequence[str], on_conflict: OnConflict) -> list[Fact]:
        if on_conflict == "keep":
            return []
        statement = self._detector.statement(fact)
        stored = [
            one for one in (self._transaction.with_statement(statement) if statement else ()) if one.id != fact.id
        ]
        contradicted = {one.id: one for one in self._detector.conflicts(fact, stored)}
        # They were judged before the lock was taken: one may have gone since.
        still = (self._transaction.get(one) for one in rivals if one != fact.id)
        contradicted |= {one.id: one for one in still if one and one.status == "active"}
        found = list(contradicted.values())
        if found and on_conflict == "reject":
            raise Conflict(
                f"it contradicts {found[0].id} ({found[0].text!r}): use --on-conflict supersede or keep; "
                "nothing was changed"
            )
        for one in found:
            self._put("superseded", _ended(one, fact))
        return found

    def _restore(self, operation: Operation) -> Iterator[Fact]:
        for after, before in self._transaction.states_before(operation.number):
            fact = before or replace(after, status="removed")
            self._put("restored" if before else "removed", fact)
            yield fact


def _updated(old: Fact, new: NewFact) -> Fact:
    values = {name: getattr(new, name) for name in NewFact.__dataclass_fields__}
    kept = {name: value for name, value in values.items() if value is not None}
    if old.object and "object" not in kept and not _bears_out(new.text, old.object):
        kept["object"] = None
    gone = [name for name in ("subject", "relation") if name not in kept and _is_gone(getattr(old, name), old, new)]
    if gone:  # The text has come to speak of something else; what the old one answered is no word of it.
        kept = dict.fromkeys([*gone, "question"]) | kept
    return replace(old, **kept)


def _is_gone(value: str | None, old: Fact, new: NewFact) -> bool:
    return value is not None and _bears_out(old.text, value) and not _bears_out(new.text, value)


def _bears_out(text: str, value: str) -> bool:
    return value.casefold() in text.casefold()


def _holds_as_long(there: Fact, new: NewFact, now: datetime) -> bool:
    """Whether a fact with the same text holds when the new one is to hold; one without dates is said of the present."""
    if new.valid_from is None and new.valid_to is None:
        return there.holds_at(now)
    began = there.valid_from is None or there.valid_from <= (new.valid_from or now)
    lasts = there.valid_to is None or (new.valid_to is not None and new.valid_to <= there.valid_to)
    return began and lasts


def _ended(old: Fact, new: Fact) -> Fact:
    # A fact that only begins later leaves the present to the old one.
    if new.valid_from and new.valid_from > new.created_at and (old.valid_from or old.created_at) < new.valid_from:
        return replace(old, valid_to=new.valid_from)
    return replace(old, status="superseded")
