"""Data sets by their public names, through the ``datasets`` library."""

from __future__ import annotations

from typing import Any

from scr.errors import MissingExtra, UsageError
from scr.evaluation.datasets.reading import wrap
from scr.evaluation.datasets.records import Record


def fetch(name: str, split: str, part: str = "") -> list[Record]:
    """The records of a data set on the hub, or in a folder that the library can read.

    Args:
        name: its id, or the folder.
        split: of it.
        part: one file of it; empty for all.

    Raises:
        MissingExtra: the library is not installed.
        UsageError: it cannot be had.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra("eval", "a data set by its public name") from None
    options: dict[str, Any] = {"data_files": part} if part else {}
    try:
        rows = datasets.load_dataset(name, split=split, **options)
    except Exception as error:  # The library has no error of its own for most of what can go wrong.
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(
            f"cannot load hf:{name}:{split} through the datasets library ({said}): "
            "check id, split and network, or give the file as NAME=PATH"
        ) from None
    records = wrap(rows, f"hf:{name}:{split}")
    if not records:
        raise UsageError(f"hf:{name}:{split} holds no records: choose another split")
    return records
