"""The ledger's file: made, migrated, append-only, damaged, full, read-only."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scr.errors import DiskFull, EncoderMismatch, StoreBusy, StoreCorrupt, StoreError, StoreReadOnly, StoreTooNew
from scr.facts import Fact, parse_time
from scr.ledger import EncoderId, Ledger
from scr.ledger.migrations import MIGRATIONS
from scr.ledger.sqlite import SQLiteLedger

ROOT = Path(__file__).parents[2]
ENCODER = EncoderId("tiny", "1", 4)


def fact(number: int, text: str | None = None) -> Fact:
    return Fact(
        id=f"fact{number:08d}", text=text or f"Fact {number}. {'x' * 200}", namespace="n", subject=None,
        relation=None, object=None, question=None, source=None, valid_from=None, valid_to=None,
        created_at=parse_time("2026-01-01"),
    )  # fmt: skip


def fill(ledger: Ledger, count: int, start: int = 0) -> None:
    with ledger.write("import", "n", "tester") as transaction:
        for number in range(start, start + count):
            transaction.put("added", fact(number), None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def closed(path: Path) -> Path:
    """A ledger of 500 facts that nobody has open."""
    ledger = SQLiteLedger.open(path)
    fill(ledger, 500)
    ledger.close()
    return path


def remedied(error: pytest.ExceptionInfo[BaseException], path: Path, remedy: str) -> None:
    message = str(error.value)
    assert str(path) in message
    assert re.search(remedy, message), message
    assert "\n" not in message


def test_an_empty_file_is_migrated(path: Path) -> None:
    path.touch()
    ledger = SQLiteLedger.open(path)
    fill(ledger, 3)
    ledger.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()
    again = SQLiteLedger.open(path)
    assert len(list(again.facts("n"))) == 3
    assert again.verify() == []
    again.close()


def test_a_newer_ledger_is_left_alone(closed: Path) -> None:
    with sqlite3.connect(closed) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = closed.read_bytes()
    with pytest.raises(StoreTooNew) as error:
        SQLiteLedger.open(closed)
    remedied(error, closed, "pip install -U scr-edit")
    assert closed.read_bytes() == before


@pytest.mark.parametrize("statement", [
    "UPDATE events SET state = '{}'",
    "DELETE FROM events",
    "UPDATE operations SET actor = 'nobody'",
    "UPDATE operations SET at = '2026'",
    "DELETE FROM operations WHERE number = 1",
])  # fmt: skip
def test_what_happened_cannot_be_rewritten(closed: Path, statement: str) -> None:
    db = sqlite3.connect(closed)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


def test_a_fact_that_was_tampered_with_is_found(closed: Path) -> None:
    with sqlite3.connect(closed) as db:
        db.execute("UPDATE facts SET state = replace(state, 'Fact 7.', 'Fact 8.') WHERE id = 'fact00000007'")
        db.execute("UPDATE facts SET status = 'removed' WHERE id = 'fact00000009'")
    db.close()
    ledger = SQLiteLedger.open(closed)
    assert ledger.verify() == [
        "fact fact00000007 is not what its events say",
        "fact fact00000009 is not what its events say",
    ]
    ledger.close()


@pytest.mark.parametrize("data", [b"this is no database " * 500, b"\0" * 8192, os.urandom(8192)])
def test_a_file_that_is_no_database(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt) as error:
        SQLiteLedger.open(path)
    remedied(error, path, "restore it from a backup")
    assert path.read_bytes() == data


def test_flipped_bytes_are_noticed(closed: Path) -> None:
    data = bytearray(closed.read_bytes())
    third = len(data) // 3
    data[third : 2 * third] = bytes(255 - byte for byte in data[third : 2 * third])
    closed.write_bytes(data)
    ledger = SQLiteLedger.open(closed)
    try:
        flaws = ledger.verify()
    except StoreCorrupt as error:
        flaws = [str(error)]
    assert flaws
    with pytest.raises(StoreCorrupt) as error:
        list(ledger.facts("n"))
    remedied(error, closed, r"\.recover")
    ledger.close()


def test_a_truncated_file_is_noticed(closed: Path) -> None:
    with closed.open("r+b") as file:
        file.truncate(closed.stat().st_size // 2)
    with pytest.raises(StoreCorrupt) as error:  # noqa: PT012 - found on opening, or on reading
        ledger = SQLiteLedger.open(closed)
        ledger.close()
        list(SQLiteLedger.open(closed).facts("n"))
    remedied(error, closed, "restore it from a backup")


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreReadOnly, match="use another --store"):
        SQLiteLedger.open(path)


def test_a_change_that_fails_leaves_nothing(closed: Path) -> None:
    ledger = SQLiteLedger.open(closed)
    revision, operations = ledger.revision(), ledger.log(None, 10)
    with pytest.raises(RuntimeError), ledger.write("add", "n", "tester") as transaction:  # noqa: PT012
        transaction.put("added", fact(1_000), None)
        raise RuntimeError
    with ledger.write("add", "n", "tester"):
        pass
    assert (ledger.revision(), ledger.log(None, 10)) == (revision, operations)
    fill(ledger, 1, 1_000)
    assert ledger.revision() == revision + 1
    ledger.close()


def test_a_writer_that_waits_too_long_is_told_so(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scr.ledger.connection.BUSY_SECONDS", 0.1)
    one, other = SQLiteLedger.open(closed), SQLiteLedger.open(closed)
    with one.write("add", "n", "tester"), pytest.raises(StoreBusy) as error:
        fill(other, 1, 1_000)
    remedied(error, closed, "try again later")
    fill(other, 1, 1_000)
    one.close()
    other.close()


def test_the_past_is_as_it_was(path: Path) -> None:
    ledger = SQLiteLedger.open(path)
    fill(ledger, 2)
    first = ledger.log("n", 1)[0].at
    with ledger.write("remove", "n", "tester") as transaction:
        transaction.put("removed", dataclasses.replace(fact(0), status="removed"), None)
    second = ledger.log("n", 1)[0].at
    assert second > first
    assert [one.id for one in ledger.facts_as_of(first, "n")] == ["fact00000000", "fact00000001"]
    assert [one.id for one in ledger.facts_as_of(second, "n")] == ["fact00000001"]
    assert len(list(ledger.facts_as_of(second, "n", every_status=True))) == 2
    assert [kind for _, kind, _ in ledger.history("fact00000000")] == ["added", "removed"]
    assert list(ledger.facts_as_of(parse_time("2020-01-01"), None)) == []
    ledger.close()


def test_embeddings_of_two_encoders_never_mix(path: Path) -> None:
    ledger = SQLiteLedger.open(path)
    ledger.put_embeddings(ENCODER, [(b"a" * 16, np.ones(4, np.float32) / 2)])
    other = dataclasses.replace(ENCODER, revision="2")
    with pytest.raises(EncoderMismatch, match="scr store rebuild"):
        ledger.put_embeddings(other, [(b"b" * 16, np.ones(4, np.float32) / 2)])
    assert ledger.encoder() == ENCODER
    assert list(ledger.embeddings([b"a" * 16, b"b" * 16])) == [b"a" * 16]
    ledger.put_embeddings(other, [(b"b" * 16, np.ones(4, np.float32) / 2)], replace=True)
    assert ledger.encoder() == other
    assert list(ledger.embeddings([b"a" * 16, b"b" * 16])) == [b"b" * 16]
    ledger.close()


PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
from tests.ledger.test_sqlite import SQLiteLedger, fill
what, path = sys.argv[1], Path(sys.argv[2])
if what == "nobody":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
ledger = SQLiteLedger.open(path)
print(len(list(ledger.facts("n"))), "facts are read")
if what == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 50_000,) * 2)
try:
    fill(ledger, 100_000, 1_000)
except Exception as error:
    print(type(error).__name__, error)
print(len(list(ledger.facts("n"))), "facts are read")
"""


def in_a_child(what: str, path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-c", PROGRAM, what, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def unharmed(path: Path, count: int = 500) -> None:
    ledger = SQLiteLedger.open(path)
    assert ledger.verify() == []
    fill(ledger, 1, 5_000)
    assert len(list(ledger.facts("n"))) == count + 1
    ledger.close()


def test_a_file_that_may_not_grow(closed: Path) -> None:
    ran = in_a_child("limit", closed)
    first, error, last = ran.stdout.splitlines()
    assert (first, last, ran.stderr) == ("500 facts are read", "500 facts are read", "")
    assert error.startswith(("StoreError ", "DiskFull "))
    assert "free space" in error or "free some" in error
    unharmed(closed)


@pytest.fixture
def small_disk(tmp_path: Path) -> str:
    """A shell command line before a command that gives it a disk of 3 MB at tmp_path/disk."""
    (tmp_path / "disk").mkdir()
    line = f"mount -t tmpfs -o size=3m none {tmp_path / 'disk'}"
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "sh", "-c", line], check=False).returncode:
        pytest.skip("no small disk can be mounted here (unshare -rm)")
    return line


def test_a_full_disk(closed: Path, tmp_path: Path, small_disk: str) -> None:
    there = tmp_path / "disk" / closed.name
    line = f'{small_disk} && cp {closed} {there} && "$@"; cp {there}* {tmp_path / "disk-after"}'
    (tmp_path / "disk-after").mkdir()
    ran = in_a_child("disk", there, "unshare", "-rm", "sh", "-c", line, "sh")
    first, error, last = ran.stdout.splitlines()
    assert (first, last, ran.stderr) == ("500 facts are read", "500 facts are read", "")
    assert error.startswith(DiskFull.__name__)
    assert str(there) in error
    assert "free some and try again; nothing was changed" in error
    unharmed(tmp_path / "disk-after" / closed.name)


def test_a_folder_that_cannot_be_written(closed: Path) -> None:
    if os.name != "posix":
        pytest.skip("needs POSIX permissions")
    folder = closed.parent
    shared = open_to_all(folder)
    closed.chmod(0o444)
    folder.chmod(0o555)
    try:
        ran = in_a_child("nobody" if os.getuid() == 0 else "self", closed)
    finally:
        folder.chmod(0o755)
        closed.chmod(0o644)
        for parent, mode in shared.items():
            parent.chmod(mode)
    assert ran.stderr == ""
    first, error, last = ran.stdout.splitlines()
    assert (first, last) == ("500 facts are read", "500 facts are read")
    assert error.startswith(StoreReadOnly.__name__)
    assert "check its permissions or use another --store" in error
    unharmed(closed)


def open_to_all(folder: Path) -> dict[Path, int]:
    """Let another user pass through the folders above; returns their modes before."""
    closed_ones = [one for one in folder.parents if not one.stat().st_mode & 0o001 and one.stat().st_uid == os.getuid()]
    modes = {one: one.stat().st_mode & 0o7777 for one in closed_ones}
    for one in closed_ones:
        one.chmod(modes[one] | 0o011)
    return modes


def test_every_error_is_a_store_error() -> None:
    assert all(issubclass(kind, StoreError) for kind in (DiskFull, StoreBusy, StoreCorrupt, StoreReadOnly, StoreTooNew))


def test_the_ledger_may_be_used_by_many_threads(path: Path, threads: Callable[..., list[object]]) -> None:
    ledger = SQLiteLedger.open(path)
    threads(8, lambda number: fill(ledger, 20, number * 100))
    assert len(list(ledger.facts("n"))) == 160
    assert ledger.verify() == []
    ledger.close()


@pytest.fixture
def threads() -> Callable[..., list[object]]:
    from concurrent.futures import ThreadPoolExecutor

    def run(count: int, work: Callable[[int], object]) -> list[object]:
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(work, range(count)))

    return run


def test_looking_for_a_text_or_statement_does_not_go_through_every_fact(path: Path) -> None:
    ledger = SQLiteLedger.open(path)
    fill(ledger, 3_000)
    steps: list[int] = []
    ledger._db().set_progress_handler(lambda: steps.append(1_000), 1_000)
    with ledger.write("add", "n", "tester") as transaction:
        assert transaction.with_text("not there") == []
        assert transaction.with_text(fact(2_999).text) == [fact(2_999)]
        assert transaction.with_statement("not\nthere") == []
    assert not steps, "SQLite chose the wrong index"
    ledger.close()


def test_facts_are_looked_up_by_number_and_not_by_looking_through_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SQLiteLedger(path)
    fill(ledger, 3)
    asked: list[tuple[str, object]] = []
    monkeypatch.setattr(
        ledger, "_rows", lambda sql, values=(), ask=ledger._rows: asked.append((sql, values)) or ask(sql, values)
    )
    assert set(ledger.by_number([1, 3, 9])) == {1, 3}
    with sqlite3.connect(path) as db:
        plans = [str(db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()) for sql, values in asked]
    assert plans
    assert all("PRIMARY KEY" in plan for plan in plans)
