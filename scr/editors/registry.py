"""Every method by its name: what `--method` and `scr editors` know. Others add theirs by an entry point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from scr.context import ContextBuilder
from scr.editors import Editor, Traits
from scr.encoder import Encoder
from scr.engines import Engine
from scr.errors import UsageError

ENTRY_POINTS = "scr.editors"
"""The group of entry points, each a name and ``module:Class``, by which other packages add methods."""

_OWN = {
    "bare": "scr.editors.baselines:Bare",
    "oracle": "scr.editors.baselines:Oracle",
    "scr": "scr.editors.retrieval:Scr",
    "rag": "scr.editors.retrieval:Rag",
    "serac-icl": "scr.editors.retrieval:SeracInContext",
    "ike": "scr.editors.reading:Ike",
    "scr-2025": "scr.editors.reading:Scr2025",
    "eren": "scr.editors.reading:Eren",
    "ft-l": "scr.editors.weights.ft:FtL",
    "ft-m": "scr.editors.weights.ft:FtM",
    "lora": "scr.editors.weights.lora:Lora",
    "kn": "scr.editors.weights.kn:Kn",
    "rome": "scr.editors.weights.rome:Rome",
    "r-rome": "scr.editors.weights.rome:RRome",
    "memit": "scr.editors.weights.memit:Memit",
    "alphaedit": "scr.editors.weights.alphaedit:AlphaEdit",
    "come": "scr.editors.weights.come:Come",
}


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a method may work with.

    Attributes:
        engine: the unmodified model.
        encoder: opens the text encoder, where it is needed.
        context: shows facts to the model.
        model: folder or hub id of the model, for methods that change its weights; None is the shipped one.
        k: how many facts to retrieve, where a method does not say otherwise.
    """

    engine: Engine
    encoder: Callable[[], Encoder]
    context: ContextBuilder = field(default_factory=ContextBuilder)
    model: str | None = None
    k: int = 10


class _Openable(Protocol):
    traits: Traits

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Editor: ...


def names() -> list[str]:
    """The names of all methods, in the order of the table, those of other packages last."""
    return list(dict.fromkeys([*_OWN, *(point.name for point in entry_points(group=ENTRY_POINTS))]))


def traits(name: str) -> Traits:
    """What a method is and needs.

    Raises:
        UsageError: there is none of that name, or that of another package cannot be loaded.
    """
    return _load(name).traits


def open_editor(method: str, bench: Workbench) -> Editor:
    """Open a method by its name, or by its name, a colon and its option: ``scr:cosine``, ``rag:1``.

    A method of another package is a class with ``traits`` and a class method ``open(bench, option)``.

    Raises:
        UsageError: there is none of that name, it does not know the option, or that of another package cannot be
            loaded.
        MissingExtra: it needs libraries that are not installed.
    """
    name, _, option = method.partition(":")
    return _load(name).open(bench, option)


def _load(name: str) -> type[_Openable]:
    if name in _OWN:
        return cast("type[_Openable]", EntryPoint(name, _OWN[name], ENTRY_POINTS).load())
    point = next((point for point in entry_points(group=ENTRY_POINTS) if point.name == name), None)
    if point is None:
        raise UsageError(f"no method is called {name!r}: use one of {', '.join(names())}")
    try:
        found = point.load()
        if not isinstance(found.traits, Traits) or not callable(found.open):
            raise TypeError("it is no editor")
    except Exception as error:  # their module may raise anything as it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(
            f"the method {name} of another package cannot be loaded from {point.value} ({reason}): "
            "mend or uninstall that package"
        ) from error
    return cast("type[_Openable]", found)


def refuse_option(name: str, option: str) -> None:
    """For methods without options.

    Raises:
        UsageError: one is given.
    """
    if option:
        raise UsageError(f"the method {name!r} takes no option, so {name}:{option} means nothing: write {name}")
