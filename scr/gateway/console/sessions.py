"""Who is logged in: a signed cookie that holds no secret, and the token that its forms carry."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time

SESSION_SECONDS = 12 * 3600
"""How long a log-in lasts."""

_LONGEST_COOKIE = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has been here.

    Attributes:
        name: of the key that logged in; None where none has.
        nonce: a random word that is this session's alone.
        until: when it ends, in seconds of the epoch.
    """

    name: str | None
    nonce: str
    until: int


class Sessions:
    """Makes and checks sessions. Nothing is kept of them, so there is nothing to fill up and every worker knows all.

    Args:
        secret: random bytes that all processes of one gateway share, and that end with it.
        clock: seconds of the epoch.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time) -> None:
        self._secret, self._clock = secret, clock

    def new(self, name: str | None = None) -> Session:
        """A session that begins now."""
        return Session(name, secrets.token_urlsafe(16), int(self._clock()) + SESSION_SECONDS)

    def cookie(self, session: Session) -> str:
        """The session as a cookie's value."""
        stated = json.dumps([session.name, session.nonce, session.until]).encode()
        return f"{base64.urlsafe_b64encode(stated).decode()}.{self._sign('session', stated)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is not ours or has ended."""
        stated, _, signature = cookie[:_LONGEST_COOKIE].partition(".")
        try:
            raw = base64.urlsafe_b64decode(stated)
        except (binascii.Error, ValueError):
            return None
        if not hmac.compare_digest(self._sign("session", raw).encode(), signature.encode(errors="replace")):
            return None
        name, nonce, until = json.loads(raw)
        return Session(name, nonce, until) if until > self._clock() else None

    def token(self, session: Session) -> str:
        """What the forms of a session carry, and no other page can know."""
        return self._sign("form", session.nonce.encode())

    def is_token(self, session: Session, given: str) -> bool:
        """Whether a form is this session's."""
        return hmac.compare_digest(self.token(session).encode(), given.encode(errors="replace"))

    def _sign(self, purpose: str, value: bytes) -> str:
        return hmac.new(self._secret, purpose.encode() + b"\0" + value, hashlib.sha256).hexdigest()
