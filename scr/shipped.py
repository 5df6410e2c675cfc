"""Files that come with the package and lie beside ``scr/`` in a checkout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal


def shipped(name: Literal["prompts", "stores"]) -> Path:
    """The folder ``scr.NAME`` of an installed package, or ``NAME/`` of a checkout that is not installed."""
    spec = find_spec(f"scr.{name}")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return Path(__file__).resolve().parents[1] / name
