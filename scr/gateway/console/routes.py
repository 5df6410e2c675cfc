"""The console's routes: who may see which page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from scr.errors import ScrError
from scr.gateway.console import activity, facts, importing, playground
from scr.gateway.console.pages import static
from scr.gateway.console.sessions import Session, Sessions
from scr.gateway.console.visit import ROOT, Visit, cookie_name
from scr.gateway.keys import ANYONE, Key, Right
from scr.gateway.limits import read_body
from scr.gateway.refusals import Refusal, document, refusal_of
from scr.gateway.service import Gateway

Act: TypeAlias = Callable[[Visit], Awaitable[Response]]

_LONGEST_LOGIN = 2**14
"""Bytes of a form of somebody who has not logged in."""

_TABLE: tuple[tuple[str, str, Right, Act], ...] = (
    ("GET", "/facts", "read", facts.listing),
    ("GET", "/facts/new", "write", facts.blank),
    ("POST", "/facts/new", "write", facts.add),
    ("GET", "/facts/{fact_id}", "read", facts.show),
    ("GET", "/facts/{fact_id}/edit", "write", facts.filled),
    ("POST", "/facts/{fact_id}/edit", "write", facts.edit),
    ("POST", "/facts/{fact_id}/remove", "write", facts.remove),
    ("GET", "/log", "read", facts.log),
    ("POST", "/undo", "write", facts.undo),
    ("GET", "/import", "write", importing.blank),
    ("POST", "/import", "write", importing.bring),
    ("GET", "/playground", "ask", playground.blank),
    ("POST", "/playground", "ask", playground.ask),
    ("GET", "/decisions", "read", activity.decisions),
    ("GET", "/activity", "admin", activity.activity),
)


def console_routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes below ``/console``."""
    console = _Console(gateway)
    routes = [
        Route(f"{ROOT}{path}", console.endpoint(right, act), methods=[method]) for method, path, right, act in _TABLE
    ]
    doors: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
        ("GET", "", console.first),
        ("GET", "/login", console.login),
        ("POST", "/login", console.login),
        ("POST", "/logout", console.logout),
        ("GET", "/static/{name}", console.file),
    )
    return [*routes, *(Route(f"{ROOT}{path}", act, methods=[method]) for method, path, act in doors)]


class _Console:
    """Lets browsers in."""

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._sessions = Sessions(settings.session_secret, folder=settings.shared)

    def endpoint(self, right: Right, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                visit = await self._visit(request)
                if visit.key is None:
                    return _to_login(visit)
                self._gateway.permit(visit.key, right)
                await visit.see()
            except ScrError as error:
                return _refused(error)
            try:
                return visit.keep(await act(visit), visit.session)
            except ScrError as error:
                return _told(visit, error)

        return answer

    async def _visit(self, request: Request) -> Visit:
        session, key = self._who(request)
        longest = self._gateway.settings.max_body
        body = await read_body(request, longest if key is not None else min(longest, _LONGEST_LOGIN))
        return Visit(self._gateway, self._sessions, session, key, request, body)

    def _who(self, request: Request) -> tuple[Session, Key | None]:
        """The browser's session, a new one if it has none, and the key that it has logged in with."""
        session = self._sessions.read(request.cookies.get(cookie_name(request), ""))
        if not self._gateway.keys:
            self._gateway.admit(request, None)  # from this machine alone
            return session or self._sessions.new(), ANYONE
        key = self._gateway.keys.named(session.name) if session and session.name else None
        return session or self._sessions.new(), key

    async def first(self, request: Request) -> Response:
        """To the first page that the key may see."""
        try:
            visit = await self._visit(request)
        except ScrError as error:
            return _refused(error)
        if visit.key is None:
            return _to_login(visit)
        return visit.turn("/facts" if visit.may("read") else "/playground")

    async def login(self, request: Request) -> Response:
        """The form that asks for a key, and what it sends."""
        try:
            visit = await self._visit(request)
            if not self._gateway.keys:
                return visit.turn("/facts")
            if request.method != "POST":
                return visit.keep(visit.page("login"), visit.session)
            key = self._gateway.keys.find((visit.form.text("key") or "").strip())
            if key is None:
                return visit.keep(visit.page("login", 401, error="The key is not known here."), visit.session)
            self._gateway.permit(key, None)
            return visit.keep(visit.turn(""), self._sessions.new(key.name))
        except ScrError as error:
            return _refused(error)

    async def logout(self, request: Request) -> Response:
        """End the session, and have the browser forget it."""
        try:
            visit = await self._visit(request)
        except ScrError as error:
            return _refused(error)
        self._sessions.end(visit.session)
        return visit.keep(RedirectResponse(f"{ROOT}/login", 303), None)

    async def file(self, request: Request) -> Response:
        """A file that the pages need."""
        found = static(request.path_params["name"])
        return found or document(
            Refusal(404, "no_such_route", "there is no such file here: see /console").document, 404
        )


def _to_login(visit: Visit) -> Response:
    return visit.keep(RedirectResponse(f"{ROOT}/login", 303, {"Cache-Control": "no-store"}), visit.session)


def _told(visit: Visit, error: ScrError) -> Response:
    """An error on a page like the others."""
    refusal = refusal_of(error)
    return visit.page("error", refusal.status, error=str(refusal))


def _refused(error: ScrError) -> Response:
    """An error on a page for whoever it is."""
    from scr.gateway.console.pages import page

    refusal = refusal_of(error)
    response = page("refused", {"error": str(refusal), "who": None}, refusal.status)
    response.headers.update(refusal.headers)
    return response
