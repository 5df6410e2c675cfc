"""Who may do what: API keys with rights and namespaces."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from scr.errors import UsageError
from scr.facts import check_namespace

Right: TypeAlias = Literal["ask", "read", "write", "metrics", "admin"]
"""``ask`` the model, ``read`` facts and decisions, ``write`` facts, collect ``metrics``; ``admin`` is all of these."""

RIGHTS: tuple[Right, ...] = get_args(Right)
EVERY = "*"
"""In place of a list of namespaces: all of them."""

_NAME = re.compile(r"[\w.@-]{1,60}")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_COMMENT = re.compile(r"(?:^|\s)#")
_FORM = "write it like SECRET, or like `NAME SECRET RIGHTS NAMESPACES`, e.g. `alice sk-… ask,read default`"


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret.

    Attributes:
        name: who it stands for in the ledger and in logs.
        digest: SHA-256 of the secret.
        rights: what it may do.
        namespaces: where; `EVERY` among them is everywhere.
    """

    name: str
    digest: bytes
    rights: frozenset[Right]
    namespaces: tuple[str, ...] = (EVERY,)

    @classmethod
    def parse(cls, line: str) -> Key:
        """A key from one line: its secret, or name, secret and optionally rights and namespaces.

        A key whose rights are not said may ask and do nothing else. In place of the secret may stand
        ``sha256:`` and its digest in hexadecimal, so that the line need not be kept secret.

        Raises:
            UsageError: it is not of that form; the message does not show the secret.
        """
        parts = line.split()
        if not 1 <= len(parts) <= 4:
            raise UsageError(f"an API key has {len(parts)} words: {_FORM}")
        secret = parts[0] if len(parts) == 1 else parts[1]
        if not (secret.isascii() and secret.isprintable()):
            raise UsageError(f"an API key holds a character that cannot be sent: {_FORM}")
        stated = _DIGEST.fullmatch(secret)
        digest = bytes.fromhex(stated[1]) if stated else digest_of(secret)
        name = parts[0] if len(parts) > 1 else f"key-{digest.hex()[:8]}"
        if not _NAME.fullmatch(name):
            raise UsageError(f"an API key's name is no plain word of at most 60 letters: {_FORM}")
        return cls(name, digest, _rights(parts[2]) if len(parts) > 2 else frozenset({"ask"}), _namespaces(parts[3:]))

    def may(self, right: Right) -> bool:
        """Whether the key has a right."""
        return right in self.rights or "admin" in self.rights

    def sees(self, namespace: str) -> bool:
        """Whether the key's rights hold in a namespace."""
        return EVERY in self.namespaces or namespace in self.namespaces

    def namespace(self, asked: str | None, default: str) -> str | None:
        """Where a request goes that asks for a namespace or for none; None where the key may not."""
        if asked is not None:
            return asked if self.sees(asked) else None
        return default if self.sees(default) else self.namespaces[0]


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. Keys are long random words, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


def _rights(words: str) -> frozenset[Right]:
    found = frozenset(right for right in RIGHTS if right in words.split(","))
    if len(found) != len(set(words.split(","))):
        raise UsageError(f"the rights {words[:60]!r} are unknown: use {', '.join(RIGHTS)}, with commas between")
    return found


def _namespaces(words: Sequence[str]) -> tuple[str, ...]:
    if not words:
        return (EVERY,)
    return tuple(check_namespace(name) for name in words[0].split(","))


class KeyRing:
    """The keys that are accepted.

    Args:
        keys: none means that everyone may do everything, which only a server on this machine alone should allow.

    Raises:
        UsageError: two keys have one name or one secret.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        for what, values in (("name", [k.name for k in self._keys]), ("secret", [k.digest for k in self._keys])):
            if len(set(values)) < len(values):
                raise UsageError(f"two API keys have the same {what}: leave one out")

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, secret: str) -> Key | None:
        """The key with this secret; how long that takes does not depend on which, or whether any."""
        digest, found = digest_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def named(self, name: str) -> Key | None:
        """The key with this name."""
        return next((key for key in self._keys if key.name == name), None)


ANYONE = Key("", b"", frozenset(RIGHTS))
"""Stands for whoever asks a server without keys; the ledger then names the user who runs it."""


def read_keys(lines: Iterable[str], file: Path | None) -> tuple[Key, ...]:
    """Keys from the command line or environment and from a file, one a line; a word that begins with ``#`` ends it.

    Raises:
        UsageError: one is not of the form, or the file cannot be read or holds none.
    """
    found = [Key.parse(line) for line in lines if line.strip()]
    if file is not None:
        found += _of_file(file)
    KeyRing(found)  # says whether they go together
    return tuple(found)


def _of_file(file: Path) -> list[Key]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the keys in {file} ({reason}): name a text file with a key a line") from None
    found = []
    for number, whole in enumerate(text.splitlines(), 1):
        line = _COMMENT.split(whole)[0]
        if line.strip():
            try:
                found.append(Key.parse(line))
            except UsageError as error:
                raise UsageError(f"{file} line {number}: {error}") from None
    if not found:  # without a key everybody is let in, which is not what a file of keys is for
        raise UsageError(f"{file} holds no key: {_FORM}")
    return found
