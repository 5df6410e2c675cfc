"""scr: correct what a language model says, at once and reversibly, without touching its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scr.version import __version__

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.api import open_edits as open
    from scr.async_api import AsyncEdits, open_async
    from scr.engines import Sampling
    from scr.facts import Fact, NewFact
    from scr.wrapping import wrap

__all__ = ["AsyncEdits", "Edits", "Fact", "NewFact", "Sampling", "__version__", "open", "open_async", "wrap"]

_WHERE = {
    "AsyncEdits": ("scr.async_api", "AsyncEdits"),
    "Edits": ("scr.api", "Edits"),
    "Fact": ("scr.facts", "Fact"),
    "NewFact": ("scr.facts", "NewFact"),
    "Sampling": ("scr.engines", "Sampling"),
    "open": ("scr.api", "open_edits"),
    "open_async": ("scr.async_api", "open_async"),
    "wrap": ("scr.wrapping", "wrap"),
}


def __getattr__(name: str) -> Any:
    """Load what is asked for, so that ``import scr`` loads nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'scr' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
