"""A request's body: read as JSON, changed as text.

What is not to change keeps its very bytes: a change replaces the characters of one string and leaves every other
member of the document, known or not, as the client wrote it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and places that lead from the document to a value in it."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON object as it came.

    Attributes:
        raw: its bytes.
        value: what they say; of a key that is given twice, the last.
    """

    raw: bytes
    value: dict[str, Any]

    @classmethod
    def read(cls, raw: bytes) -> Body | None:
        """Read the bytes; None where they are no JSON object in UTF-8, which is the model server's to refuse."""
        try:
            value = json.loads(raw.decode())
        except (ValueError, RecursionError):  # also a number of too many digits
            return None
        return cls(raw, value) if isinstance(value, dict) else None

    def with_strings(self, strings: Mapping[Path, str]) -> bytes:
        """The document with other strings at some places; all else keeps its bytes."""
        if not strings:
            return self.raw
        text = self.raw.decode()
        spans = sorted(((*_span(text, path), new) for path, new in strings.items()), reverse=True)
        for start, end, new in spans:
            text = text[:start] + json.dumps(new) + text[end:]
        return text.encode()

    def without(self, key: str) -> Body:
        """The document without a member; the others keep their bytes."""
        if key not in self.value:
            return self
        text = self.raw.decode()
        start = _after_blanks(text, 0)
        kept = [text[begin:end] for name, begin, _, end in _members(text, start) if name != key]
        return Body(("{" + ",".join(kept) + "}").encode(), {k: v for k, v in self.value.items() if k != key})


def _span(text: str, path: Path) -> tuple[int, int]:
    """Where the value at a path begins and ends, in a text that is JSON."""
    start, end = _after_blanks(text, 0), len(text)
    for step in path:
        if isinstance(step, str):
            start, end = [(begin, end) for name, _, begin, end in _members(text, start) if name == step][-1]
        else:
            start, end = next(span for place, span in enumerate(_elements(text, start)) if place == step)
    return start, end


def _members(text: str, start: int) -> Iterator[tuple[str, int, int, int]]:
    """Of the object that begins at ``start``: each name, where it begins, and where its value begins and ends."""
    place = _after_blanks(text, start + 1)
    while text[place] != "}":
        name, after = _DECODER.raw_decode(text, place)
        begin = _after_blanks(text, _after_blanks(text, after) + 1)
        _, end = _DECODER.raw_decode(text, begin)
        yield name, place, begin, end
        place = _next(text, end)


def _elements(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Of the array that begins at ``start``: where each value begins and ends."""
    place = _after_blanks(text, start + 1)
    while text[place] != "]":
        _, end = _DECODER.raw_decode(text, place)
        yield place, end
        place = _next(text, end)


def _next(text: str, end: int) -> int:
    place = _after_blanks(text, end)
    return _after_blanks(text, place + 1) if text[place] == "," else place


def _after_blanks(text: str, start: int) -> int:
    found = _BLANKS.match(text, start)
    return found.end() if found else start
