"""The official ``openai`` client with the facts on: no gateway, no other change to the application."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from scr.api import Edits, open_edits
from scr.errors import UsageError
from scr.query import query_of

Client = TypeVar("Client")

_MEMBERS = {"/chat/completions": "messages", "/completions": "prompt"}


def wrap(client: Client, edits: Edits | str | Path) -> Client:
    """A copy of an ``openai.OpenAI`` or ``openai.AsyncOpenAI`` client whose questions are asked with the facts.

    All that asks through it is covered, of chat and of text completions: ``create``, ``parse``, ``stream`` and raw
    responses, also with other options (``with_options``). A request that no fact governs is sent as it would have
    been. The asynchronous client decides in a thread.

    Nothing else gets facts: ``responses.create``, ``embeddings`` and what more the client can do is sent as it is.

    Args:
        client: the client; it is not altered.
        edits: the facts, or the folder of their store.

    Raises:
        UsageError: the client is none of the two.
        StoreError: the store cannot be opened; one of its subclasses.
    """
    if not (hasattr(client, "copy") and hasattr(client, "post") and hasattr(client, "chat")):
        raise UsageError(f"a {type(client).__name__} cannot be wrapped: give an openai.OpenAI or openai.AsyncOpenAI")
    opened = edits if isinstance(edits, Edits) else open_edits(edits)
    copy: Any = client.copy()
    send = copy.post

    def post(path: str, **options: Any) -> Any:
        return send(path, **{**options, "body": _edited(path, options.get("body"), opened)})

    async def post_later(path: str, **options: Any) -> Any:
        body = await asyncio.to_thread(_edited, path, options.get("body"), opened)
        return await send(path, **{**options, "body": body})

    # Its parts take the method from the client when they are first used, which on a fresh copy is later.
    copy.post = post_later if inspect.iscoroutinefunction(send) else post
    plain = copy.copy

    def copied(**options: Any) -> Any:
        return wrap(plain(**options), opened)

    copy.copy = copy.with_options = copied
    wrapped: Client = copy
    return wrapped


def _edited(path: str, body: Any, edits: Edits) -> Any:
    """The body with the facts that govern it; the very object that came where there are none."""
    member = _MEMBERS.get(path)
    if member is None or not isinstance(body, Mapping):
        return body
    asked = body.get(member)
    if isinstance(asked, str) and asked.strip():
        given: Any = _shown(asked, edits)
    elif member == "prompt" and isinstance(asked, Sequence):
        given = [_shown(one, edits) if isinstance(one, str) and one.strip() else one for one in asked]
    elif isinstance(asked, Sequence) and not isinstance(asked, str) and query_of(asked).strip():
        given = _shown(asked, edits)
    else:
        return body
    return body if given is asked or given == asked else {**body, member: given}


def _shown(prompt: Any, edits: Edits) -> Any:
    return edits.pipeline.messages(prompt, edits.pipeline.decide(prompt)).prompt
