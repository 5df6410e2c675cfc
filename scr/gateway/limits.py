"""What a client may ask of the gateway: how much at once and how often."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from starlette.requests import ClientDisconnect, Request

from scr.gateway.refusals import Refusal

BODY_SECONDS = 60.0
"""How long a body may take to come."""

HELD = "scr.held"
"""Key of a request's scope under which is whom to ask for room for so many bytes of its body."""

_MOST_BUCKETS = 10_000


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body.

    Raises:
        Refusal: it is larger than the limit, takes too long to come, or ends before its end; or there is no room for
            it beside the others.
    """
    hold: Callable[[int], None] = request.scope.get(HELD, lambda _: None)
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > limit:
        raise _too_large(limit)
    parts, total = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                total += len(part)
                if total > limit:
                    raise _too_large(limit)
                hold(len(part))
                parts.append(part)
    except TimeoutError:
        raise Refusal(
            408, "slow_request", f"the request took more than {BODY_SECONDS:g} seconds to come: send it again", _CLOSE
        ) from None
    except ClientDisconnect:
        raise Refusal(499, "client_left", "the client left before its request was whole") from None
    return b"".join(parts)


# What is left of such a request is not read, so the connection cannot be used for another one.
_CLOSE = {"Connection": "close"}


def _too_large(limit: int) -> Refusal:
    return Refusal(413, "too_large", f"the request is larger than {limit:,} bytes: send less at once", _CLOSE)


class RateLimit:
    """A token bucket for each key: so many requests a minute, and as many at once after a quiet minute.

    Each process has buckets of its own.

    Args:
        per_minute: None is without limit.
        clock: seconds that only rise.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = monotonic) -> None:
        self._size, self._clock = float(per_minute or 0), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count a request.

        Raises:
            Refusal: the bucket is empty; it says when it no longer is.
        """
        if not self._size:
            return
        now = self._clock()
        tokens, then = self._buckets.pop(name, (self._size, now))
        tokens = min(self._size, tokens + (now - then) * self._size / 60)
        spent = tokens >= 1
        self._buckets[name] = (tokens - 1 if spent else tokens, now)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if not spent:
            wait = max(1, -int(-(1 - tokens) * 60 // self._size))
            raise Refusal(
                429,
                "rate_limit",
                f"more than {self._size:.0f} requests a minute: try again in {wait} s",
                {"Retry-After": str(wait)},
            )
