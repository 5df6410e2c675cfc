"""Reading facts in bulk: JSONL, CSV, or one sentence a line, from files of any length."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal, TypeAlias

from scr.errors import FactError, UsageError
from scr.facts import NewFact
from scr.lines import lines_of

Format: TypeAlias = Literal["auto", "jsonl", "csv", "lines"]

SUFFIXES: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".txt": "lines",
}
"""How the facts of a file are written, by the end of its name."""

_LONGEST_LINE = 1_000_000


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
    first = next((raw for raw in lines if raw[2] or raw[1].strip()), None)
    if first is None:
        return
    if form == "auto":
        suffix = f".{name.rsplit('.', 1)[-1].lower()}" if "." in name else ""
        form = SUFFIXES.get(suffix) or _guess(first[1])
    if form == "csv":
        yield from _read_csv(_chain(first, lines), name)
        return
    for number, text, flaw in _chain(first, lines):
        if flaw:
            yield Line(name, number, None, flaw)
        elif text.strip():
            yield _checked(name, number, text, form)


_Raw: TypeAlias = tuple[int, str, str | None]


def _decoded(file: BinaryIO) -> Iterator[_Raw]:
    for number, data in lines_of(file, _LONGEST_LINE):
        if data is None:
            yield number, "", f"the line is longer than {_LONGEST_LINE:,} bytes: split it"
            continue
        try:
            yield number, data.decode("utf-8-sig" if number == 1 else "utf-8"), None
        except UnicodeDecodeError as error:
            text = data.decode(errors="replace")
            yield number, text, f"not UTF-8 (byte {error.start + 1} of the line): convert it"


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
    except json.JSONDecodeError as error:
        raise FactError(f"not JSON ({error.msg}, character {error.pos + 1}): write one object a line") from None
    except (ValueError, RecursionError) as error:  # a number may have too many digits
        raise FactError(f"not JSON ({error}): write one object a line") from None
    if not isinstance(record, dict):
        raise FactError('not a JSON object: write one a line, {"text": "…"}')
    return record


class _Rows:
    """The lines of a CSV file for a reader of records, which may take several of them.

    Attributes:
        number: the line taken last.
        flaw: what is wrong with a line taken since the last record; None if nothing is.
    """

    def __init__(self, lines: Iterator[_Raw]) -> None:
        self._lines = lines
        self.number = 0
        self.flaw: str | None = None

    def __iter__(self) -> _Rows:
        return self

    def __next__(self) -> str:
        self.number, text, flaw = next(self._lines)
        self.flaw = self.flaw or flaw
        return text or "\n"

    def records(self) -> Iterator[tuple[int, list[str], str | None]]:
        """Each record: the line it starts on, its values, and what is wrong with it; blank ones are passed over."""
        reader = csv.reader(self, strict=True, skipinitialspace=True)
        while True:
            start, self.flaw = self.number + 1, None
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # A quote that is never closed takes the rest of the file with it, which --skip-bad leaves out too.
                taken = f", and so the lines up to {self.number:,}" if self.number > start else ""
                yield start, [], self.flaw or f"not CSV ({error}){taken}: check its quotes"
            else:
                if values or self.flaw:
                    yield start, values, self.flaw


def _read_csv(lines: Iterator[_Raw], name: str) -> Iterator[Line]:
    records = _Rows(lines).records()
    _, header, flaw = next(records, (1, [], None))
    if flaw:
        raise UsageError(f"the first line of {name}, which should name its columns, is {flaw}")
    columns = [column.strip().lower() for column in header]
    if columns.count("text") != 1:
        raise UsageError(f"{name} has no column 'text', or two: the first line of a CSV names its columns")
    for number, values, flaw in records:
        try:
            yield Line(name, number, None, flaw) if flaw else Line(name, number, _row(columns, values))
        except FactError as error:
            yield Line(name, number, None, str(error))


def _row(columns: list[str], values: list[str]) -> NewFact:
    if len(values) > len(columns):
        raise FactError("it has more values than the header has columns: quote values with commas")
    return NewFact.of(dict(zip(columns, values, strict=False)))
