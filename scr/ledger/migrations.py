"""The ledger's schema, as the list of steps that lead to it. A step that was released is never edited."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable


def _v1_initial(db: sqlite3.Connection) -> None:
    for statement in (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        """CREATE TABLE operations (
            number INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL,
            namespace TEXT NOT NULL, actor TEXT NOT NULL, reverts INTEGER UNIQUE REFERENCES operations
        ) STRICT""",
        """CREATE TABLE events (
            number INTEGER PRIMARY KEY AUTOINCREMENT, operation INTEGER NOT NULL REFERENCES operations,
            kind TEXT NOT NULL, fact INTEGER NOT NULL, state TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX events_by_fact ON events (fact, number)",
        "CREATE INDEX events_by_operation ON events (operation)",
        """CREATE TABLE facts (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL,
            status TEXT NOT NULL, digest BLOB NOT NULL, statement TEXT, state TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX facts_by_namespace ON facts (status, namespace)",
        "CREATE INDEX facts_by_digest ON facts (digest)",
        "CREATE INDEX facts_by_statement ON facts (statement) WHERE statement IS NOT NULL",
        "CREATE TABLE embeddings (digest BLOB PRIMARY KEY, vector BLOB NOT NULL) STRICT",
        """CREATE TRIGGER events_are_final BEFORE UPDATE ON events
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER events_are_kept BEFORE DELETE ON events
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER operations_are_final BEFORE UPDATE OF number, at, kind, namespace, actor ON operations
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER operations_are_kept BEFORE DELETE ON operations
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    ):
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('store_id', ?)", (str(uuid.uuid4()),))


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_v1_initial,)
"""Step i leads from version i to version i + 1 (SQLite's ``user_version``)."""


def version(db: sqlite3.Connection) -> int:
    """The schema version of an open ledger; 0 is an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection) -> None:
    """Bring a ledger to the newest schema, in one transaction; another process may be doing the same."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version(db), len(MIGRATIONS)):
            MIGRATIONS[number](db)
            db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
