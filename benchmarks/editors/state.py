"""Where a sequence of edits stands, in files: one that was cut off goes on from there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.editors.measure import read, write
from scr.editors import Edited, Editor, Resumable, Savable

EVERY = 60.0
"""Seconds between two times that it is kept."""

_STATE = "state.json"


@dataclass(slots=True)
class State:
    """A sequence of one method in a folder of its own, which need not exist.

    Only methods whose traits say that they go on from saved edits have one; others begin anew.

    Attributes:
        folder: the latest deltas, and what they took.
        editor: the method.
    """

    folder: Path
    editor: Editor
    _latest: float = field(default_factory=time.monotonic)

    def taken_up(self, below: int) -> tuple[Edited | None, list[dict[str, Any]], int]:
        """The model as it was kept if that has fewer edits than `below`; what each took; targets sought till then."""
        path = self.folder / _STATE
        kept = read(path) if path.is_file() else {"edits": below}
        if kept["edits"] >= below or not isinstance(self.editor, Resumable):
            return None, [], 0
        return self.editor.resume(self.folder / kept["deltas"]), kept["costs"], kept["sought"]

    def keep(self, edited: Edited, costs: Sequence[dict[str, Any]], sought: int, *, last: bool) -> None:
        """Write it whole or not at all, if some time has passed or it is the last."""
        due = last or time.monotonic() - self._latest >= EVERY
        if not (due and self.editor.traits.resumable and isinstance(edited, Savable)):
            return
        deltas = self.folder / f"{len(costs):05}.safetensors"
        edited.save(deltas)
        write(self.folder / _STATE, {"edits": len(costs), "deltas": deltas.name, "sought": sought, "costs": costs})
        for other in set(self.folder.glob("*.safetensors")) - {deltas}:
            other.unlink()
        self._latest = time.monotonic()
