"""Settings of a method from the command line: ``layers=4-8;steps=20;corpus=wiki.txt``."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, get_args, get_type_hints

from scr.errors import UsageError

_FROM_ZERO = {"contexts"}
"""Whole numbers that may be 0; of the others there is at least one."""

_ABOVE_ZERO = {"rate", "clamp", "bound"}
"""Numbers that must be more than 0; the others may be 0, and none is negative."""

_SHARES = {"share", "top", "shared"}
"""Numbers that are 1 at most."""


def configured(kind: type, option: str, method: str) -> Any:
    """The settings of a method, the published ones but for what the option says.

    A setting of a part, such as the moments' ``corpus``, is named on its own.

    Args:
        kind: a dataclass of settings, each with a default.
        option: ``name=value`` pairs, parted by semicolons; empty for none.
        method: how the method is called, for messages.

    Raises:
        UsageError: there is no such setting, or it cannot have this value.
    """
    config = kind()
    for pair in filter(None, (part.strip() for part in option.split(";"))):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise UsageError(f"the option {pair!r} of {method} has no value: write name=value;name=value")
        config = _with(config, name, value, method)
    return config


def _with(config: Any, name: str, value: str, method: str) -> Any:
    for holder in (None, *(field.name for field in fields(config))):
        part = config if holder is None else getattr(config, holder)
        if not is_dataclass(part) or isinstance(part, type) or name not in {field.name for field in fields(part)}:
            continue
        if is_dataclass(getattr(part, name)):
            continue
        changed = replace(part, **{name: _read(get_type_hints(type(part))[name], name, value, method)})
        return changed if holder is None else replace(config, **{holder: changed})
    raise UsageError(f"{method} has no setting {name!r}: use one of {', '.join(_names(config))}")


def _names(config: Any) -> list[str]:
    """Every setting, those of parts too."""
    names = []
    for field in fields(config):
        value = getattr(config, field.name)
        names += _names(value) if is_dataclass(value) else [field.name]
    return names


def _read(kind: Any, name: str, value: str, method: str) -> Any:
    """A value of a setting's type."""
    kinds = {kind, *get_args(kind)}
    try:
        if bool in kinds:
            return {"true": True, "false": False}[value.lower()]
        if literals := [one for one in kinds if isinstance(one, str)]:
            return literals[literals.index(value)]
        for plain in (int, float):
            if plain in kinds:
                return _number(plain, name, value)
        return Path(value) if Path in kinds else _layers(value)
    except (ValueError, KeyError):
        pass
    raise UsageError(f"the setting {name} of {method} cannot be {value!r}: see docs/editors.md for what it may be")


def _number(kind: type[int] | type[float], name: str, value: str) -> int | float:
    """A number that the setting may be.

    Raises:
        ValueError: it is none.
    """
    number = kind(value)
    least = 1 if kind is int and name not in _FROM_ZERO else 0
    if not isfinite(number) or number < least or (number == 0 and name in _ABOVE_ZERO):
        raise ValueError(value)
    if number > 1 and name in _SHARES:
        raise ValueError(value)
    return number


def _layers(value: str) -> tuple[int, ...]:
    """``4-8``, ``5`` or ``4+6+8``."""
    found: list[int] = []
    for part in value.split("+"):
        bounds = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not bounds:
            raise ValueError(value)
        found += range(int(bounds[1]), int(bounds[2] or bounds[1]) + 1)
    return tuple(found)
