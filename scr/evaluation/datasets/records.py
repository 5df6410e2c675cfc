"""Records of somebody else's file: every access says what is wrong with it, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scr.errors import UsageError


@dataclass(frozen=True, slots=True)
class Record:
    """A record, or an object inside one. Nothing in it is trusted.

    Null and a missing key are the same: the ``datasets`` library fills in nulls, so that all records have all keys.

    Attributes:
        fields: what it holds.
        where: file and number, for messages.
        number: its number in the file, from 1.
        trail: the keys that lead to this object inside its record.
    """

    fields: Mapping[str, Any]
    where: str
    number: int
    trail: str = ""

    @property
    def id(self) -> str:
        """A case's id made of the number, which is unique where the data set's own need not be."""
        return f"{self.number:05d}"

    def has(self, key: str) -> bool:
        """Whether there is something under this key."""
        return self.fields.get(key) is not None

    def fail(self, key: str, problem: str) -> UsageError:
        """An error that says what is wrong with a key."""
        return UsageError(f'{self.where}: "{self.trail}{key}" {problem}')

    def text(self, key: str) -> str:
        """The text under a key, without white space around it.

        Raises:
            UsageError: it is missing, empty or no text.
        """
        text = self.optional(key)
        if text is None:
            raise self.fail(key, "is missing or empty")
        return text

    def optional(self, key: str) -> str | None:
        """The same; None where it is missing or empty.

        Raises:
            UsageError: it is there and is no text.
        """
        value = self.fields.get(key)
        return None if value is None else self._text(key, value) or None

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of a list, the empty ones left in to keep places; nothing where it is missing.

        Raises:
            UsageError: it is no list of texts.
        """
        return tuple(self._text(key, one) for one in self.items(key))

    def answers(self, *keys: str) -> tuple[str, ...]:
        """Right answers: a text or lists of lists of aliases, flattened, each once and none empty.

        Raises:
            UsageError: there is something else than texts, numbers and lists in it.
        """
        found = (text for key in keys for text in self._flat(key, self.fields.get(key)) if text)
        return tuple(dict.fromkeys(found))

    def child(self, key: str) -> Record:
        """The object under a key.

        Raises:
            UsageError: it is missing or no object.
        """
        return self._inside(key, self.fields.get(key))

    def children(self, key: str) -> tuple[Record, ...]:
        """The objects of a list; nothing where it is missing.

        Raises:
            UsageError: it is no list of objects.
        """
        return tuple(self._inside(f"{key}[{place}]", one) for place, one in enumerate(self.items(key)))

    def items(self, key: str) -> list[Any]:
        """The values of a list, whatever they are; nothing where it is missing.

        Raises:
            UsageError: it is no list.
        """
        value = self.fields.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fail(key, f"has to be a list, not {_named(value)}")
        return value

    def _inside(self, key: str, value: Any) -> Record:
        if not isinstance(value, Mapping):
            raise self.fail(key, "is missing" if value is None else f"has to be an object, not {_named(value)}")
        return Record(value, self.where, self.number, f"{self.trail}{key}.")

    def _flat(self, key: str, value: Any) -> Iterator[str]:
        # Walked with a stack of its own: how deep the lists go is for the file to say.
        left = [value]
        while left:
            one = left.pop()
            if isinstance(one, list):
                left.extend(reversed(one))
            elif one is not None:
                yield self._text(key, one)

    def _text(self, key: str, value: Any) -> str:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise self.fail(key, f"has to be text, not {_named(value)}")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self.fail(key, "holds half a surrogate pair: convert the file to UTF-8") from None
        return value.strip()


def _named(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)
