"""Who is logged in: a signed cookie that holds no secret, and the token that its forms carry."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
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
    """Makes and checks sessions. Nothing is kept of them but which logged out, until their time is over.

    Args:
        secret: random bytes that all processes of one gateway share, and that end with it.
        clock: seconds of the epoch.
        folder: in which they tell each other who logged out; None where there is one process.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time, folder: Path | None = None) -> None:
        self._secret, self._clock, self._folder = secret, clock, folder
        self._ended: dict[str, int] = {}

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
        session = Session(*json.loads(raw))
        return None if session.until <= self._clock() or self._is_ended(session) else session

    def end(self, session: Session) -> None:
        """Have a session end before its time, in all processes; one that nobody has logged in with may go on.

        Raises:
            OSError: the others cannot be told.
        """
        if session.name is None:
            return
        now = self._clock()
        self._ended = {nonce: until for nonce, until in self._ended.items() if until > now}
        self._ended[session.nonce] = session.until
        if self._folder is not None:
            for file in self._folder.glob("*.ended"):
                with suppress(FileNotFoundError):  # another process may do the same
                    if file.stat().st_mtime < now - SESSION_SECONDS:
                        file.unlink()
            self._file(session, self._folder).touch()

    def _is_ended(self, session: Session) -> bool:
        if session.nonce in self._ended or self._folder is None:
            return session.nonce in self._ended
        return self._file(session, self._folder).exists()

    def _file(self, session: Session, folder: Path) -> Path:
        return folder / f"{session.nonce}.ended"  # a word that was made and signed here

    def token(self, session: Session) -> str:
        """What the forms of a session carry, and no other page can know."""
        return self._sign("form", session.nonce.encode())

    def is_token(self, session: Session, given: str) -> bool:
        """Whether a form is this session's."""
        return hmac.compare_digest(self.token(session).encode(), given.encode(errors="replace"))

    def _sign(self, purpose: str, value: bytes) -> str:
        return hmac.new(self._secret, purpose.encode() + b"\0" + value, hashlib.sha256).hexdigest()
