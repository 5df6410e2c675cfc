"""A closed loop of clients that ask for streams: each asks again as soon as its answer has ended.

The client is a bare reader of HTTP/1.1, which takes a tenth of a millisecond where the usual libraries take one or two:
it shares the cores with what it measures.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import urlsplit

_PATIENCE = 120.0


class Server(Protocol):
    """Who is asked: an address, a model there, and the key."""

    url: str
    model: str
    key: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Attributes:
        first_ms: milliseconds until its first event.
        total_ms: until its end.
        edited: whether the gateway says that it put facts in.
        problem: what was wrong with it; empty if nothing was.
    """

    first_ms: float
    total_ms: float
    edited: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a loop.

    Attributes:
        samples: in the order of their ends.
        seconds: from the first request to the last answer's end.
    """

    samples: tuple[Sample, ...]
    seconds: float

    @property
    def good(self) -> list[Sample]:
        """Answers that came whole."""
        return [sample for sample in self.samples if not sample.problem]


class Client:
    """One connection, opened anew where it was closed."""

    def __init__(self, server: Server, body: Mapping[str, Any]) -> None:
        parts, self._key = urlsplit(server.url), server.key
        self._address, self._body = (parts.hostname, parts.port), body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, question: str) -> Sample:
        start = perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._ask(question, start)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.close()
            return Sample(0, 1000 * (perf_counter() - start), problem=type(error).__name__)

    async def _ask(self, question: str, start: float) -> Sample:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        turns = [{"role": "user", "content": question}]
        content = json.dumps({**self._body, "messages": turns}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {self._address[0]}:{self._address[1]}\r\n"
            "Content-Type: application/json\r\n"
            f"Authorization: Bearer {self._key}\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = answer.split(b" ", 2)[1].decode()
        if status != "200" or b"transfer-encoding: chunked" not in answer:
            self.close()
            return Sample(0, 1000 * (perf_counter() - start), problem=f"status {status}")
        first, last = 0.0, b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            part = await reader.readexactly(size + 2)
            first = first or perf_counter()
            last = last[-20:] + part
        await reader.readline()
        end = perf_counter()
        if b"connection: close" in answer:
            self.close()
        whole = last.rstrip().endswith(b"data: [DONE]")
        return Sample(
            1000 * (first - start),
            1000 * (end - start),
            b"x-scr-decision: edited" in answer,
            "" if whole else "a stream that broke",
        )

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def closed_loop(
    server: Server, questions: Iterator[str], *, clients: int, seconds: float, more: Mapping[str, Any]
) -> Load:
    """So many clients ask for so many seconds; answers that are under way then are waited for.

    Args:
        server: who is asked.
        questions: each is asked once.
        clients: how many ask at once.
        seconds: how long they begin new ones.
        more: further members of each request.
    """
    # All answers are of one length, whatever the model would like.
    body = {"model": server.model, "temperature": 0, "stream": True, "ignore_eos": True, **more}
    samples: list[Sample] = []
    start = perf_counter()

    async def one() -> None:
        client = Client(server, body)
        while perf_counter() - start < seconds:
            samples.append(await client.ask(next(questions)))
        client.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return Load(tuple(samples), perf_counter() - start)
