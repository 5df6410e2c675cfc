"""One request to the console: who sent it, what its form says, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from scr.errors import UsageError
from scr.gateway.console.pages import page
from scr.gateway.console.sessions import SESSION_SECONDS, Session, Sessions
from scr.gateway.fields import Fields
from scr.gateway.keys import Key
from scr.gateway.refusals import Refusal
from scr.gateway.service import Gateway

ROOT = "/console"
_MOST_FIELDS = 50


class Visit:
    """A request to a page.

    Attributes:
        gateway: who answers it.
        key: whose rights it has; None where nobody is logged in.
        session: its browser's.
        form: what its form, or its address, says.
        path: the values in its address.
    """

    def __init__(
        self, gateway: Gateway, sessions: Sessions, session: Session, key: Key | None, request: Request, body: bytes
    ) -> None:
        self.gateway, self.session, self.key = gateway, session, key
        self._sessions, self._request = sessions, request
        values = form_of(request, body) if request.method == "POST" else dict(request.query_params)
        if request.method == "POST":
            self._check_form(values)
        # A form sends what was left open as an empty text.
        self.form = Fields({name: value for name, value in values.items() if name != "csrf" and value.strip()})
        asked = self.form.text("namespace")
        self._asked = asked or None
        self._seen: list[str] = []
        self.path: Mapping[str, str] = request.path_params

    def _check_form(self, values: Mapping[str, str]) -> None:
        """Refuse a form that is not this session's own."""
        origin = self._request.headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != self._request.headers.get("host")
        if foreign or not self._sessions.is_token(self.session, values.get("csrf", "")):
            raise Refusal(403, "stale_form", "the form is not of this session or is too old: open the page again")

    async def see(self) -> None:
        """Choose the namespace, and learn which others there are.

        Raises:
            NotAllowed: the key has no rights there.
        """
        if self.key is None:
            raise Refusal(401, "invalid_api_key", "nobody is logged in: log in first")
        self.store = self.gateway.facts_of(self.key, self._asked)
        counted = await self.gateway.read(self.gateway.store.ledger.count)
        named = {*counted, *self.key.namespaces, self.namespace} - {"*"}
        self._seen = sorted(name for name in named if self.key.sees(name))

    @property
    def namespace(self) -> str:
        """Whose facts."""
        return self.store.namespace

    def may(self, right: Any) -> bool:
        """Whether the key has a right."""
        return self.key is not None and self.key.may(right)

    def link(self, path: str = "", **query: object) -> str:
        """An address within the console, of the same namespace; what is None or empty is left out."""
        own = {"namespace": self._asked, **query}
        words = urlencode({name: str(value) for name, value in own.items() if value not in (None, "", False)})
        return f"{ROOT}{path}{'?' if words else ''}{words}"

    def page(self, name: str, status: int = 200, **values: Any) -> Response:
        """A page of this session."""
        logged_in = self.key is not None and bool(self.key.name)
        own = {
            "link": self.link,
            "may": self.may,
            "csrf": self._sessions.token(self.session),
            "who": self.key.name if self.key is not None and logged_in else None,
            "asked_namespace": self._asked,
            "namespace": self.namespace if hasattr(self, "store") else None,
            "namespaces": self._seen,
            "here": self._request.url.path,
        }
        return page(name, {"error": None, **own, **values}, status)

    def turn(self, path: str, **query: object) -> Response:
        """Send the browser to another page, so that loading it again repeats nothing."""
        return RedirectResponse(self.link(path, **query), 303, {"Cache-Control": "no-store"})

    def _is_secure(self) -> bool:
        """Whether the browser came by TLS. Who says so without need has a browser that does not send the cookie."""
        return "https" in (self._request.url.scheme, self._request.headers.get("x-forwarded-proto", "").lower())

    def keep(self, response: Response, session: Session | None) -> Response:
        """Have the browser keep a session, or forget its own."""
        response.set_cookie(
            cookie_name(self._request),
            self._sessions.cookie(session) if session else "",
            max_age=SESSION_SECONDS if session else 0,
            path=ROOT,
            secure=self._is_secure(),
            httponly=True,
            samesite="strict",
        )
        return response


def cookie_name(request: Request) -> str:
    """Of the session's cookie: browsers do not tell the ports of a machine apart."""
    return f"scr_console_{request.url.port or 0}"


def form_of(request: Request, body: bytes) -> dict[str, str]:
    """The fields of a form.

    Raises:
        UsageError: it is none.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise UsageError("the request is no form: send it from the page")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise UsageError("the form is not UTF-8 or has too many fields: send it from the page") from None
    return {name: value.replace("\r\n", "\n") for name, value in pairs}
