"""The gateway as an ASGI application: its routes and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from scr.context import Form
from scr.errors import ScrError
from scr.gateway.console.routes import console_routes
from scr.gateway.deciding import CannotDecide
from scr.gateway.editing import EDITED, Edited
from scr.gateway.facts import fact_routes
from scr.gateway.forwarding import Forwarding
from scr.gateway.limits import read_body
from scr.gateway.load import Load
from scr.gateway.openapi import openapi
from scr.gateway.refusals import Refusal, document, refusal_of
from scr.gateway.service import Gateway
from scr.gateway.settings import Settings
from scr.gateway.tracing import NOTE, TRACE, Tracing

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

PASSED: dict[str, str] = {
    "/v1/models": "GET",
    "/v1/embeddings": "POST",
    "/v1/responses": "POST",
    "/tokenize": "POST",
    "/version": "GET",
}
"""Routes that are passed on as they are, and their method."""

_MOST_NAMED = 100
"""Most facts that a header names: clients take no header that is too long."""


def make_app(settings: Settings) -> Starlette:
    """The gateway; its parts are opened here and what is slow when it starts.

    Raises:
        ScrError: one of them cannot be opened as the settings say.
    """
    gateway = Gateway(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(gateway.warm)
            await gateway.siblings.open()
            yield
        finally:
            await gateway.aclose()

    routes = [*_model_routes(gateway), *_own_routes(gateway), *fact_routes(gateway), *console_routes(gateway)]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Tracing, gateway.metrics),
            Middleware(Load, gateway.metrics, most=settings.max_requests, max_body=settings.max_body),
        ],
        exception_handlers={ScrError: _refused, HTTPException: _no_such_route, Exception: _broken},
    )
    app.router.redirect_slashes = False
    app.state.gateway = gateway
    return app


def _model_routes(gateway: Gateway) -> list[BaseRoute]:
    """What the model server answers."""
    edited = [Route(path, _editing(gateway, path, form), methods=["POST"]) for path, form in EDITED.items()]
    passed = [Route(path, _passing(gateway, path), methods=[method]) for path, method in PASSED.items()]
    return [*edited, *passed]


def _editing(gateway: Gateway, path: str, form: Form) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        key = gateway.admit(request, "ask")
        raw = await read_body(request, gateway.settings.max_body)
        start = perf_counter()
        try:
            edited = await gateway.editor.edit(form, raw, key)
        except CannotDecide as problem:
            gateway.metrics.failures.labels(problem.reason, "refused").inc()
            gateway.recent.note(
                (),
                trace=request.scope[TRACE],
                key=key.name,
                namespace=problem.namespace or gateway.editor.namespace,
                seconds=perf_counter() - start,
                failure=problem.reason,
                refused=True,
            )
            raise
        _count(gateway, edited)
        gateway.recent.note(
            edited.decisions,
            trace=request.scope[TRACE],
            key=key.name,
            namespace=edited.namespace,
            seconds=edited.seconds,
            failure=edited.failure,
        )
        request.scope[NOTE] = f" {key.name or 'anyone'} {edited.decision} {','.join(edited.facts)}".rstrip()
        return _forwarding(gateway, request, path, edited)

    return endpoint


def _count(gateway: Gateway, edited: Edited) -> None:
    gateway.metrics.decisions.labels(edited.decision).inc()
    gateway.metrics.added.observe(edited.seconds)
    if edited.failure:
        gateway.metrics.failures.labels(edited.failure, "passed").inc()


def _passing(gateway: Gateway, path: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        gateway.admit(request, "ask")
        raw = await read_body(request, gateway.settings.max_body)
        return _forwarding(gateway, request, path, Edited(raw))

    return endpoint


def _forwarding(gateway: Gateway, request: Request, path: str, edited: Edited) -> Forwarding:
    headers: dict[str, str] = {"X-SCR-Decision": edited.decision}
    if edited.facts:
        headers["X-SCR-Facts"] = ",".join(edited.facts[:_MOST_NAMED])
    content = edited.content if request.method == "POST" else None
    start = perf_counter()
    return Forwarding(
        gateway.upstream,
        gateway.upstream.request(request.method, path, request.headers.raw, request.scope["query_string"], content),
        headers=headers,
        explanation=edited.explanation,
        on_head=lambda: gateway.metrics.first_byte.observe(perf_counter() - start),
    )


def _own_routes(gateway: Gateway) -> list[BaseRoute]:
    """What the gateway answers by itself."""

    async def health(_: Request) -> Response:
        parts = await gateway.health()
        state = {"status": "ok" if all(parts.values()) else "failing"}
        state |= {name: "ok" if well else "failing" for name, well in parts.items()}
        return document(state, 200 if all(parts.values()) else 503)

    async def metrics(request: Request) -> Response:
        gateway.admit(request, "metrics")
        content, kind = gateway.metrics.page()
        return Response(content, headers={"Content-Type": kind})

    async def described(request: Request) -> Response:
        gateway.admit(request, None)
        return document(openapi())

    table = {"/health": health, "/metrics": metrics, "/scr/openapi.json": described}
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table.items()]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ScrError)  # noqa: S101 - for the type checker
    return refusal_of(error).response()


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    what = "is not a route of this gateway" if error.status_code == 404 else f"does not take {request.method}"
    refusal = Refusal(error.status_code, "no_such_route", f"{request.url.path[:100]!r} {what}: see its documentation")
    return refusal.response(dict(error.headers or {}))


async def _broken(_: Request, error: Exception) -> Response:
    return Refusal(500, "internal", f"the gateway failed ({type(error).__name__}): see its log").response()
