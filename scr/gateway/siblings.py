"""The processes of one gateway ask each other what they decided lately; nothing of it is written anywhere."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any

from scr.gateway.recent import Minute, Past, Recent, Scored

_SECONDS = 1.0
"""How long an answer is waited for."""


class Siblings:
    """What this process and the others decided lately.

    Each listens on a socket in a folder that no other user can open. What they ask is a namespace, for its
    decisions, or null, for the minutes; the answer is a list. Where a system has no such sockets, each knows its own.

    Args:
        recent: what this process decided.
        folder: that they share; None where there is one process.
    """

    def __init__(self, recent: Recent, folder: Path | None) -> None:
        self._recent, self._folder = recent, folder
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen."""
        if self._folder is not None and hasattr(asyncio, "start_unix_server"):
            self._own = self._folder / f"{token_hex(4)}.sock"
            self._server = await asyncio.start_unix_server(self._tell, self._own)

    async def aclose(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)

    async def past(self, namespace: str) -> list[Past]:
        """The decisions in a namespace, the latest first."""
        others = [_past(row) for row in await self._ask(namespace)]
        return sorted([*self._recent.past(namespace), *others], key=lambda one: one.at, reverse=True)

    async def minutes(self) -> list[Minute]:
        """The last hour, minute by minute, the present one last."""
        others = [_minute(row) for row in await self._ask(None)]
        own = self._recent.minutes()
        return [_sum([minute, *(other for other in others if other.start == minute.start)]) for minute in own]

    def _minutes(self) -> list[Minute]:
        """Copies, as the present minute goes on."""
        return [_sum([minute]) for minute in self._recent.minutes() if minute.total]

    async def _ask(self, what: str | None) -> list[Any]:
        if self._server is None or self._folder is None:
            return []
        others = [path for path in self._folder.glob("*.sock") if path != self._own]
        return [row for answer in await asyncio.gather(*(_asked(path, what) for path in others)) for row in answer]

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            what = json.loads(await reader.readline())
            found: list[Any] = self._minutes() if what is None else list(self._recent.past(what))
            writer.write((await asyncio.to_thread(json.dumps, found, default=_plain)).encode())
            await writer.drain()
        except (OSError, ValueError):
            pass  # it asked for nothing, or no longer wants to know
        finally:
            writer.close()


async def _asked(path: Path, what: str | None) -> list[Any]:
    """What another process answers; nothing if it does not in time."""
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(json.dumps(what).encode() + b"\n")
                return list(json.loads(await reader.read()))
            finally:
                writer.close()
    except ConnectionRefusedError:  # it was killed
        path.unlink(missing_ok=True)
    except (OSError, TimeoutError, ValueError):
        pass
    return []


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, deque) else {name: getattr(value, name) for name in value.__slots__}


def _past(row: dict[str, Any]) -> Past:
    facts = tuple(Scored(**one) for one in row["facts"])
    return Past(**{**row, "at": datetime.fromisoformat(row["at"]), "facts": facts})


def _minute(row: dict[str, Any]) -> Minute:
    return Minute(**{**row, "times": deque(row["times"])})


def _sum(parts: list[Minute]) -> Minute:
    edited, passed, failed = (sum(getattr(one, name) for one in parts) for name in ("edited", "passed", "failed"))
    return Minute(parts[0].start, edited, passed, failed, deque(chain.from_iterable(one.times for one in parts)))
