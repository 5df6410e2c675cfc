"""Reading facts in bulk: JSONL, CSV, or one sentence a line, from files of any length."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeAlias

from scr.errors import FactError, UsageError
from scr.facts import NewFact

Format: TypeAlias = Literal["auto", "jsonl", "csv", "lines"]

_LONGEST_LINE = 1_000_000
_BY_SUFFIX: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".txt": "lines",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One fact of a file, or what is wrong with it.

    Attributes:
        file: the file's name.
        number: the line it starts on, from 1.
        fact: the fact; None if it is bad.
        reason: what is wrong with it; None if nothing is.
    """

    file: str
    number: int
    fact: NewFact | None
    reason: str | None = None


def read_facts(file: BinaryIO, name: str, form: Format = "auto") -> Iterator[Line]:
    """Read a file's facts one after the other; a bad line does not end it.

    Args:
        file: the bytes.
        name: what to call it; ``auto`` goes by its suffix, or by the first line where that says nothing.
        form: how facts are written. CSV has a header with a ``text`` column.

    Raises:
        UsageError: it is CSV without a ``text`` column.
    """
    lines = _decoded(file)
    first = next(lines, None)
    if first is None:
        return
    if form == "auto":
        suffix = f".{name.rsplit('.', 1)[-1].lower()}" if "." in name else ""
        form = _BY_SUFFIX.get(suffix) or _guess(first[1] or "")
    if form == "csv":
        yield from _read_csv(first, lines, name)
        return
    for number, text, flaw in _chain(first, lines):
        if flaw:
            yield Line(name, number, None, flaw)
        elif text and text.strip():
            yield _checked(name, number, text, form)


_Raw: TypeAlias = tuple[int, str | None, str | None]


def _decoded(file: BinaryIO) -> Iterator[_Raw]:
    number = 0
    while data := file.readline(_LONGEST_LINE):
        number += 1
        if len(data) == _LONGEST_LINE and not data.endswith(b"\n"):
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None, f"the line is longer than {_LONGEST_LINE:,} bytes: split it"
            continue
        try:
            yield number, data.decode("utf-8-sig" if number == 1 else "utf-8"), None
        except UnicodeDecodeError as error:
            yield number, None, f"not UTF-8 (byte {error.start + 1} of the line): convert it"


def _chain(first: _Raw, rest: Iterator[_Raw]) -> Iterator[_Raw]:
    yield first
    yield from rest


def _guess(line: str) -> Format:
    if line.lstrip().startswith("{"):
        return "jsonl"
    columns = [column.strip().strip('"').lower() for column in line.split(",")]
    return "csv" if "text" in columns else "lines"


def _checked(name: str, number: int, text: str, form: Format) -> Line:
    try:
        return Line(name, number, NewFact.of(_record(text) if form == "jsonl" else {"text": text}))
    except FactError as error:
        return Line(name, number, None, str(error))


def _record(text: str) -> dict[str, object]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FactError(f"not JSON ({error}): write one object a line") from None
    if not isinstance(record, dict):
        raise FactError('not a JSON object: write {"text": "…"}')
    return record


def _read_csv(first: _Raw, rest: Iterator[_Raw], name: str) -> Iterator[Line]:
    flaws: list[Line] = []

    def rows() -> Iterator[str]:
        for number, text, flaw in _chain(first, rest):
            if flaw:
                flaws.append(Line(name, number, None, flaw))
            else:
                yield text or ""

    reader = csv.DictReader(rows(), strict=True)
    if "text" not in (reader.fieldnames or ()):
        raise UsageError(f"{name} has no column 'text': the first line of a CSV names its columns")
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            yield Line(name, start, None, f"not CSV ({error}): check its quotes")
            continue
        yield from flaws
        flaws.clear()
        if row is None:
            return
        yield _checked_row(name, start, row)


def _checked_row(name: str, number: int, row: dict[str | None, object]) -> Line:
    if None in row:
        return Line(name, number, None, "it has more values than the header has columns: quote values with commas")
    try:
        return Line(name, number, NewFact.of({str(key): value for key, value in row.items()}))
    except FactError as error:
        return Line(name, number, None, str(error))
