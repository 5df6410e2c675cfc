"""Reading what a request to the gateway's own routes says: its query and its JSON body, each value checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scr.errors import UsageError
from scr.facts import parse_time


class Fields:
    """Named values; whoever read all that it knows asks for :meth:`done`, so that a slip of the pen is told.

    Args:
        values: from a query, where all are strings, or from a JSON object.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left = dict(values)

    @classmethod
    def of_json(cls, raw: bytes) -> Fields:
        """The members of a JSON object.

        Raises:
            UsageError: it is none.
        """
        try:
            value = json.loads(raw.decode())
        except (ValueError, RecursionError):
            raise UsageError('the request is not JSON in UTF-8: send an object like {"text": "…"}') from None
        if not isinstance(value, dict):
            raise UsageError('the request is no JSON object: send one like {"text": "…"}')
        return cls(value)

    def rest(self) -> dict[str, Any]:
        """What was not asked for yet."""
        left, self._left = self._left, {}
        return left

    def done(self) -> None:
        """Refuse what nobody asked for.

        Raises:
            UsageError: there is something.
        """
        if self._left:
            raise UsageError(f"{str(min(self._left))[:60]!r} is not known here: see /scr/openapi.json")

    def text(self, name: str) -> str | None:
        """A string; None if it is not given."""
        value = self._left.pop(name, None)
        if not isinstance(value, str | None):
            raise UsageError(f"{name} is no string: put it in quotes")
        return value

    def whole(self, name: str, default: int, most: int) -> int:
        """A whole number from 1."""
        value = self._left.pop(name, default)
        if isinstance(value, str) and value.isdecimal() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise UsageError(f"{name} is no whole number from 1 to {most}: correct it")
        return value

    def flag(self, name: str) -> bool:
        """True or false, as JSON or as a query writes it."""
        value = self._left.pop(name, False)
        if isinstance(value, str):
            value = {"": True, "true": True, "1": True, "false": False, "0": False}.get(value, value)
        if not isinstance(value, bool):
            raise UsageError(f"{name} is neither true nor false: write one of them")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of several words; the first if it is not given."""
        value = self._left.pop(name, choices[0])
        if value not in choices:
            raise UsageError(f"{name} is unknown: use {', '.join(choices)}")
        return str(value)

    def moment(self, name: str) -> datetime | None:
        """A date or time; None if it is not given."""
        text = self.text(name)
        return parse_time(text) if text is not None else None
