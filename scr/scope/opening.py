"""Which classifier decides: one table of names, or a folder that a training wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from scr.engines import Engine
from scr.errors import UsageError
from scr.scope import ScopeClassifier

DEFAULT_SCOPE = "cross-encoder"

_SIMPLE = {
    "cosine": "scr.scope.cosine:CosineClassifier",
    "serac": "scr.scope.cosine:SeracClassifier",
}
_LEARNED = "cross-encoder"
_ASKING = ("llm", "cascade")

NAMES = (*_SIMPLE, _LEARNED, *_ASKING)


def open_scope(
    name: str | None = None,
    threshold: float | None = None,
    engine: Callable[[], Engine] | None = None,
    folders: Sequence[Path] = (),
) -> ScopeClassifier:
    """A scope classifier by its name.

    Args:
        name: one of `NAMES`, or the folder of a trained cross-encoder; None is the default one.
        threshold: least score at which a fact applies; None is the classifier's own.
        engine: opens the language model, for those that ask it.
        folders: where they look for their template, one's own first; none is the shipped one.

    Raises:
        UsageError: there is none of that name, or its template cannot be used.
        AssetError: a learned classifier cannot be read.
    """
    name = name or DEFAULT_SCOPE
    if name == _LEARNED or Path(name, "config.json").is_file():
        from scr.scope.cross_encoder import CrossEncoder

        learned = CrossEncoder.from_pretrained(None if name == _LEARNED else name)
        return learned if threshold is None else learned.with_threshold(threshold)
    if name in _ASKING:
        return _open_asking(name, threshold, engine, folders)
    if name not in _SIMPLE:
        raise UsageError(f"no scope classifier is called {name!r}, nor is that a folder of one: use {', '.join(NAMES)}")
    module, attribute = _SIMPLE[name].split(":")
    classifier: type[ScopeClassifier] = getattr(import_module(module), attribute)
    return classifier() if threshold is None else classifier(threshold)  # type: ignore[call-arg]


def read_threshold(text: str, given: str) -> float:
    """A threshold that was given as text.

    Args:
        text: the number.
        given: how it was given, for the message.

    Raises:
        UsageError: it is no number from 0 to 1.
    """
    try:
        threshold = float(text)
    except ValueError:
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise UsageError(f"{given}: the threshold is no number from 0 to 1, correct it or leave it out")
    return threshold


def _open_asking(
    name: str, threshold: float | None, engine: Callable[[], Engine] | None, folders: Sequence[Path]
) -> ScopeClassifier:
    if engine is None:
        raise UsageError(f"the scope classifier {name!r} asks a language model, and there is none here")
    from scr.scope.llm import CascadeClassifier, LanguageModelClassifier

    judge = LanguageModelClassifier(engine, folders=folders)
    return judge if name == "llm" else CascadeClassifier(open_scope(_LEARNED, threshold), judge)
