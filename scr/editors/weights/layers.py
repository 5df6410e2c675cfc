"""Settings that depend on the model: published, or found by a sweep for a model that was measured, else by rule.

They are the layers to edit and, as the size of a model's states and keys is its own, what MEMIT and AlphaEdit weigh
against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scr.editors.weights.architecture import Architecture
from scr.errors import EditError


@dataclass(frozen=True, slots=True)
class Layers:
    """Defaults for one model.

    Attributes:
        one: for ROME.
        several: for MEMIT and its kin.
        tuned: for fine-tuning one layer without a bound.
        weight: MEMIT's λ. Of a residual, one layer inserts the share t / (t + λ), with t = kᵀ E[k kᵀ]⁻¹ k of the edit's
            key, which for usual keys is as many as a key has numbers, on average.
        ridge: AlphaEdit's α. Of a residual, one layer inserts the share s / (s + α), with s the squared norm of the
            edit's key within the null space.
        bounded: for fine-tuning one layer within a bound.
        bound: ε, most that any number may change there.
        rate: learning rate of MEMIT's and AlphaEdit's targets. A component of a state moves by about this in a step,
            so it has to be of a size with the states.
    """

    one: int
    several: tuple[int, ...]
    tuned: int
    weight: float
    ridge: float = 10.0
    rate: float = 0.5
    bounded: int = 0
    bound: float = 5e-4


# By number of blocks, width of the residual stream and width of a key. What is published is from the settings that the
# authors of ROME, MEMIT and AlphaEdit give; fine-tuning is from ROME's hparams/FT, *_unconstr.json and *_constr.json
# (Meng et al. 2022), as two other projects carry them, Llama's `tuned` from EasyEdit's hparams/FT/llama3-8b.yaml (Zhang
# et al. 2024), which has no bound. Both models that are published with a bound have it at layer 0, so any other too.
# benchmarks/log.md has the sweeps, and what was not swept.
_KNOWN: dict[tuple[int, int, int], Layers] = {
    # Published: GPT-2 XL, GPT-J, Llama-3-8B.
    (48, 1600, 6400): Layers(one=17, several=(13, 14, 15, 16, 17), tuned=1, weight=20_000.0),
    (28, 4096, 16384): Layers(one=5, several=(3, 4, 5, 6, 7, 8), tuned=21, weight=15_000.0, bound=5e-5),
    (32, 4096, 14336): Layers(one=5, several=(4, 5, 6, 7, 8), tuned=21, weight=15_000.0, rate=0.1),
    # Measured: SmolLM2-135M. With 15,000 MEMIT leaves a quarter of the edits undone; s is 2 to 4.
    (30, 576, 1536): Layers(one=5, several=(4, 5, 6, 7, 8), tuned=20, weight=1_500.0, ridge=0.1),
}


def layers_of(architecture: Architecture) -> Layers:
    """The layers to edit, and what else depends on the model, where the user names none.

    For a model that is not known the layers lie at the depth that the papers use: ROME at 5 of 28 blocks (GPT-J) and 5
    of 32 (Llama), MEMIT and AlphaEdit at 3 to 8 of 28 and 4 to 8 of 32, fine-tuning at 21 of 32 or, within
    GPT-2 XL's bound, at 0. λ is GPT-J's in proportion to the width of a key, and thereby to t.
    """
    size = (architecture.layers, architecture.hidden, architecture.inner)
    if found := _KNOWN.get(size):
        return found
    last = architecture.layers - 1
    middle = min(last, round(architecture.layers * 5 / 28))
    end = min(last, max(round(architecture.layers * 8 / 30), middle))
    begin = max(0, min(end, round(architecture.layers * 4 / 30)))
    tuned = min(last, round(architecture.layers * 21 / 32))
    return Layers(middle, tuple(range(begin, end + 1)), tuned, weight=15_000 * architecture.inner / 16_384)


def chosen(given: Any, default: tuple[int, ...], architecture: Architecture) -> tuple[int, ...]:
    """The layers that were named, or the default ones.

    Raises:
        EditError: the model has not all of them.
    """
    return architecture.check(tuple(given) if given is not None else default)


def chosen_one(given: Any, default: int, architecture: Architecture) -> int:
    """The one layer that was named, or the default one.

    Raises:
        EditError: the model has it not, or several are named.
    """
    layers = chosen(given, (default,), architecture)
    if len(layers) > 1:
        raise EditError(
            f"this method edits one layer and {len(layers)} are named: name one, such as layers={layers[0]}"
        )
    return layers[0]
