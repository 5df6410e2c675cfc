"""The ledger in one SQLite file, in write-ahead mode: many readers and one writer at a time, in any process."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scr.errors import EncoderMismatch
from scr.facts import Fact, format_time
from scr.ledger import EncoderId, EventKind, IndexChange, Operation, OperationKind
from scr.ledger.connection import connect, explained
from scr.ledger.transaction import OPERATIONS, SQLiteTransaction, load, to_operation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN_PER_OPERATION = 10
_SQL_VARIABLES = 500


class SQLiteLedger:
    """A ledger in one file; :class:`scr.ledger.Ledger` says what each method does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []

    @classmethod
    def open(cls, path: Path) -> SQLiteLedger:
        """Open the file, making it where there is none.

        Raises:
            StoreError: it cannot be opened; one of its subclasses.
        """
        ledger = cls(path.absolute())
        ledger._db()
        return ledger

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = connect(self._path)
            self._connections.append(db)
        return db

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with explained(self._path):
            return self._db().execute(sql, parameters).fetchall()

    def _stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        with explained(self._path):
            # Not `yield from`: that would close the cursor of a reader who stopped early, after the ledger was closed.
            for row in self._db().execute(sql, parameters):  # noqa: UP028
                yield row

    @property
    def store_id(self) -> str:
        return str(self._rows("SELECT value FROM meta WHERE key = 'store_id'")[0][0])

    def revision(self) -> int:
        return int(self._rows("SELECT coalesce(max(number), 0) FROM events")[0][0])

    def fingerprint(self, revision: int) -> str:
        rows = self._rows(
            "SELECT o.at, e.kind, e.fact, e.state FROM events e JOIN operations o ON o.number = e.operation "
            "WHERE e.number = ?",
            (revision,),
        )
        return hashlib.sha256(json.dumps(rows[0]).encode()).hexdigest()[:32] if rows else ""

    @contextmanager
    def write(self, kind: OperationKind, namespace: str, actor: str) -> Iterator[SQLiteTransaction]:
        with self._immediate() as db:
            transaction = SQLiteTransaction(db, kind, namespace, actor)
            before = db.total_changes
            yield transaction
            if db.total_changes == before:
                raise _NothingDone

    @contextmanager
    def _immediate(self) -> Iterator[sqlite3.Connection]:
        with explained(self._path):
            db = self._db()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except _NothingDone:
                db.execute("ROLLBACK")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def get(self, fact_id: str) -> Fact | None:
        rows = self._rows("SELECT state FROM facts WHERE id = ?", (fact_id,))
        return load(rows[0][0]) if rows else None

    def ids_starting(self, prefix: str, namespace: str, limit: int) -> list[str]:
        rows = self._rows(
            "SELECT id FROM facts WHERE id >= ? AND id < ? AND +namespace = ? LIMIT ?",
            (prefix, prefix + "~", namespace, limit),
        )
        return [str(row[0]) for row in rows]

    def facts(self, namespace: str | None, *, every_status: bool = False, after: str | None = None) -> Iterator[Fact]:
        rows = self._stream(
            "SELECT state FROM facts WHERE (?1 IS NULL OR namespace = ?1) AND (?2 OR status = 'active') "
            "AND number > coalesce((SELECT number FROM facts WHERE id = ?3), 0) ORDER BY number",
            (namespace, every_status, after),
        )
        return (load(state) for (state,) in rows)

    def facts_as_of(self, moment: datetime, namespace: str | None, *, every_status: bool = False) -> Iterator[Fact]:
        rows = self._stream(
            "SELECT e.state FROM (SELECT max(v.number) AS last FROM events v JOIN operations o "
            "ON o.number = v.operation "
            "WHERE o.at <= ?1 AND (?2 IS NULL OR o.namespace = ?2) GROUP BY v.fact) JOIN events e ON e.number = last "
            "ORDER BY e.fact",
            (format_time(moment), namespace),
        )
        for (state,) in rows:
            fact = load(state)
            if every_status or fact.status == "active":
                yield fact

    def history(self, fact_id: str) -> list[tuple[Operation, EventKind, Fact]]:
        rows = self._rows(
            "SELECT o.number, o.at, o.kind, o.namespace, o.actor, o.reverts, 1, e.kind, e.state FROM events e "
            "JOIN operations o ON o.number = e.operation JOIN facts f ON f.number = e.fact WHERE f.id = ? "
            "ORDER BY e.number",
            (fact_id,),
        )
        return [(to_operation(row[:7]), row[7], load(row[8])) for row in rows]

    def log(self, namespace: str | None, limit: int) -> list[Operation]:
        rows = self._rows(
            f"{OPERATIONS} WHERE (?1 IS NULL OR o.namespace = ?1) ORDER BY o.number DESC LIMIT ?2", (namespace, limit)
        )
        return [self._with_facts(to_operation(row)) for row in rows]

    def _with_facts(self, bare: Operation) -> Operation:
        rows = self._rows(
            "SELECT kind, state FROM events WHERE operation = ? ORDER BY number LIMIT ?",
            (bare.number, _SHOWN_PER_OPERATION),
        )
        return dataclasses.replace(bare, facts=tuple((kind, load(state)) for kind, state in rows))

    def by_number(self, numbers: Sequence[int]) -> dict[int, Fact]:
        found: dict[int, Fact] = {}
        for start in range(0, len(numbers), _SQL_VARIABLES):
            some = [int(number) for number in numbers[start : start + _SQL_VARIABLES]]
            rows = self._rows(
                f"SELECT number, state FROM facts WHERE +status = 'active' AND number IN ({_marks(some)})", some
            )
            found.update((int(number), load(state)) for number, state in rows)
        return found

    def count(self) -> dict[str, int]:
        rows = self._rows("SELECT namespace, count(*) FROM facts WHERE status = 'active' GROUP BY 1 ORDER BY 1")
        return {str(namespace): int(count) for namespace, count in rows}

    def has_other_namespaces(self, namespace: str) -> bool:
        rows = self._rows(
            "SELECT EXISTS (SELECT 1 FROM facts WHERE status = 'active' AND namespace < ?1) OR "
            "EXISTS (SELECT 1 FROM facts WHERE status = 'active' AND namespace > ?1)",
            (namespace,),
        )
        return bool(rows[0][0])

    def changes_since(self, revision: int) -> Iterator[IndexChange]:
        touched = "WHERE number IN (SELECT fact FROM events WHERE number > ?)" if revision else "WHERE ? = 0"
        rows = self._stream(
            f"SELECT number, namespace, status, digest FROM facts {touched} ORDER BY number", (revision,)
        )
        for number, namespace, status, digest in rows:
            yield IndexChange(number, namespace, digest if status == "active" else None)

    def encoder(self) -> EncoderId | None:
        rows = self._rows("SELECT value FROM meta WHERE key = 'encoder'")
        return EncoderId(**json.loads(str(rows[0][0]))) if rows else None

    def put_embeddings(
        self, encoder: EncoderId, rows: Iterable[tuple[bytes, NDArray[np.float32]]], *, replace: bool = False
    ) -> None:
        packed = ((digest, vector.astype("<f2").tobytes()) for digest, vector in rows)
        with self._immediate() as db:
            known = self.encoder()
            if replace:
                db.execute("DELETE FROM embeddings")
            elif known and known != encoder:
                raise EncoderMismatch(
                    f"the ledger {self._path} holds vectors of {known.name} ({known.revision}), not of {encoder.name} "
                    f"({encoder.revision}): run `scr store rebuild --encoder {encoder.name}`, "
                    f"or open it with --encoder {known.name}"
                )
            value = json.dumps(dataclasses.asdict(encoder))
            db.execute("INSERT INTO meta VALUES ('encoder', ?1) ON CONFLICT DO UPDATE SET value = ?1", (value,))
            db.executemany("INSERT INTO embeddings VALUES (?, ?) ON CONFLICT DO NOTHING", packed)

    def embeddings(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        import numpy as np

        found: dict[bytes, NDArray[np.float32]] = {}
        for start in range(0, len(digests), _SQL_VARIABLES):
            some = digests[start : start + _SQL_VARIABLES]
            rows = self._rows(f"SELECT digest, vector FROM embeddings WHERE digest IN ({_marks(some)})", some)
            for digest, vector in rows:
                found[digest] = np.frombuffer(vector, "<f2").astype(np.float32)
        return found

    def verify(self) -> list[str]:
        flaws = [str(row[0]) for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        flaws += [f"{row[0]}: row {row[1]} refers to nothing" for row in self._rows("PRAGMA foreign_key_check")]
        rows = self._stream(
            "SELECT f.id FROM facts f LEFT JOIN events e "
            "ON e.number = (SELECT max(number) FROM events WHERE fact = f.number) "
            "WHERE e.state IS NOT f.state OR f.status IS NOT json_extract(f.state, '$.status')"
        )
        flaws += [f"fact {fact_id} is not what its events say" for (fact_id,) in rows]
        return flaws

    def bytes(self) -> int:
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        for db in self._connections:
            db.close()
        self._connections.clear()
        self._local = threading.local()


class _NothingDone(Exception):
    """Rolls an operation back that made no event, so that the log stays free of empty ones."""


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
