"""Editing within the model server: ``vllm serve MODEL --middleware scr.gateway.middleware.EditingMiddleware``.

A request that no fact governs reaches the server behind as it came. The environment says how: see
:func:`scr.gateway.embedded.open_editor`.
"""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scr.errors import ScrError, UsageError
from scr.gateway.editing import EDITED, Edited, Editor
from scr.gateway.embedded import open_editor
from scr.gateway.refusals import refusal_of


class EditingMiddleware:
    """ASGI middleware around a server of the OpenAI protocol.

    Args:
        app: the server.
        editor: puts facts into requests; None opens one as the environment says.

    Raises:
        ScrError: it cannot be opened.
    """

    def __init__(self, app: ASGIApp, editor: Editor | None = None) -> None:
        self._app, self._editor = app, editor or open_editor()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Edit a chat or completions request; pass everything else on."""
        if scope["type"] == "lifespan":
            await asyncio.to_thread(self._editor.warm)
            try:
                await self._app(scope, receive, send)
            finally:
                await self._editor.decider.aclose()
                self._editor.decider.store.close()
            return
        form = EDITED.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if form is None:
            await self._app(scope, receive, send)
            return
        try:
            raw = await Request(scope, receive).body()
            edited = await self._editor.edit(form, raw)
            if edited.explanation is not None:
                raise UsageError('the mode explain in "scr" is for `scr serve`: see `scr check` for the decision')
        except ClientDisconnect:
            return
        except ScrError as error:
            await refusal_of(error).response()(scope, receive, send)
            return
        await self._app(_resized(scope, edited, raw), _replaying(edited.content, receive), _telling(edited, send))


def _resized(scope: Scope, edited: Edited, raw: bytes) -> Scope:
    if edited.content is raw:
        return scope
    kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
    return {**scope, "headers": [*kept, (b"content-length", str(len(edited.content)).encode())]}


def _replaying(content: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever else comes: that the client leaves."""
    left = [content]

    async def replay() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replay


def _telling(edited: Edited, send: Send) -> Send:
    """Say in the answer's head what was done; not in an error's, as the client may not be known to the server."""
    own = [(b"x-scr-decision", edited.decision.encode())]
    if edited.facts:
        own.append((b"x-scr-facts", ",".join(edited.facts).encode()))

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] < 400:
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        await send(message)

    return tell
