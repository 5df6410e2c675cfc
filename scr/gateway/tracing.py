"""Every request gets an id, a line in the log, and is counted."""

from __future__ import annotations

import logging
import secrets
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scr.gateway.metrics import Metrics

NOTE = "scr.note"
"""Key of a request's scope under which a route leaves what the log is to say of it."""

TRACE = "scr.trace"
"""Key of a request's scope under which its id stands."""

_LEFT = 499

log = logging.getLogger("scr.gateway")


class Tracing:
    """ASGI middleware around all routes.

    Args:
        app: what is traced.
        metrics: where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, count and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace, start, status = secrets.token_hex(8), perf_counter(), _LEFT
        scope[TRACE] = trace

        async def traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (b"x-scr-trace", trace.encode())]}
            await send(message)

        self._metrics.under_way.inc()
        try:
            await self._app(scope, receive, traced)
        except Exception:
            status = 500
            raise
        finally:
            self._metrics.under_way.dec()
            # As the routes name it: what a client makes up is not to become a label.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            note, spent = scope.get(NOTE, ""), (perf_counter() - start) * 1000
            log.info("%s %s %s %d %.0f ms%s", trace, scope["method"], path, status, spent, note)
