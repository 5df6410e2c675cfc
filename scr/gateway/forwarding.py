"""Forwarding: the model server's answer, byte by byte as it comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpx
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scr.engines.http import error_words
from scr.gateway.refusals import Refusal
from scr.gateway.upstream import RawHeaders, Upstream, end_to_end, refusal_of_transport

_LONGEST_ERROR = 2**16
_LONGEST_EXPLAINED = 16 * 2**20
_WITHOUT_BODY = frozenset({204, 304})


class Forwarding(Response):
    """The answer to a request that is sent on.

    The request is sent when the answer is; a client that leaves ends both. Where the connection to the model server
    breaks within an answer, an event stream ends with an error event and any other answer is cut off, so that it cannot
    be taken for a whole one.

    Args:
        upstream: the model server.
        request: what it is to get.
        headers: of the gateway's own, added to the answer.
        explanation: added to the answer as the member ``scr`` of the document, or of a stream's first event.
        on_head: is told when the answer's head has come.
    """

    def __init__(
        self,
        upstream: Upstream,
        request: httpx.Request,
        *,
        headers: dict[str, str],
        explanation: Any = None,
        on_head: Callable[[], None] = lambda: None,
    ) -> None:
        self._upstream, self._request, self._explanation = upstream, request, explanation
        self._own: RawHeaders = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._own_text, self._on_head = headers, on_head
        self.background = None
        if explanation is not None:
            request.headers["accept-encoding"] = "identity"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the request, and its answer to the client."""
        async with anyio.create_task_group() as group:

            async def leave_with_the_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(leave_with_the_client)
            await self._answer(scope, receive, send)
            group.cancel_scope.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._upstream.open(self._request)
        except Refusal as refusal:
            await refusal.response(self._own_text)(scope, receive, send)
            return
        try:
            self._on_head()
            if response.is_error and not _is(response, b"json"):
                await (await _worded(response)).response(self._own_text)(scope, receive, send)
            elif self._explanation is not None and _is(response, b"application/json"):
                await self._send_whole(response, scope, receive, send)
            else:
                await self._send_as_it_comes(response, send)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _send_as_it_comes(self, response: httpx.Response, send: Send) -> None:
        events = _is(response, b"text/event-stream")
        headers = end_to_end(response.headers.raw)
        length = _length(response)
        if length and not events:  # to which an event may be added
            headers.append((b"content-length", length))
        await self._send_head(response, headers, send)
        parts = response.aiter_raw()
        if events and self._explanation is not None:
            parts = self._with_explanation(parts)
        try:
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        except httpx.HTTPError as error:
            if not events:
                return  # without an end: the server closes the connection, and the client sees that something lacks
            event = json.dumps(refusal_of_transport(error).document)
            await send({"type": "http.response.body", "body": f"\n\ndata: {event}\n\n".encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_whole(self, response: httpx.Response, scope: Scope, receive: Receive, send: Send) -> None:
        parts, total = [], 0
        try:
            async for part in response.aiter_raw():
                total += len(part)
                if total > _LONGEST_EXPLAINED:
                    raise Refusal(502, "upstream_error", "the answer is too long to be explained: ask without that")
                parts.append(part)
        except (httpx.HTTPError, Refusal) as error:  # nothing was sent yet
            refusal = error if isinstance(error, Refusal) else refusal_of_transport(error)
            await refusal.response(self._own_text)(scope, receive, send)
            return
        content = _explained(b"".join(parts), self._explanation)
        headers = [*end_to_end(response.headers.raw), (b"content-length", str(len(content)).encode())]
        await self._send_head(response, headers, send)
        await send({"type": "http.response.body", "body": content, "more_body": False})

    async def _send_head(self, response: httpx.Response, headers: RawHeaders, send: Send) -> None:
        head = {"type": "http.response.start", "status": response.status_code, "headers": [*headers, *self._own]}
        await send(head)

    async def _with_explanation(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The stream, its first event with the explanation in it; what follows as it comes."""
        head = b""
        async for part in parts:
            head += part
            if b"\n" in head.partition(b"data:")[2] or len(head) > _LONGEST_ERROR:
                break
        before, mark, rest = head.partition(b"data:")
        line, end, rest = rest.partition(b"\n")
        yield before + mark + b" " * bool(mark) + _explained(line.strip(), self._explanation) + end + rest
        async for part in parts:
            yield part


def _is(response: httpx.Response, kind: bytes) -> bool:
    return kind in response.headers.get("content-type", "").lower().encode()


def _length(response: httpx.Response) -> bytes | None:
    """The length that an answer states, if it is what its body will have: chunks and what has no body are without."""
    if "transfer-encoding" in response.headers or response.status_code in _WITHOUT_BODY:
        return None
    length = response.headers.get("content-length", "")
    return length.encode() if length.isascii() and length.isdecimal() else None


def _explained(content: bytes, explanation: Any) -> bytes:
    """A JSON object with the explanation as one more member; anything else as it is."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if not isinstance(document, dict):
        return content
    return json.dumps({**document, "scr": explanation}, ensure_ascii=False).encode(errors="replace")


async def _worded(response: httpx.Response) -> Refusal:
    """An error that is not in the protocol's form, in that form."""
    body = b""
    try:
        async for part in response.aiter_bytes():
            body += part
            if len(body) > _LONGEST_ERROR:
                break
    except httpx.HTTPError:
        pass
    words = " ".join("".join(char if char.isprintable() else " " for char in error_words(body)).split())[:300]
    again = response.headers.get("retry-after")
    return Refusal(
        response.status_code,
        "upstream_error",
        words or f"the model server answered with status {response.status_code}",
        {"Retry-After": again} if again and again.isprintable() else {},
    )
