"""Which classifier decides: one table of names."""

from __future__ import annotations

from importlib import import_module

from scr.errors import UsageError
from scr.scope import ScopeClassifier

DEFAULT_SCOPE = "words"

_CLASSIFIERS = {
    "cosine": "scr.scope.cosine:CosineClassifier",
    "words": "scr.scope.words:WordsClassifier",
}

NAMES = tuple(_CLASSIFIERS)


def open_scope(name: str | None = None, threshold: float | None = None) -> ScopeClassifier:
    """A scope classifier by its name.

    Args:
        name: None is the default one.
        threshold: least score at which a fact applies; None is the classifier's own.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        module, attribute = _CLASSIFIERS[name or DEFAULT_SCOPE].split(":")
    except KeyError:
        raise UsageError(f"no scope classifier is called {name!r}: use {', '.join(NAMES)}") from None
    classifier: type[ScopeClassifier] = getattr(import_module(module), attribute)
    return classifier() if threshold is None else classifier(threshold)  # type: ignore[call-arg]
