"""A request's body: read as JSON, changed as text.

What is not to change keeps its very bytes: a change replaces the characters of one string and leaves every other
member of the document, known or not, as the client wrote it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from scr.errors import UsageError

Path: TypeAlias = tuple[str | int, ...]
"""Keys and places that lead from the document to a value in it."""

MOST_PARTS = 500_000
"""Most values of a document, about: each takes far more memory than the bytes that say it."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON object as it came.

    Attributes:
        raw: its bytes.
        value: what they say; of a key that is given twice, the last.
        twice: keys that some object in it gives twice: which one counts depends on who reads it.
        encoding: of its characters.
    """

    raw: bytes
    value: dict[str, Any]
    twice: frozenset[str] = frozenset()
    encoding: str = "utf-8"

    @classmethod
    def read(cls, raw: bytes) -> Body | None:
        """Read the bytes as servers written in Python do, so that they and the gateway see the same.

        Returns:
            None where they are no JSON object, which is the model server's to refuse.

        Raises:
            UsageError: it has too many values.
        """
        encoding = json.detect_encoding(raw)
        twice: set[str] = set()

        def noting(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found = dict(pairs)
            if len(found) < len(pairs):
                twice.update(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
            return found

        try:
            text = raw.decode(encoding, "surrogatepass")
            if sum(map(text.count, "[{,")) > MOST_PARTS:
                raise UsageError(f"the request has more than {MOST_PARTS:,} values: send less at once")
            value = json.loads(text, object_pairs_hook=noting)
        except (ValueError, RecursionError):  # also a number of too many digits
            return None
        return cls(raw, value, frozenset(twice), encoding) if isinstance(value, dict) else None

    def with_strings(self, strings: Mapping[Path, str]) -> bytes:
        """The document with other strings at some places; all else keeps its bytes.

        Raises:
            UsageError: it is nested too deeply.
        """
        if not strings:
            return self.raw
        text, pieces, done = self._text(), [], 0
        try:
            for start, end, new in sorted(_changes(text, _after_blanks(text, 0), len(text), strings)):
                pieces += [text[done:start], json.dumps(new)]
                done = end
        except RecursionError:
            raise _too_deep() from None
        return "".join([*pieces, text[done:]]).encode(self.encoding, "surrogatepass")

    def without(self, key: str) -> Body:
        """The document without a member; the others keep their bytes.

        Raises:
            UsageError: it is nested too deeply.
        """
        if key not in self.value:
            return self
        text = self._text()
        try:
            kept = [text[begin:end] for name, begin, _, end in _members(text, _after_blanks(text, 0)) if name != key]
        except RecursionError:
            raise _too_deep() from None
        raw = ("{" + ",".join(kept) + "}").encode(self.encoding, "surrogatepass")
        return replace(self, raw=raw, value={k: v for k, v in self.value.items() if k != key})

    def _text(self) -> str:
        return self.raw.decode(self.encoding, "surrogatepass")


def _too_deep() -> UsageError:
    return UsageError("the request is nested too deeply: send it flatter")


def _changes(text: str, start: int, end: int, strings: Mapping[Path, str]) -> Iterator[tuple[int, int, str]]:
    """Where the values at some paths begin and end, and what is to stand there, in a text that is JSON.

    What begins at ``start`` is gone through once, and so is what is in it, however many paths there are.
    """
    if () in strings:
        yield start, end, strings[()]
        return
    below: dict[str | int, dict[Path, str]] = {}
    for (first, *rest), new in strings.items():
        below.setdefault(first, {})[tuple(rest)] = new
    places: dict[str | int, tuple[int, int]] = {}
    if isinstance(next(iter(below)), str):
        places.update((name, (begin, stop)) for name, _, begin, stop in _members(text, start))  # the last one counts
    else:
        places.update(enumerate(_elements(text, start)))
    for step, inner in below.items():
        yield from _changes(text, *places[step], inner)


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
