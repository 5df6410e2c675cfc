"""Opening what the options name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from scr.errors import UsageError

if TYPE_CHECKING:
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
def opened_store(path: Path | None, namespace: str, encoder: str | None = None) -> Iterator[FactStore]:
    """The store that the options name, closed at the end."""
    from scr.store import FactStore

    with FactStore.open(path or default_store(), namespace=namespace, encoder=encoder) as store:
        yield store


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


def prompt_of(query: str, form: str) -> Prompt:
    """A checked question in the prompt form that the options name."""
    from scr.context import FORMS
    from scr.facts import check_query

    if form not in FORMS:
        raise UsageError(f"--prompt-form {form!r} is unknown: use {' or '.join(FORMS)}")
    text = check_query(query)
    return text if form == "completion" else [{"role": "user", "content": text}]
