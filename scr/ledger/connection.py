"""Opening SQLite for a ledger, and saying in words what SQLite says in codes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scr.errors import DiskFull, StoreBusy, StoreCorrupt, StoreError, StoreReadOnly, StoreTooNew
from scr.ledger.migrations import MIGRATIONS, migrate, version

BUSY_SECONDS = 60.0
"""How long a writer waits for another one. SQLite's own waiting is not fair, so it is generous."""

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}


def _explain(error: sqlite3.Error, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        return StoreCorrupt(
            f"the ledger {path} is damaged ({error}): restore it from a backup, or save what can be read with "
            f"`sqlite3 {path} .recover`"
        )
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space is left for {path}: free some and try again; nothing was changed")
    if code in _UNWRITABLE:
        return StoreReadOnly(f"cannot write {path} ({error}): check its permissions or use another --store")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreBusy(f"another process has been writing {path} for over {BUSY_SECONDS:.0f} s: try again later")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(f"reading or writing {path} failed ({error}): check the disk, its free space and quota")
    return StoreError(f"SQLite refused {path}: {error}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's, each with its remedy.

    Raises:
        StoreError: one of its subclasses.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from error


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    found = version(db)
    if found > len(MIGRATIONS):
        raise StoreTooNew(
            f"the ledger {path} has format {found} and this scr knows up to {len(MIGRATIONS)}: pip install -U scr-edit"
        )
    if found < len(MIGRATIONS):
        _use_write_ahead_log(db)
        migrate(db)


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    # The switch needs the file alone and does not wait for others as other statements do.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def connect(path: Path) -> sqlite3.Connection:
    """Open a ledger for this thread, making or migrating it where needed.

    On a disk that cannot be written an existing ledger is opened for reading only.

    Raises:
        StoreError: it cannot be opened; one of its subclasses.
    """
    with explained(path):
        try:
            db = _open(path.as_uri())
            _prepare(db, path)
            _settle(db)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _UNWRITABLE or not path.is_file():
                raise
            # The last writer left no write-ahead log behind, else this would miss what it holds.
            log = path.with_name(path.name + "-wal")
            if log.exists() and log.stat().st_size:
                raise
            db = _open(path.as_uri() + "?immutable=1")
            _prepare(db, path)
        return db


def _open(uri: str) -> sqlite3.Connection:
    # Transactions are begun by hand, so that a writer takes the lock at the start and not half-way.
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _settle(db: sqlite3.Connection) -> None:
    # FULL: a commit returns only when the write-ahead log is on the disk; acknowledged means durable.
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
