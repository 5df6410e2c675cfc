"""Searching a ledger: the vector index, and what keeps it level with the events.

On disk the index is a snapshot of some ledger revision. In memory it is brought up to the last event before every
search, from the embeddings that the ledger keeps; when that tail has grown, a new snapshot is saved.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scr.encoder import Encoder
from scr.errors import IndexDamaged
from scr.index.snapshot import Origin, load, save
from scr.index.vectors import VectorIndex
from scr.ledger import IndexChange, Ledger
from scr.ledger.transaction import text_digest
from scr.progress import bar
from scr.scope import Candidate

_LEAST_TAIL, _TAIL_SHARE = 2_000, 0.03
_BATCH = 4_096

log = logging.getLogger(__name__)


class Searcher:
    """Nearest active facts of a namespace.

    Args:
        folder: where the snapshots lie.
        ledger: what the index is derived from.
        encoder: what made the ledger's embeddings.
    """

    def __init__(self, folder: Path, ledger: Ledger, encoder: Encoder) -> None:
        self._folder, self._ledger, self._encoder = folder, ledger, encoder
        self._lock = threading.RLock()
        self._index: VectorIndex | None = None
        self._revision = self._saved = 0
        self._members = _Members(ledger)

    def __len__(self) -> int:
        self.refresh()
        return len(self._opened())

    def search(self, queries: NDArray[np.float32], k: int, namespace: str) -> list[list[Candidate]]:
        """The k nearest active facts that are valid now, nearest first.

        Args:
            queries: shape (q, dimensions), L2-normalised.
            k: how many at most.
            namespace: facts of others are passed over.

        Returns:
            q lists of at most k candidates.
        """
        with self._lock:
            self.refresh()
            allowed = self._members.bitmap(namespace) if self._ledger.has_other_namespaces(namespace) else None
            wanted, size, now = k, len(self._opened()), datetime.now(UTC)
            while True:
                cosines, numbers = self._opened().search(queries, min(wanted, max(size, 1)), allowed)
                results = self._candidates(cosines, numbers, now)
                # Facts that are not valid at present were found and dropped: look further.
                if wanted >= size or all(len(found) >= k for found in results) or (numbers[:, -1] < 0).all():
                    return [found[:k] for found in results]
                wanted *= 4

    def _candidates(
        self, cosines: NDArray[np.float32], numbers: NDArray[np.int64], now: datetime
    ) -> list[list[Candidate]]:
        facts = self._ledger.by_number(np.unique(numbers[numbers > 0]).tolist())
        results = []
        for row_cosines, row_numbers in zip(cosines, numbers, strict=True):
            pairs = zip(row_cosines.tolist(), row_numbers.tolist(), strict=True)
            found = [(facts[number], cosine) for cosine, number in pairs if number in facts]
            results.append([Candidate(fact, cosine) for fact, cosine in found if fact.holds_at(now)])
        return results

    def refresh(self) -> None:
        """Bring the index up to the ledger's last event."""
        with self._lock:
            self._follow()
            if self._revision - self._saved > max(_LEAST_TAIL, _TAIL_SHARE * len(self._opened())):
                self._save()

    def rebuild(self) -> None:
        """Forget the index and build it from the ledger."""
        with self._lock:
            self._disown()
            self._start_anew()
            self._follow()
            self._save()

    def _follow(self) -> None:
        self._opened()
        revision = self._ledger.revision()
        if revision == self._revision:
            return
        tail = revision - self._revision
        with bar("Building the index", tail if tail > _LEAST_TAIL else None) as advance:
            changes = self._ledger.changes_since(self._revision)
            while batch := list(islice(changes, _BATCH)):
                self._apply(batch)
                advance(len(batch))
        self._revision = revision

    def differences(self) -> list[str]:
        """What the index, brought up to date, answers otherwise than one built from nothing would."""
        with self._lock:
            self.refresh()
            fresh = Searcher(self._folder / "none", self._ledger, self._encoder)
            fresh._follow()
            mine, theirs = self._opened(), fresh._opened()
            extra = np.setdiff1d(mine.numbers(), theirs.numbers())
            missing = np.setdiff1d(theirs.numbers(), mine.numbers())
            flaws = [f"the index holds fact number {number}, which is not active" for number in extra.tolist()]
            flaws += [f"the index lacks fact number {number}" for number in missing.tolist()]
            if not flaws:
                for (numbers, one), (_, other) in zip(mine.blocks(), theirs.blocks(), strict=True):
                    wrong = numbers[(one != other).any(axis=1)]
                    flaws += [f"the index holds another vector of fact number {number}" for number in wrong.tolist()]
        return flaws

    def _opened(self) -> VectorIndex:
        if self._index is None:
            try:
                self._load()
            except IndexDamaged as error:
                if any(self._folder.glob("*")):
                    log.warning(
                        "the index in %s is not usable (%s): rebuilding it from the ledger", self._folder, error
                    )
                self._start_anew()
        assert self._index is not None  # noqa: S101 - for the type checker
        return self._index

    @property
    def _origin(self) -> Origin:
        return Origin(self._ledger.store_id, self._encoder.name, self._encoder.revision)

    def _load(self) -> None:
        index, manifest = load(self._folder, self._origin)
        if self._ledger.fingerprint(manifest.ledger_revision) != manifest.event:
            self._disown()
            raise IndexDamaged("it is not of this ledger's history: the ledger was put back to an earlier state")
        if self._revision != manifest.ledger_revision:
            self._members.forget()
        self._index, self._revision, self._saved = index, manifest.ledger_revision, manifest.ledger_revision

    def _disown(self) -> None:
        """See to it that the snapshot on disk is not taken for a later one than what is saved next."""
        with suppress(OSError):
            (self._folder / "manifest.json").unlink()

    def _start_anew(self) -> None:
        self._index = VectorIndex(self._encoder.dimensions)
        self._revision = self._saved = 0
        self._members.forget()

    def _apply(self, changes: Sequence[IndexChange]) -> None:
        index = self._opened()
        index.remove(np.array([change.number for change in changes], np.int64))
        active = [(change.number, change.digest) for change in changes if change.digest]
        vectors = self._vectors([digest for _, digest in active], [number for number, _ in active])
        if active:
            index.add(np.array([number for number, _ in active], np.int64), vectors)
        self._members.apply(changes)

    def _vectors(self, digests: Sequence[bytes], numbers: Sequence[int]) -> NDArray[np.float32]:
        kept = self._ledger.embeddings(digests)
        lost = [number for number, digest in zip(numbers, digests, strict=True) if digest not in kept]
        if lost:
            texts = [fact.text for fact in self._ledger.by_number(lost).values()]
            kept.update(zip(map(text_digest, texts), self._encoder.encode(texts), strict=True))
        empty = np.zeros(self._encoder.dimensions, np.float32)
        return np.stack([kept.get(digest, empty) for digest in digests]) if digests else empty[None, :0]

    def _save(self) -> None:
        event = self._ledger.fingerprint(self._revision)
        self._saved = self._revision
        try:
            save(self._opened(), self._folder, self._origin, self._revision, event)
            self._load()  # what was many vectors of our own is now a file that is shared
        except (OSError, IndexDamaged) as error:
            # A cache that cannot be written costs time and nothing else.
            log.warning("the index in %s was not saved (%s)", self._folder, error)


class _Members:
    """Which fact numbers belong to which namespace; only kept where a store has several."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._space: NDArray[np.int32] | None = None
        self._names: dict[str, int] = {}
        self._bitmaps: dict[str, NDArray[np.uint8]] = {}

    def bitmap(self, namespace: str) -> NDArray[np.uint8]:
        """One bit per fact number, little-endian: set where the fact is active in the namespace."""
        if self._space is None:
            self._space = np.zeros(1, np.int32)
            self.apply(self._ledger.changes_since(0))
        if namespace not in self._bitmaps:
            number = self._names.get(namespace, -1)
            self._bitmaps[namespace] = np.packbits(self._space == number, bitorder="little")
        return self._bitmaps[namespace]

    def apply(self, changes: Iterable[IndexChange]) -> None:
        """Follow the ledger."""
        if self._space is None:
            return
        self._bitmaps.clear()
        for change in changes:
            if change.number >= len(self._space):
                self._space = np.pad(self._space, (0, max(change.number, 1024)))
            number = self._names.setdefault(change.namespace, len(self._names) + 1)
            self._space[change.number] = number if change.digest else 0

    def forget(self) -> None:
        """Start anew with the next question."""
        self._space = None
        self._bitmaps.clear()
