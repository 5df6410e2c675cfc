"""How much may be under way at once in one process: requests, and bytes of their bodies."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from scr.gateway.connections import CROWDED
from scr.gateway.limits import HELD
from scr.gateway.metrics import Metrics
from scr.gateway.refusals import RETRY_AFTER, Refusal

ALWAYS = frozenset({"/health", "/metrics"})
"""Routes that are answered however much there is to do: by them one sees that."""

BODIES = 32
"""Most bytes of bodies that are held at once, as a multiple of the longest body."""


class Load:
    """ASGI middleware around all routes that refuses what is too much at once.

    Args:
        app: the routes.
        metrics: where refusals are counted.
        most: requests under way.
        max_body: most bytes of one body.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, most: int, max_body: int) -> None:
        self._app, self._metrics = app, metrics
        self._most, self._most_bytes = most, BODIES * max_body
        self._requests = self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say that it is too much."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        crowded: Refusal | None = scope.get(CROWDED)
        if crowded is not None:
            await self._refusal("connections", crowded).response()(scope, receive, send)
            return
        if self._requests >= self._most:
            words = f"{self._most:,} requests are under way, as many as may be: try again later"
            await self._refusal("requests", _overloaded(words)).response()(scope, receive, send)
            return
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._bytes + size > self._most_bytes:
                words = "the requests under way are too large together: try again later"
                raise self._refusal("bytes", _overloaded(words, Connection="close"))
            held += size
            self._bytes += size

        scope[HELD] = hold
        self._requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._bytes -= held

    def _refusal(self, limit: str, refusal: Refusal) -> Refusal:
        self._metrics.overloads.labels(limit).inc()
        return refusal


def _overloaded(words: str, **headers: str) -> Refusal:
    return Refusal(503, "overloaded", words, {"Retry-After": RETRY_AFTER, **headers})
