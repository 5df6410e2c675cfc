"""What the gateway answers where it does not answer what was asked: errors as the OpenAI protocol words them."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from scr.errors import (
    Conflict,
    DiskFull,
    ImportRefused,
    ScrError,
    StoreBusy,
    StoreReadOnly,
    UnknownFact,
    UsageError,
)
from scr.gateway.deciding import CannotDecide
from scr.gateway.editing import NotAllowed

RETRY_AFTER = "2"
"""Seconds after which a client may try again what failed for a passing reason."""

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def document(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON; text that a client sent may come back in it, so halves of characters are no failure."""
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return Response(content, status, headers, "application/json")


class Refusal(ScrError):
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status.
        code: what is wrong, in one word for programs.
        headers: more of the answer's headers.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}

    @property
    def document(self) -> dict[str, Any]:
        """The error object."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}

    def response(self, headers: dict[str, str] | None = None) -> Response:
        """As it is sent."""
        return document(self.document, self.status, {**self.headers, **(headers or {})})


_STATUSES: tuple[tuple[type[ScrError], int, str], ...] = (
    (NotAllowed, 403, "not_allowed"),
    (UnknownFact, 404, "unknown_fact"),
    (UsageError, 400, "invalid_request"),
    (Conflict, 409, "conflict"),
    (ImportRefused, 422, "import_refused"),
    (CannotDecide, 503, "cannot_decide"),
    (StoreBusy, 503, "store_busy"),
    (StoreReadOnly, 503, "store_read_only"),
    (DiskFull, 507, "disk_full"),
)


def refusal_of(error: ScrError) -> Refusal:
    """What a client is told of an error; a server's own troubles are passing ones unless they are known not to be."""
    if isinstance(error, Refusal):
        return error
    status, code = next(((status, code) for kind, status, code in _STATUSES if isinstance(error, kind)), (500, "store"))
    if isinstance(error, CannotDecide) and error.reason == "large":
        status = 400
    again = {"Retry-After": RETRY_AFTER} if status == 503 else {}
    return Refusal(status, code, str(error), again)
