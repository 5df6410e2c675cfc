"""Settings that depend on the model: found by a sweep for models that were measured, else as the papers have them.

They are the layers to edit and, as the size of a model's states and keys is its own, what MEMIT and AlphaEdit weigh
against it.
"""

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
        weight: MEMIT's λ. Of a residual, one layer inserts the share t / (t + λ), with t = kᵀ E[k kᵀ]⁻¹ k of the edit's
            key; 15,000 is published for GPT-J.
        ridge: AlphaEdit's α. Of a residual, one layer inserts the share s / (s + α), with s the squared norm of the
            edit's key within the null space; 10 is published for Llama-3-8B.
        rate: learning rate of AlphaEdit's targets. A component of a state moves by about this in a step, so it has to
            be of a size with the states; 0.1 is published for Llama-3-8B.
    """

    one: int
    several: tuple[int, ...]
    tuned: int
    weight: float = 15_000.0
    ridge: float = 10.0
    rate: float = 0.1


# By number of blocks, width of the residual stream and width of a key; benchmarks/log.md has the sweeps, and what was
# not swept.
_MEASURED: dict[tuple[int, int, int], Layers] = {
    # SmolLM2-135M: with 15,000 MEMIT leaves a quarter of the edits undone. AlphaEdit: s is 2 to 4, and ‖h‖ is about 150
    # over 576 components: 25 steps of 0.1 end far from the target.
    (30, 576, 1536): Layers(one=5, several=(4, 5, 6, 7, 8), tuned=20, weight=1_500.0, ridge=0.1, rate=0.5),
}


def layers_of(architecture: Architecture) -> Layers:
    """The layers to edit, and what else depends on the model, where the user names none.

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
