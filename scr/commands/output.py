"""What commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from scr.facts import Fact

# What moves a terminal's cursor, gives it orders or turns the order of its letters; ends of lines and tabs are let be.
_ORDERS = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def say(text: str = "") -> None:
    """A line of a result."""
    typer.echo(text)


def note(text: str) -> None:
    """A line that is not part of the result."""
    typer.echo(text, err=True)


def say_json(document: object) -> None:
    """The one JSON document of a command."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def say_json_array(records: Iterable[dict[str, Any]]) -> None:
    """A JSON array of any length, written as it comes."""
    typer.echo("[", nl=False)
    for place, record in enumerate(records):
        typer.echo(("," if place else "") + "\n" + json.dumps(record, ensure_ascii=False), nl=False)
    typer.echo("\n]")


def dim(text: str) -> str:
    """Less important text, where the terminal has colours."""
    return styled(text, dim=True)


def styled(text: str, **style: Any) -> str:
    """Styled text; plain where the user or the terminal wants it so (typer drops styles where stdout is none)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else typer.style(text, **style)


def written_out(text: str) -> str:
    """A text of others with what would steer a terminal written out as its number; unchanged where there is none."""
    return _ORDERS.sub(lambda order: ascii(order[0])[1:-1], text) if sys.stdout.isatty() else text


def one_line(text: str) -> str:
    """A text of others in one line."""
    return written_out(" ".join(text.split()))


def fact_line(fact: Fact) -> str:
    """A fact in one line."""
    status = "" if fact.status == "active" else dim(f" [{fact.status}]")
    return f"{dim(fact.id)}  {one_line(fact.text)}{status}"
