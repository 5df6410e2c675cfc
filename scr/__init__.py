"""scr: correct what a language model says, at once and reversibly, without touching its weights."""

from scr.version import __version__

__all__ = ["__version__"]
