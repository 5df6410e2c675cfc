"""Facts: the noun everything else speaks of, and the one place that says what an acceptable one is."""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from scr.errors import FactError, QueryError, UsageError

MAX_TEXT = 4_000
"""Most characters of a fact's text."""

MAX_FIELD = 500
"""Most characters of a fact's other fields and of a namespace."""

MAX_QUERY = 32_000
"""Most characters of a question."""

DEFAULT_NAMESPACE = "default"

Status: TypeAlias = Literal["active", "superseded", "removed"]

# Crockford's alphabet without the letters people misread; 12 of them are 60 random bits.
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 12

# Tokens that end a turn or start another one in the chat templates of the common model families. A
# stored fact that carried one could speak as the system; so it is refused at the door.
_CONTROL_TOKEN = re.compile(
    r"<\|[^\s|<>]{1,60}\|>|<｜[^\s|<>]{1,60}｜>|</?s>|\[/?INST\]|<</?SYS>>"
    r"|<(?:start|end)_of_(?:turn|image|role|text)>|<(?:bos|eos|pad|unk)>"
    r"|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]",
    re.IGNORECASE,
)


def _flaw(text: str, limit: int) -> str | None:
    """What is wrong with a text, as the end of a sentence; None if nothing is."""
    if len(text) > limit:
        return f"is {len(text):,} characters long; the limit is {limit:,}: shorten or split it"
    for place, char in enumerate("" if text.isprintable() else text):
        category = unicodedata.category(char)
        if category == "Cs":
            return f"is not valid UTF-8 (character {place + 1}): convert it to UTF-8"
        if category == "Cc" and char not in "\n\t\r":
            return f"holds the control character U+{ord(char):04X} (character {place + 1}): remove it"
    if token := _CONTROL_TOKEN.search(text):
        return f"holds {token.group()!r}, a chat template's control token (character {token.start() + 1}): remove it"
    return None


def check_query(text: str) -> str:
    """Refuse a question that no model should be given; return it unchanged otherwise.

    Raises:
        QueryError: it is empty, too long, not text, or holds a chat template's control tokens.
    """
    if not text.strip():
        raise QueryError("the query is empty: write a question")
    if flaw := _flaw(text, MAX_QUERY):
        raise QueryError(f"the query {flaw}")
    return text


def check_namespace(name: str) -> str:
    """Refuse a namespace that is empty, too long or not plain text; return it unchanged otherwise.

    Raises:
        UsageError: it is not acceptable.
    """
    if not name.strip() or any(char in name for char in "\n\t\r"):
        raise UsageError("the namespace is empty or holds line breaks: give it a plain name")
    if flaw := _flaw(name, MAX_FIELD):
        raise UsageError(f"the namespace {flaw}")
    return name


def new_id() -> str:
    """A fresh random fact id: 12 characters, 60 random bits."""
    bits = secrets.randbits(5 * _ID_LENGTH)
    return "".join(_ID_ALPHABET[bits >> shift & 31] for shift in range(0, 5 * _ID_LENGTH, 5))


def parse_time(value: str) -> datetime:
    """Read an ISO 8601 date or time; without a zone it is UTC, without a time it is midnight.

    Raises:
        UsageError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise UsageError(f"{value!r} is not a date: write it like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{value!r} is out of range: use a year between 1 and 9999") from None


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds, so that text order is time order."""
    # Not strftime, which does not fill up the years before 1000.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact as someone states it, checked, before it has an id.

    Attributes:
        text: one or more sentences, as they will be shown to the model.
        subject: what the fact is about ("France").
        relation: what it says of it ("capital").
        object: the value ("Lyon").
        question: a question that the fact answers.
        source: where it comes from.
        valid_from: from when it holds; None is always.
        valid_to: until when it holds, exclusive; None is forever.
    """

    text: str
    subject: str | None = None
    relation: str | None = None
    object: str | None = None
    question: str | None = None
    source: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> NewFact:
        """Check a record (as from a line of JSONL) and make a fact of it; surrounding blanks are dropped.

        Keys that a fact gets from the store (``id``, ``status``, …) are ignored, so that an export can be imported.

        Raises:
            FactError: a value is missing, of the wrong type, too long or not plain text.
        """
        known = {field.name for field in fields(cls)} | _STORE_KEYS
        if unknown := sorted(str(key) for key in set(record) - known):
            raise FactError(
                f"unknown key {unknown[0][:60]!r}: a fact has {', '.join(field.name for field in fields(cls))}"
            )
        values = {field.name: _clean(field.name, record.get(field.name)) for field in fields(cls)}
        text = values.pop("text")
        if text is None:
            raise FactError("the text is empty: write the fact as a sentence")
        start, end = (_time(name, values.pop(name)) for name in ("valid_from", "valid_to"))
        if start and end and end <= start:
            raise FactError("valid_to is not after valid_from: a fact must hold for some time")
        return cls(text=text, valid_from=start, valid_to=end, **values)


_STORE_KEYS = frozenset({"id", "namespace", "created_at", "supersedes", "status"})


def _clean(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise FactError(f"{name} is not a string but {type(value).__name__}: put it in quotes")
    text = value.strip()
    if not text:
        return None
    if flaw := _flaw(text, MAX_TEXT if name == "text" else MAX_FIELD):
        raise FactError(f"the {name} {flaw}")
    return text


def _time(name: str, value: str | None) -> datetime | None:
    try:
        return parse_time(value) if value is not None else None
    except UsageError as error:
        raise FactError(f"{name}: {error}") from None


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact in a store, with its provenance.

    Attributes:
        id: 12 characters, unique in the store and never used again.
        text: as it was stated, and as it is shown to the model.
        namespace: facts of different namespaces never meet.
        created_at: when it was acknowledged.
        supersedes: ids of the facts that it took the place of.
        status: only ``active`` facts are retrieved.

    The other attributes are :class:`NewFact`'s.
    """

    id: str
    text: str
    namespace: str
    subject: str | None
    relation: str | None
    object: str | None
    question: str | None
    source: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    created_at: datetime
    supersedes: tuple[str, ...] = ()
    status: Status = "active"

    def holds_at(self, moment: datetime) -> bool:
        """Whether the fact is valid at that moment."""
        return (self.valid_from is None or self.valid_from <= moment) and (
            self.valid_to is None or moment < self.valid_to
        )

    def to_json(self) -> dict[str, Any]:
        """The public JSON shape; times are ISO 8601 strings in UTC."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("valid_from", "valid_to", "created_at"):
            if record[name] is not None:
                record[name] = format_time(record[name])
        record["supersedes"] = list(self.supersedes)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Fact:
        """The inverse of :meth:`to_json`."""
        values = dict(record)
        for name in ("valid_from", "valid_to", "created_at"):
            if values[name] is not None:
                values[name] = parse_time(values[name])
        values["supersedes"] = tuple(values["supersedes"])
        return cls(**values)
