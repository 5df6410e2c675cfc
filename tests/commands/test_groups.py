"""Options that several commands share are said once and arrive whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from scr.commands.groups import Drawing, spread
from scr.engines import Sampling


@dataclass(frozen=True)
class Size:
    """Two options."""

    width: Annotated[int, typer.Option(help="How wide.")] = 1
    height: Annotated[int, typer.Option("--high", help="How high.")] = 2


TALL = Size(height=9)


def plain(what: str, *, size: Size, name: Annotated[str, typer.Option()] = "nobody") -> None:
    """Say the size."""
    typer.echo(f"{what} {size.width} {size.height} {name}")


def tall(what: str, *, size: Size = TALL, name: Annotated[str, typer.Option()] = "nobody") -> None:
    plain(what, size=size, name=name)


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (plain, "x", "x 1 2 nobody"),
        (tall, "x", "x 1 9 nobody"),
        (plain, "x --width 5 --high 6 --name n", "x 5 6 n"),
        (tall, "--width 5 x", "x 5 9 nobody"),
    ],
)
def test_a_group_arrives_as_one_parameter(command: Callable[..., None], arguments: str, said: str) -> None:
    app = typer.Typer()
    app.command()(spread(command))
    assert CliRunner().invoke(app, arguments.split()).output.strip() == said


def test_the_command_is_the_same_but_for_its_parameters() -> None:
    assert list(signature(spread(plain)).parameters) == ["what", "width", "height", "name"]
    assert (spread(plain).__name__, spread(plain).__doc__) == ("plain", "Say the size.")


def test_drawing_is_a_sampling() -> None:
    assert Drawing(9, 0.5, 3).sampling == Sampling(max_tokens=9, temperature=0.5, seed=3)
