"""The ledger: the truth of a store, as append-only events and the current facts that follow from them.

A change is an *operation* (what somebody did: one add, one import of 10,000 lines), made of *events* (what
happened to each fact), in one transaction. Nothing is ever deleted: undoing is an operation too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from scr.facts import Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OperationKind: TypeAlias = Literal["add", "import", "update", "remove", "undo"]
EventKind: TypeAlias = Literal["added", "updated", "superseded", "removed", "restored"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What somebody did.

    Attributes:
        number: 1, 2, 3 … in the order of commits.
        at: when; strictly later than the operation before.
        kind: what was done.
        namespace: where.
        actor: who, as far as is known.
        reverts: number of the operation that an undo takes back.
        size: number of events.
        facts: the first few facts it touched, with what happened to them.
    """

    number: int
    at: datetime
    kind: OperationKind
    namespace: str
    actor: str
    reverts: int | None
    size: int
    facts: tuple[tuple[EventKind, Fact], ...] = ()


@dataclass(frozen=True, slots=True)
class IndexChange:
    """What the vector index has to do about one fact.

    Attributes:
        number: the fact's number in the index.
        namespace: the fact's namespace.
        digest: key of the fact's embedding; None if the fact is not active.
    """

    number: int
    namespace: str
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class EncoderId:
    """Which encoder made a ledger's embeddings."""

    name: str
    revision: str
    dimensions: int


class Transaction(Protocol):
    """A change in the making: reads see it, nobody else does before the commit."""

    at: datetime

    def get(self, fact_id: str) -> Fact | None:
        """The fact with this id, whatever its status."""
        ...

    def with_text(self, text: str) -> list[Fact]:
        """The active facts of the namespace with exactly this text."""
        ...

    def with_statement(self, statement: str) -> list[Fact]:
        """The active facts of the namespace with this statement key (normalised subject and relation)."""
        ...

    def put(self, kind: EventKind, fact: Fact, statement: str | None) -> None:
        """Record an event and the fact's new state."""
        ...

    def undoable(self, count: int) -> list[Operation]:
        """The last ``count`` operations of the namespace that are not undone, newest first."""
        ...

    def states_before(self, operation: int) -> Iterator[tuple[Fact, Fact | None]]:
        """Each fact an operation touched: its state after, and before it (None if it did not exist)."""
        ...

    def mark_reverted(self, operation: int) -> None:
        """Note that what follows in this transaction takes back that operation."""
        ...


class Ledger(Protocol):
    """Events, current facts and their embeddings. Safe to share between threads and processes."""

    @property
    def store_id(self) -> str:
        """A UUID made with the ledger; a copied or restored index of another ledger is told by it."""
        ...

    def revision(self) -> int:
        """Number of the last event; 0 in an empty ledger."""
        ...

    def fingerprint(self, revision: int) -> str:
        """Of the event with that number: tells histories apart that have come to the same revision; empty for none."""
        ...

    def write(self, kind: OperationKind, namespace: str, actor: str) -> AbstractContextManager[Transaction]:
        """One operation, committed durably when the block ends and not at all when it raises."""
        ...

    def get(self, fact_id: str) -> Fact | None:
        """The fact with this id, whatever its status."""
        ...

    def ids_starting(self, prefix: str, namespace: str, limit: int) -> list[str]:
        """Ids of the namespace's facts that start so."""
        ...

    def facts(self, namespace: str | None, *, every_status: bool = False, after: str | None = None) -> Iterator[Fact]:
        """Facts in the order they were added, those after the one with an id if given; None is every namespace."""
        ...

    def facts_as_of(self, moment: datetime, namespace: str | None, *, every_status: bool = False) -> Iterator[Fact]:
        """The facts as they were at that moment."""
        ...

    def history(self, fact_id: str) -> list[tuple[Operation, EventKind, Fact]]:
        """What happened to a fact, oldest first."""
        ...

    def log(self, namespace: str | None, limit: int) -> list[Operation]:
        """The last operations, newest first."""
        ...

    def by_number(self, numbers: Sequence[int]) -> dict[int, Fact]:
        """Active facts by their number in the index."""
        ...

    def count(self) -> dict[str, int]:
        """Number of active facts by namespace."""
        ...

    def has_other_namespaces(self, namespace: str) -> bool:
        """Whether another namespace holds active facts."""
        ...

    def changes_since(self, revision: int) -> Iterator[IndexChange]:
        """The present state of every fact that an event after ``revision`` touched."""
        ...

    def encoder(self) -> EncoderId | None:
        """The encoder that made the embeddings; None before the first."""
        ...

    def put_embeddings(
        self, encoder: EncoderId, rows: Iterable[tuple[bytes, NDArray[np.float32]]], *, replace: bool = False
    ) -> None:
        """Keep embeddings (float32, shape (dimensions,)) by digest; ``replace`` first drops all others.

        Raises:
            EncoderMismatch: those kept are of another encoder, and are not replaced.
        """
        ...

    def embeddings(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Kept embeddings by digest; absent ones are left out."""
        ...

    def verify(self) -> list[str]:
        """Everything that is wrong with the file, and every fact that differs from what its events say."""
        ...

    def bytes(self) -> int:
        """Size on disk."""
        ...

    def close(self) -> None:
        """Give back the connections."""
        ...


__all__ = [
    "EncoderId",
    "EventKind",
    "IndexChange",
    "Ledger",
    "Operation",
    "OperationKind",
    "Transaction",
]
