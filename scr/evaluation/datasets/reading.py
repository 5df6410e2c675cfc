"""Files of records: a JSON array, an object a line, or CSV with a header. Checked as a whole before they are used."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scr.errors import UsageError
from scr.evaluation.datasets.records import Record

MAX_BYTES = 1_000_000_000
"""Longest file that is read; the public data sets have up to some tens of megabytes."""


def read(path: Path) -> list[Record]:
    """Every record of a file; of a folder, those of its CSV files in the order of their names.

    Raises:
        UsageError: it cannot be read, is too long, holds no records, or something that is none.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    records = _records(one for file in files for one in _values(file, _content(file)))
    if not records:
        what = "CSV files" if path.is_dir() and not files else "records"
        raise UsageError(f"{path} holds no {what}: give another file")
    return records


def read_lines(path: Path) -> list[Record]:
    """Every record of a file that has an object a line, whatever it is called; it may be empty.

    Raises:
        UsageError: it cannot be read, is too long, or holds something else.
    """
    return _records(_lines(path, _content(path)))


def wrap(values: Iterable[dict[str, Any]], source: str) -> list[Record]:
    """Records that come from elsewhere than a file."""
    return [Record(value, f"{source}, record {number}", number) for number, value in enumerate(values, 1)]


def _records(values: Iterable[tuple[str, Any]]) -> list[Record]:
    records: list[Record] = []
    for where, value in values:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: not a JSON object: a record is one")
        records.append(Record(value, where, len(records) + 1))
    return records


def _content(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UsageError(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are read: split it")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8: convert it") from None


def _values(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from _rows(path, content)
    elif suffix in (".jsonl", ".ndjson") or not content.lstrip().startswith("["):
        yield from _lines(path, content)
    else:
        for number, value in enumerate(_parsed(str(path), content), 1):
            yield f"{path}, record {number}", value


def _lines(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", _parsed(f"{path}, line {number}", line)


def _parsed(where: str, content: str) -> Any:
    try:
        return json.loads(content, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if "\n" in content else ""
        raise UsageError(f"{where}: not JSON ({error.msg}, {place}column {error.colno}): mend it") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({error}): mend it") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _rows(path: Path, content: str) -> Iterator[tuple[str, Any]]:
    rows = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    try:
        for number, row in enumerate(rows, 1):
            if None in row:
                raise UsageError(f"{path}, record {number}: more cells than the header has")
            yield f"{path}, record {number}", row
    except csv.Error as error:
        raise UsageError(f"{path}, line {rows.line_num}: not CSV ({error}): mend it") from None
