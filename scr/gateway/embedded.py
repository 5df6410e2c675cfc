"""Editing inside another server, which is told by its environment how: no proxy, no process of one's own."""

from __future__ import annotations

import os
from typing import cast, get_args

from scr.context import ContextBuilder
from scr.errors import UsageError
from scr.facts import DEFAULT_NAMESPACE
from scr.gateway.deciding import Decider
from scr.gateway.editing import Editor, OnFailure
from scr.scope.opening import open_scope, read_threshold
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
    given = os.environ.get("SCR_THRESHOLD")
    threshold = None if given is None else read_threshold(given, f"SCR_THRESHOLD={given!r}")
    scope = open_scope(os.environ.get("SCR_SCOPE"), threshold)
    context = ContextBuilder()
    decider = Decider(FactStore.open(folder, namespace=namespace, make=False), scope)
    return Editor(decider, context, namespace=namespace, on_failure=cast(OnFailure, on_failure))
