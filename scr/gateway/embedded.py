"""Editing inside another server, which is told by its environment how: no proxy, no process of one's own."""

from __future__ import annotations

import os
from typing import cast, get_args

from scr.context import ContextBuilder
from scr.errors import UsageError
from scr.facts import DEFAULT_NAMESPACE
from scr.gateway.deciding import Decider
from scr.gateway.editing import Editor, OnFailure
from scr.scope.opening import open_scope
from scr.store import FactStore


def open_editor() -> Editor:
    """An editor as the environment says.

    ``SCR_STORE`` is needed; ``SCR_NAMESPACE``, ``SCR_SCOPE``, ``SCR_THRESHOLD``, ``SCR_PROMPTS`` and ``SCR_ON_FAILURE``
    mean what the options of ``scr serve`` mean.

    Raises:
        UsageError: the store is not named, or a value makes no sense.
        UnknownStore: there is none in that folder.
    """
    folder = os.environ.get("SCR_STORE")
    if not folder:
        raise UsageError("it is not said where the facts are: set SCR_STORE to the store's folder")
    on_failure = os.environ.get("SCR_ON_FAILURE", "pass")
    if on_failure not in get_args(OnFailure):
        raise UsageError(f"SCR_ON_FAILURE={on_failure!r} is unknown: set it to pass or refuse")
    namespace = os.environ.get("SCR_NAMESPACE", DEFAULT_NAMESPACE)
    scope = open_scope(os.environ.get("SCR_SCOPE"), _threshold(os.environ.get("SCR_THRESHOLD")))
    context = ContextBuilder()
    decider = Decider(FactStore.open(folder, namespace=namespace, make=False), scope)
    return Editor(decider, context, namespace=namespace, on_failure=cast(OnFailure, on_failure))


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"SCR_THRESHOLD={text!r} is no number from 0 to 1: correct or unset it")
    return value
