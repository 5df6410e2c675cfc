"""One operation on a SQLite ledger, from its first statement to its commit."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from scr.facts import Fact, format_time, parse_time
from scr.ledger import EventKind, Operation, OperationKind


def text_digest(text: str) -> bytes:
    """Key of a text's embedding: 16 bytes of BLAKE2b."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def dump(fact: Fact) -> str:
    """A fact as the ledger keeps it."""
    return json.dumps(fact.to_json(), ensure_ascii=False)


def load(state: str) -> Fact:
    """The inverse of :func:`dump`."""
    return Fact.from_json(json.loads(state))


OPERATIONS = (
    "SELECT o.number, o.at, o.kind, o.namespace, o.actor, o.reverts, "
    "(SELECT count(*) FROM events e WHERE e.operation = o.number) FROM operations o"
)


def to_operation(row: tuple[int, str, OperationKind, str, str, int | None, int]) -> Operation:
    """An operation from a row of :data:`OPERATIONS`."""
    number, at, kind, namespace, actor, reverts, size = row
    return Operation(number, parse_time(at), kind, namespace, actor, reverts, size)


class SQLiteTransaction:
    """One operation in the making; :class:`scr.ledger.Transaction` says what each method does."""

    def __init__(self, db: sqlite3.Connection, kind: OperationKind, namespace: str, actor: str) -> None:
        self._db, self._namespace = db, namespace
        last = db.execute("SELECT at FROM operations ORDER BY number DESC LIMIT 1").fetchone()
        now = datetime.now(UTC)
        # Strictly rising, even when the machine's clock is set back: `--as-of` cuts between operations.
        self.at = max(now, parse_time(last[0]) + timedelta(microseconds=1)) if last else now
        self._actor = actor
        self._operation = self._begin(kind, None)

    def _begin(self, kind: OperationKind, reverts: int | None) -> int:
        cursor = self._db.execute(
            "INSERT INTO operations (at, kind, namespace, actor, reverts) VALUES (?, ?, ?, ?, ?)",
            (format_time(self.at), kind, self._namespace, self._actor, reverts),
        )
        return int(cursor.lastrowid or 0)

    def get(self, fact_id: str) -> Fact | None:
        row = self._db.execute("SELECT state FROM facts WHERE id = ?", (fact_id,)).fetchone()
        return load(row[0]) if row else None

    def with_text(self, text: str) -> list[Fact]:
        # The plus signs keep SQLite from going through every active fact of the namespace instead.
        rows = self._db.execute(
            "SELECT state FROM facts WHERE digest = ? AND +namespace = ? AND +status = 'active' ORDER BY number",
            (text_digest(text), self._namespace),
        )
        return [load(state) for (state,) in rows]

    def with_statement(self, statement: str) -> list[Fact]:
        rows = self._db.execute(
            "SELECT state FROM facts WHERE statement = ? AND +namespace = ? AND +status = 'active' ORDER BY number",
            (statement, self._namespace),
        )
        return [load(state) for (state,) in rows]

    def put(self, kind: EventKind, fact: Fact, statement: str | None) -> None:
        state = dump(fact)
        row = (fact.id, fact.namespace, fact.status, text_digest(fact.text), statement, state)
        (number,) = self._db.execute(
            "INSERT INTO facts (id, namespace, status, digest, statement, state) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET status = excluded.status, digest = excluded.digest, "
            "statement = excluded.statement, state = excluded.state RETURNING number",
            row,
        ).fetchone()
        self._db.execute(
            "INSERT INTO events (operation, kind, fact, state) VALUES (?, ?, ?, ?)",
            (self._operation, kind, number, state),
        )

    def undoable(self, count: int) -> list[Operation]:
        rows = self._db.execute(
            f"{OPERATIONS} WHERE o.namespace = ? AND o.kind <> 'undo' AND o.number < ? AND NOT EXISTS "
            "(SELECT 1 FROM operations u WHERE u.reverts = o.number) ORDER BY o.number DESC LIMIT ?",
            (self._namespace, self._operation, count),
        )
        return [to_operation(row) for row in rows]

    def states_before(self, operation: int) -> Iterator[tuple[Fact, Fact | None]]:
        rows = self._db.execute(
            "SELECT fact, min(number), max(number) FROM events WHERE operation = ? GROUP BY fact ORDER BY 2 DESC",
            (operation,),
        ).fetchall()
        for fact, first, last in rows:
            before = self._db.execute(
                "SELECT state FROM events WHERE fact = ? AND number < ? ORDER BY number DESC LIMIT 1", (fact, first)
            ).fetchone()
            (after,) = self._db.execute("SELECT state FROM events WHERE number = ?", (last,)).fetchone()
            yield load(after), load(before[0]) if before else None

    def mark_reverted(self, operation: int) -> None:
        reverts = self._db.execute("SELECT reverts FROM operations WHERE number = ?", (self._operation,)).fetchone()[0]
        if reverts is None:
            self._db.execute("UPDATE operations SET reverts = ? WHERE number = ?", (operation, self._operation))
        else:
            self.at += timedelta(microseconds=1)
            self._operation = self._begin("undo", operation)
