"""Opening what the options name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from scr.errors import UsageError

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.commands.groups import Asking, Deciding
    from scr.context import Form
    from scr.engines import Prompt
    from scr.store import FactStore


def default_store() -> Path:
    """``stores/default`` in a checkout, else a folder of the user's."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "stores").is_dir():
        return checkout / "stores" / "default"
    from platformdirs import user_data_path

    return user_data_path("scr") / "default"


@contextmanager
def opened_store(
    path: Path | None, namespace: str, encoder: str | None = None, *, make: bool = False
) -> Iterator[FactStore]:
    """The store that the options name, closed at the end.

    The default store is made when it is first looked at. Another one may be a slip of the pen, so that only a command
    which puts facts into it makes it.

    Raises:
        UnknownStore: there is none, and it is not to be made.
    """
    from scr.scope.opening import open_scope
    from scr.scope.rivals import LearnedConflicts
    from scr.store import FactStore

    folder, learned = path or default_store(), LearnedConflicts(open_scope)
    with FactStore.open(
        folder, namespace=namespace, encoder=encoder, make=make or path is None, detector=learned
    ) as store:
        yield store


def opened_edits(
    path: Path | None, namespace: str, deciding: Deciding, asking: Asking | None = None, *, make: bool = False
) -> Edits:
    """The store and the model that the options name; None is the model where none is named.

    Raises:
        UnknownStore: there is none, and it is not to be made; see :func:`opened_store`.
    """
    from scr.api import open_edits

    return open_edits(
        path or default_store(),
        namespace=namespace,
        make=make or path is None,
        scope=deciding.scope,
        threshold=deciding.threshold,
        k=deciding.top_k,
        **(asdict(asking) if asking else {}),
    )


def moment(text: str | None) -> datetime | None:
    """The value of ``--as-of``."""
    from scr.facts import parse_time

    return parse_time(text) if text else None


def text_or_stdin(text: str, what: str) -> str:
    """An argument, or standard input where it is ``-``.

    Raises:
        UsageError: standard input is not UTF-8.
    """
    if text != "-":
        return text
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the {what} on standard input is not UTF-8 (byte {error.start + 1}): convert it") from None


def prompt_of(query: str, form: Form) -> Prompt:
    """A checked question in the prompt form that the options name."""
    from scr.facts import check_query

    text = check_query(query)
    return text if form == "completion" else [{"role": "user", "content": text}]


@contextmanager
def input_file(name: str) -> Iterator[BinaryIO]:
    """A file to read, or standard input where it is ``-``.

    Raises:
        UsageError: it cannot be opened.
    """
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 (a failure of who reads it is not this one)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot read {name} ({reason}): correct the path") from None
    with file:
        yield file
