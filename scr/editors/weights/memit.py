"""MEMIT, mass-editing memory in a transformer (Meng et al. 2023).

Many pairs of keys K₁ and values are inserted at once into several layers, at the least change of what each layer gives
for its usual keys K₀. The change of a layer is eq. 14,

    Δ = R K₁ᵀ (C₀ + K₁ K₁ᵀ)⁻¹,   C₀ = λ E[k kᵀ]  (eq. 15),

with R what the edits' values still lack at that layer (eq. 20). It solves the normal equations Δ (C₀ + K₁ K₁ᵀ) = R K₁ᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from scr.editors import Traits
from scr.editors.weights.algebra import Factor, solve
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.layers import chosen, layers_of
from scr.editors.weights.moments import MomentsConfig, moments
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.spread import Seek, contexts, refuse_bent, spread, target_of
from scr.editors.weights.targets import TargetConfig

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class MemitConfig:
    """Settings, as published for GPT-J; λ depends on the width of a model's keys.

    Attributes:
        layers: in ascending order; None takes the model's default.
        contexts: how many contexts of 10 tokens stand before the prompt.
        weight: λ, how much the usual keys weigh against one edit's; None takes the model's default.
        target: how z is sought.
        moments: where E[k kᵀ] is taken from.
    """

    layers: tuple[int, ...] | None = None
    contexts: int = 5
    weight: float | None = None
    target: TargetConfig = field(default_factory=TargetConfig)
    moments: MomentsConfig = field(default_factory=MomentsConfig)


class Memit(WeightEditor[MemitConfig]):
    """Inserts many edits at once into several layers."""

    traits: ClassVar[Traits] = Traits(
        "memit",
        "weights",
        "Meng et al. 2023, Mass-Editing Memory in a Transformer",
        needs=("subject", "statistics"),
        resumable=True,
    )
    settings: ClassVar[type] = MemitConfig

    def tensors(self) -> tuple[str, ...]:
        """The second matrices of the layers' MLPs."""
        return tuple(self.host.architecture.weight(layer) for layer in self._layers())

    def begin(self) -> Update:
        """Write the contexts and take E[k kᵀ], both of the unedited model."""
        layers, prefixes = self._layers(), contexts(self.host, self.config.contexts)
        refuse_bent(self.host, layers[-1])
        usual = {
            layer: self.factors(layer, moment)
            for layer, moment in moments(self.host, layers, self.config.moments).items()
        }
        weight = layers_of(self.host.architecture).weight if self.config.weight is None else self.config.weight

        def change(layer: int, keys: torch.Tensor, residuals: torch.Tensor) -> Delta:
            return memit_delta(usual[layer], keys, residuals, weight)

        def update(requests: Sequence[Request], patch: Patch) -> None:
            spread(self.host, requests, layers, prefixes, self._seek(prefixes), change, patch)

        return update

    def _seek(self, prefixes: Sequence[str]) -> Seek:
        return target_of(self.host, self._layers()[-1], prefixes, self.config.target)

    def _layers(self) -> tuple[int, ...]:
        architecture = self.host.architecture
        return chosen(self.config.layers, layers_of(architecture).several, architecture)


def memit_delta(usual: Factor, keys: torch.Tensor, residuals: torch.Tensor, weight: float) -> Delta:
    """The change of one layer (eq. 14), Δ = R K₁ᵀ (λ C + K₁ K₁ᵀ)⁻¹.

    With the factor of C at hand a few edits take a matrix of their own number, as
    (λ C + K₁ K₁ᵀ)⁻¹ K₁ = A (1 + K₁ᵀ A)⁻¹ with A = C⁻¹ K₁ / λ.

    Args:
        usual: of C = E[k kᵀ] [inner, inner].
        keys: K₁ [inner, edits].
        residuals: R [hidden, edits].
        weight: λ.
    """
    import torch

    inner, edits = keys.shape
    if edits > inner or not weight:
        return Delta.low_rank(residuals, solve(weight * usual.matrix() + keys @ keys.T, keys).T)
    alone = usual.solve(keys) / weight
    among = torch.eye(edits, dtype=alone.dtype, device=alone.device) + keys.T @ alone
    return Delta.low_rank(residuals, solve(among, alone.T))
