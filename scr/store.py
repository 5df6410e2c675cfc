"""The fact store: ledger, encoder and index, kept in step.

The ledger is the truth. The index follows it: before every search it replays the events it has not seen, so that a
fact committed by any process is found by the next query of every other one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from scr.changes import Added, Changes, OnConflict, Undone
from scr.errors import EncoderMismatch, StoreReadOnly, UnknownFact, UnknownStore, UsageError
from scr.facts import DEFAULT_NAMESPACE, Fact, NewFact, check_namespace
from scr.ledger import EncoderId, Ledger, OperationKind
from scr.ledger.transaction import text_digest
from scr.reembedding import embed_afresh
from scr.scope import Candidate
from scr.scope.conflicts import ConflictDetector, StatementConflicts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scr.encoder import Encoder
    from scr.searcher import Searcher

Progress: TypeAlias = Callable[[int], None]

Item = TypeVar("Item")

_CHUNK = 1024
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Imported:
    """Counts of a bulk import."""

    added: int
    duplicate: int
    superseded: int


class FactStore:
    """Facts that can be added, found, changed and taken back. Safe to share between threads and processes.

    Attributes:
        path: the store's folder.
        ledger: the truth.
        namespace: facts of other namespaces are neither seen nor changed.
    """

    def __init__(
        self,
        path: Path,
        ledger: Ledger,
        *,
        encoder: Callable[[str | None], Encoder],
        detector: ConflictDetector,
        namespace: str,
        actor: str,
    ) -> None:
        self.path, self.ledger, self.namespace = path, ledger, namespace
        self._open_encoder, self._detector, self._actor = encoder, detector, actor
        self._encoder: Encoder | None = None
        self._searcher: Searcher | None = None
        self._opening = threading.RLock()  # threads that come first together open these once

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        encoder: str | Encoder | None = None,
        detector: ConflictDetector | None = None,
        actor: str | None = None,
        make: bool = True,
    ) -> FactStore:
        """Open the store in a folder.

        Args:
            path: the folder.
            namespace: which facts to see and change.
            encoder: a folder or hub id, or an open encoder; None is the one the store was made with.
            detector: what decides that facts contradict each other.
            actor: who is named in the ledger; None is the operating system's user.
            make: whether to make the store where there is none.

        Raises:
            UsageError: the path is no folder.
            UnknownStore: there is none, and it is not to be made.
            StoreError: it cannot be opened; one of its subclasses.
        """
        from scr.ledger.sqlite import SQLiteLedger

        folder = Path(path).expanduser().absolute()
        ledger = folder / "ledger.sqlite"
        if make or folder.is_file():
            _make(folder)
        elif not ledger.is_file():
            raise UnknownStore(f"there is no store in {folder}: give another --store, or make it with `scr add`")
        return cls(
            folder,
            SQLiteLedger.open(ledger),
            encoder=_encoder_opener(encoder),
            detector=detector or StatementConflicts(),
            namespace=check_namespace(namespace),
            actor=actor or _user(),
        )

    @property
    def encoder(self) -> Encoder:
        """The encoder, opened when it is first needed.

        Raises:
            EncoderMismatch: the store holds vectors of another one.
        """
        known = self.ledger.encoder()
        with self._opening:
            if self._encoder is None or (known and known != identify(self._encoder)):
                # The first use, or another process has embedded the store afresh with another encoder.
                encoder = self._open_encoder(known.name if known else None)
                if known and known != identify(encoder):
                    raise EncoderMismatch(
                        f"the store {self.path} holds vectors of {known.name} ({known.revision}), not of "
                        f"{encoder.name} ({encoder.revision}): run `scr store rebuild --encoder {encoder.name}`, "
                        f"or open it with --encoder {known.name}"
                    )
                self._encoder, self._searcher = encoder, None
            return self._encoder

    @property
    def searcher(self) -> Searcher:
        """The index over this ledger, opened when it is first needed."""
        with self._opening:
            encoder = self.encoder
            if self._searcher is None:
                from scr.searcher import Searcher

                self._searcher = Searcher(self.path / "index", self.ledger, encoder)
            return self._searcher

    def add(self, new: NewFact, *, on_conflict: OnConflict = "supersede") -> Added:
        """Insert one fact; it is durable, and visible to every process, when this returns.

        Raises:
            Conflict: it contradicts a stored fact and ``on_conflict`` is ``reject``; nothing was changed.
            StoreError: one of its subclasses; nothing was changed.
        """
        self._keep_embeddings([new.text])
        rivals = [] if on_conflict == "keep" else self._rivals(new)
        with self._write("add") as changes:
            return changes.insert(new, on_conflict, rivals)

    def add_all(
        self, facts: Iterable[NewFact], *, on_conflict: OnConflict = "supersede", progress: Progress | None = None
    ) -> Imported:
        """Insert many facts as one operation: all of them or none. Later ones supersede those of their statement.

        Unlike :meth:`add`, it does not ask the scope classifier for conflicts in other words.

        Embeddings are kept as they are made, so that an import that was cut off goes on where it stopped.

        Raises:
            Conflict: a fact contradicts another and ``on_conflict`` is ``reject``; nothing was changed.
            StoreError: one of its subclasses; nothing was changed.
        """
        queue: list[NewFact] = []
        for chunk in _chunks(facts):
            self._keep_embeddings([fact.text for fact in chunk])
            queue += chunk
            if progress:
                progress(len(chunk))
        added = duplicate = superseded = 0
        with self._write("import") as changes:
            for new in queue:
                result = changes.insert(new, on_conflict)
                duplicate += result.duplicate
                added += not result.duplicate
                superseded += len(result.superseded)
        if added:
            self.searcher.refresh()
        return Imported(added, duplicate, superseded)

    def update(self, fact_id: str, new: NewFact) -> Added:
        """Change what a fact says; its id stays.

        Fields that ``new`` leaves open keep their value, unless the new text no longer bears it out.

        Raises:
            UnknownFact: there is no such active fact.
        """
        self._keep_embeddings([new.text])
        rivals = self._rivals(new)
        with self._write("update") as changes:
            return changes.update(self.full_id(fact_id), new, rivals)

    def remove(self, fact_ids: Sequence[str]) -> list[Fact]:
        """Take facts out of service; the ledger keeps them.

        Raises:
            UnknownFact: one of them is not an active fact; none was removed.
        """
        with self._write("remove") as changes:
            return [changes.remove(fact_id) for fact_id in dict.fromkeys(map(self.full_id, fact_ids))]

    def undo(self, count: int = 1) -> list[Undone]:
        """Take back the last operations of the namespace, newest first; undone ones are passed over.

        Raises:
            UsageError: there are fewer operations than that; nothing was changed.
        """
        if count < 1:
            raise UsageError(f"cannot undo {count} operations: give a number from 1")
        with self._write("undo") as changes:
            return changes.undo(count)

    def get(self, fact_id: str) -> Fact:
        """A fact by its id or the beginning of it, whatever its status.

        Raises:
            UnknownFact: there is none, or several start so.
        """
        fact = self.ledger.get(self.full_id(fact_id))
        if fact is None or fact.namespace != self.namespace:
            raise UnknownFact(f"no fact {fact_id!r} in namespace {self.namespace!r}: see `scr list`")
        return fact

    def full_id(self, prefix: str) -> str:
        """The id that starts so.

        Raises:
            UnknownFact: there is none, or several start so.
        """
        if len(prefix) >= _SHORTEST_PREFIX:
            found = self.ledger.ids_starting(prefix, self.namespace, 2)
            if len(found) == 1:
                return found[0]
            if found:
                raise UnknownFact(f"several facts have ids that start with {prefix!r}: give more of it")
        elif prefix:
            raise UnknownFact(f"{prefix!r} is too short for an id: give at least {_SHORTEST_PREFIX} characters of it")
        raise UnknownFact(f"no fact {prefix!r} in namespace {self.namespace!r}: see `scr list`")

    def facts(
        self, *, every_status: bool = False, as_of: datetime | None = None, after: str | None = None
    ) -> Iterator[Fact]:
        """The namespace's facts, in the order they were added; as they were at ``as_of``, or after a fact, if given."""
        if as_of is not None:
            return self.ledger.facts_as_of(as_of, self.namespace, every_status=every_status)
        return self.ledger.facts(self.namespace, every_status=every_status, after=after)

    def search(self, texts: Sequence[str], k: int, *, as_of: datetime | None = None) -> list[list[Candidate]]:
        """The k facts nearest to each text that are valid now (or were at ``as_of``), nearest first."""
        if not texts:
            return []
        queries = self.encoder.encode(texts)
        if as_of is not None:
            return self._search_past(queries, k, as_of)
        return self.searcher.search(queries, k, self.namespace)

    def rebuild(self, encoder: str | None = None, progress: Progress | None = None) -> int:
        """Embed every fact afresh, with another encoder if given, and build the index anew; returns their number.

        Others may write meanwhile; with the store's former encoder they can no longer when this is done.
        """
        known = self.ledger.encoder()
        open_it = _encoder_opener(encoder) if encoder else self._open_encoder
        opened = open_it(known.name if known else None)
        embed_afresh(self.ledger, identify(opened), opened, self.path, progress)
        self._encoder, self._searcher = opened, None
        self.searcher.rebuild()
        return len(self.searcher)

    def view(self, *, namespace: str | None = None, actor: str | None = None) -> FactStore:
        """The same store seen from another namespace, or changed by someone else; None is as here.

        Ledger, encoder and index are shared once they are open, so a view costs nothing and is not to be closed.

        Raises:
            UsageError: the namespace is not acceptable.
        """
        if self._encoder is not None:
            _ = self.searcher  # what another process embedded with another encoder is opened once, here
        seen = copy(self)
        seen.namespace = check_namespace(namespace) if namespace is not None else self.namespace
        seen._actor = actor if actor is not None else self._actor
        return seen

    def close(self) -> None:
        """Give back files and memory."""
        self.ledger.close()
        self._searcher = None

    def __enter__(self) -> FactStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _write(self, kind: OperationKind) -> Iterator[Changes]:
        with self.ledger.write(kind, self.namespace, self._actor) as transaction:
            yield Changes(transaction, self._detector, self.namespace)

    def _keep_embeddings(self, texts: Sequence[str]) -> None:
        digests = {text_digest(text): text for text in texts}
        known = self.ledger.embeddings(list(digests))
        missing = [digest for digest in digests if digest not in known]
        if missing or self.ledger.encoder() is None:
            vectors = self.encoder.encode([digests[digest] for digest in missing])
            self.ledger.put_embeddings(identify(self.encoder), zip(missing, vectors, strict=True))

    def _rivals(self, new: NewFact) -> list[str]:
        """Ids of the nearest facts that a new one contradicts; judged without the write lock, as it may take long."""
        if not self._detector.neighbours or next(self.ledger.facts(self.namespace), None) is None:
            return []
        (near,) = self.search([new.text], self._detector.neighbours)
        return [fact.id for fact in self._detector.rivals(new, near)]

    def _search_past(self, queries: NDArray[np.float32], k: int, as_of: datetime) -> list[list[Candidate]]:
        import numpy as np

        facts = [fact for fact in self.facts(as_of=as_of) if fact.holds_at(as_of)]
        if not facts:
            return [[] for _ in queries]
        self._keep_embeddings([fact.text for fact in facts])
        kept = self.ledger.embeddings([text_digest(fact.text) for fact in facts])
        vectors = np.stack([kept[text_digest(fact.text)] for fact in facts])
        results = []
        for cosines in queries @ vectors.T:
            nearest = np.argsort(-cosines, kind="stable")[:k]
            results.append([Candidate(facts[place], float(cosines[place])) for place in nearest])
        return results


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"the store {folder} is a file or lies in one: give --store a folder") from None
    except OSError as error:
        raise StoreReadOnly(f"cannot make the store {folder} ({error.strerror}): use another --store") from None


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk


def identify(encoder: Encoder) -> EncoderId:
    """The ledger's note of an encoder."""
    return EncoderId(encoder.name, encoder.revision, encoder.dimensions)


def _encoder_opener(given: str | Encoder | None) -> Callable[[str | None], Encoder]:
    def open_it(name: str | None) -> Encoder:
        if given is not None and not isinstance(given, str):
            return given
        from scr.encoder import open_encoder

        return open_encoder(given or name)

    return open_it


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


__all__ = ["Added", "FactStore", "Imported", "OnConflict", "Undone", "identify"]
