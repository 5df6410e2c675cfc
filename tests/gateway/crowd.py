"""Clients that ask one question after the other and note what became of each."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal
from uuid import uuid4

import httpx

from .conftest import ASKED, LYON

Fate = Literal["answered", "refused", "broken"]
_TOKEN = re.compile(r"token-[0-9a-f]{12}")


@dataclass(frozen=True)
class Outcome:
    """What became of a question.

    Attributes:
        fate: answered in full, refused with an error, or broken off after its answer had begun.
    """

    token: str
    began: float
    ended: float
    fate: Fate
    status: int


class Crowd:
    """Asks for text completions that repeat their prompts, a question and a word of its own, until it is left.

    Args:
        url: of the gateway.
        clients: how many ask at once.
        pause: seconds between a failure and the client's next question.
        body: more members of each request.
    """

    def __init__(self, url: str, clients: int, *, pause: float = 0.05, **body: Any) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, timeout=120, trust_env=False, limits=httpx.Limits(max_connections=None)
        )
        self._count, self._pause, self._body = clients, pause, body
        self._asked: set[str] = set()
        self._over = False
        self.outcomes: list[Outcome] = []

    async def __aenter__(self) -> Crowd:
        self._clients = [asyncio.create_task(self._go_on(number)) for number in range(self._count)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        try:
            await asyncio.gather(*self._clients)
        finally:
            await self._http.aclose()

    async def until(self, fate: Fate, count: int, seconds: float = 120) -> None:
        """Go on until so many more questions have that fate."""
        seen, end = len(self.outcomes), time.monotonic() + seconds
        while sum(one.fate == fate for one in self.outcomes[seen:]) < count:
            assert time.monotonic() < end, f"fewer than {count} were {fate}"
            for client in self._clients:
                if client.done():
                    client.result()
            await asyncio.sleep(0.02)

    async def _go_on(self, number: int) -> None:
        while not self._over:
            outcome = await self._ask(in_scope=number % 4 == 0, stream=number % 2 == 0)
            self.outcomes.append(outcome)
            if outcome.fate != "answered":
                await asyncio.sleep(self._pause)

    async def _ask(self, *, in_scope: bool, stream: bool) -> Outcome:
        token, began = f"token-{uuid4().hex[:12]}", time.monotonic()
        self._asked.add(token)
        prompts = [ASKED if in_scope else "Who wrote Hamlet?", token]
        body = {"prompt": prompts, "stream": stream, "echo": True, **self._body}
        if not in_scope:  # a decision would take longer than all the rest
            body["scr"] = {"mode": "off"}
        raw, whole = b"", True
        async with self._http.stream("POST", "/v1/completions", json=body) as answer:
            try:
                async for part in answer.aiter_raw():
                    raw += part
            except (httpx.RemoteProtocolError, httpx.ReadError):
                whole = False
        assert answer.headers["X-SCR-Decision"] == ("edited" if in_scope else "passed")
        fate: Fate = "refused"
        if answer.status_code == 200:
            text, whole = (_of_events(raw), b"[DONE]" in raw) if stream else (raw.decode(), whole)
            assert {*_TOKEN.findall(text)} & self._asked <= {token}, "an answer to another question"
            fate = "answered" if whole else "broken"
            if whole:
                assert token in text
                assert (LYON in text) is in_scope
            if stream and not whole:
                assert b'"upstream_broke"' in raw, "a stream that breaks says so"
        else:
            _check_refusal(answer, raw, token)
        return Outcome(token, began, time.monotonic(), fate, answer.status_code)


def _of_events(raw: bytes) -> str:
    text = ""
    for line in raw.split(b"\n"):
        with suppress(ValueError):  # the last one may have been cut in two
            if line.startswith(b"data: {"):
                text += "".join(choice["text"] for choice in json.loads(line[6:]).get("choices", ()))
    return text


def _check_refusal(answer: httpx.Response, raw: bytes, token: str) -> None:
    """An error is one that a client knows how to read, and when to try again."""
    assert answer.status_code in (502, 503), raw
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == "application/json"
    error = json.loads(raw)["error"]
    assert {"message", "type", "param", "code"} == set(error)
    assert error["type"] == "server_error"
    assert error["code"] in ("upstream_broke", "upstream_unavailable")
    assert token.encode() not in raw
