"""Which layers to edit: found by a sweep for models that were measured, else where the papers edit, by depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scr.editors.weights.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Layers:
    """Defaults for one model.

    Attributes:
        one: for ROME.
        several: for MEMIT and its kin.
        tuned: for fine-tuning one layer.
    """

    one: int
    several: tuple[int, ...]
    tuned: int


# By number of blocks, width of the residual stream and width of a key; benchmarks/log.md has the sweeps.
_MEASURED: dict[tuple[int, int, int], Layers] = {}


def layers_of(architecture: Architecture) -> Layers:
    """The layers to edit where the user names none.

    For a model that was not measured they lie at the depth that the papers use: ROME at 5 of 28 blocks (GPT-J) and 5
    of 32 (Llama), MEMIT and AlphaEdit at 3 to 8 of 28 and 4 to 8 of 32, fine-tuning at 21 of 32.
    """
    size = (architecture.layers, architecture.hidden, architecture.inner)
    if found := _MEASURED.get(size):
        return found
    last = architecture.layers - 1
    middle = min(last, round(architecture.layers * 5 / 28))
    end = min(last, max(round(architecture.layers * 8 / 30), middle))
    begin = max(0, min(end, round(architecture.layers * 4 / 30)))
    return Layers(middle, tuple(range(begin, end + 1)), min(last, round(architecture.layers * 21 / 32)))


def chosen(given: Any, default: tuple[int, ...], architecture: Architecture) -> tuple[int, ...]:
    """The layers that were named, or the default ones.

    Raises:
        EditError: the model has not all of them.
    """
    return architecture.check(tuple(given) if given is not None else default)
