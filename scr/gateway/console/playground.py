"""The playground: what the model says with the facts and without them, and why."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import httpx
from starlette.responses import Response

from scr.engines import Prompt
from scr.errors import ScrError, UsageError
from scr.facts import check_query
from scr.gateway.console.visit import Visit
from scr.gateway.recent import Scored
from scr.gateway.refusals import Refusal, refusal_of
from scr.gateway.upstream import Upstream, refusal_of_transport
from scr.query import text_of

_SECONDS = 120
_TOKENS = 300
_LARGEST = 2**20


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, or why there is none."""

    text: str
    seconds: float
    failed: bool = False


async def blank(visit: Visit) -> Response:
    """The form, with the model that the server offers."""
    model = visit.form.text("model") or await _first_model(visit.gateway.upstream)
    return _page(visit, model=model, question=visit.form.text("question") or "")


async def ask(visit: Visit) -> Response:
    """Both answers."""
    question, model = visit.form.text("question") or "", (visit.form.text("model") or "").strip()
    try:
        check_query(question)
        if not model:
            raise UsageError("no model is named: write the name that the model server gives it")
        prompt: Prompt = [{"role": "user", "content": question}]
        ((decision, context),) = await visit.gateway.editor.contexts([prompt], visit.namespace)
    except ScrError as error:
        refusal = refusal_of(error)
        return _page(visit, refusal.status, model=model, question=question, error=str(refusal))
    upstream = visit.gateway.upstream
    asked = [context.prompt, prompt] if context.shown else [prompt]
    answers = await asyncio.gather(*(_say(upstream, model, one) for one in asked))
    edited = answers[0] if context.shown else None
    found: dict[str, Any] = {"edited": edited, "bare": answers[-1], "explained": visit.may("read")}
    if found["explained"]:
        found |= {"facts": Scored.all_of(decision), "given": text_of(context.prompt[-1]) if edited else None}  # type: ignore[arg-type]
    return _page(visit, model=model, question=question, found=found)


def _page(visit: Visit, status: int = 200, **values: Any) -> Response:
    return visit.page("playground", status, **{"found": None, **values})


async def _first_model(upstream: Upstream) -> str:
    try:
        async with asyncio.timeout(2):
            listed = await _asked(upstream, "GET", "/v1/models", None)
        return str(listed["data"][0]["id"])
    except (ScrError, TimeoutError, LookupError, TypeError):
        return ""


async def _say(upstream: Upstream, model: str, prompt: Prompt) -> Said:
    start = perf_counter()
    body = {"model": model, "messages": prompt, "temperature": 0, "max_tokens": _TOKENS}
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await _asked(upstream, "POST", "/v1/chat/completions", body)
        text = answer["choices"][0]["message"]["content"]
    except ScrError as error:
        return Said(str(error), perf_counter() - start, failed=True)
    except TimeoutError:
        return Said(f"The model did not answer within {_SECONDS} seconds.", perf_counter() - start, failed=True)
    except (LookupError, TypeError):
        return Said("The model server answered something else than a chat completion.", 0.0, failed=True)
    return Said(str(text or ""), perf_counter() - start)


async def _asked(upstream: Upstream, method: str, path: str, body: dict[str, Any] | None) -> Any:
    content = json.dumps(body).encode() if body is not None else None
    headers = [(b"content-type", b"application/json")] if body is not None else []
    response = await upstream.open(upstream.request(method, path, headers, b"", content))
    try:
        raw = b""
        async for part in response.aiter_bytes():
            raw += part
            if len(raw) > _LARGEST:
                raise Refusal(502, "upstream_error", "the model server's answer is too long to be shown here")
    except httpx.HTTPError as error:
        raise refusal_of_transport(error) from error
    finally:
        await response.aclose()
    if response.status_code != 200:
        words = raw[:300].decode(errors="replace")
        raise Refusal(502, "upstream_error", f"the model server answered with status {response.status_code}: {words}")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal(502, "upstream_error", "the model server's answer is not JSON") from None
