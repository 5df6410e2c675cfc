"""ROME, rank-one model editing (Meng et al. 2022, "Locating and Editing Factual Associations in GPT"), and R-ROME.

An MLP's second matrix W is read as a memory of keys and values. A new pair (k*, v*) is inserted at the least change of
what the memory gives for its usual keys K: minimise ‖ŴK − V‖ such that Ŵ k* = v*, whose solution is eq. 2,

    Ŵ = W + Λ (C⁻¹ k*)ᵀ,   Λ = (v* − W k*) / ((C⁻¹ k*)ᵀ k*),   C = E[k kᵀ].

The paper's k* is the mean key over contexts (eq. 3); v* is found by optimisation (eq. 4). The implementation that its
authors published averages the key in C⁻¹ k* alone and takes the bare prompt's in Λ. R-ROME (Gupta et al. 2024,
"Rebuilding ROME", section 4) averages both, which keeps long sequences of edits from collapsing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from scr.editors import Traits
from scr.editors.weights.algebra import Factor
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.layers import chosen_one, layers_of
from scr.editors.weights.moments import MomentsConfig, moments
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import rows_of
from scr.editors.weights.targets import TargetConfig, optimise


@dataclass(frozen=True, slots=True)
class RomeConfig:
    """Settings, as published for GPT-2 XL.

    Attributes:
        layers: the one layer; None takes the model's default.
        contexts: how many contexts of 5 tokens, and again of 10, stand before the prompt.
        covariance: whether C is used; without it C is the identity.
        target: how v* is sought.
        moments: where C is taken from.
    """

    layers: tuple[int, ...] | None = None
    contexts: int = 10
    covariance: bool = True
    target: TargetConfig = field(default_factory=lambda: TargetConfig(steps=20, rate=0.5, decay=0.5, clamp=4.0))
    moments: MomentsConfig = field(default_factory=MomentsConfig)


class Rome(WeightEditor[RomeConfig]):
    """Inserts one pair of key and value after another into one layer, as the published implementation does."""

    traits: ClassVar[Traits] = Traits(
        "rome",
        "weights",
        "Meng et al. 2022, Locating and Editing Factual Associations in GPT",
        needs=("subject", "statistics"),
        batch=False,
        resumable=True,
    )
    settings: ClassVar[type] = RomeConfig
    averaged: ClassVar[bool] = False

    def tensors(self) -> tuple[str, ...]:
        """The second matrix of one MLP."""
        return (self.host.architecture.weight(self._layer()),)

    def begin(self) -> Update:
        """Write the contexts and take C, both of the unedited model."""
        host, layer = self.host, self._layer()
        prefixes = self._prefixes()
        covariance = None
        if self.config.covariance:
            covariance = self.factors(layer, moments(host, [layer], self.config.moments)[layer])

        def update(requests: Sequence[Request], patch: Patch) -> None:
            for request in requests:
                self._insert(request, patch, prefixes, covariance)

        return update

    def _insert(self, request: Request, patch: Patch, prefixes: list[str], covariance: Factor | None) -> None:
        """One rank-one update (eq. 2)."""
        host, layer = self.host, self._layer()
        module = host.architecture.down(layer)
        keys, values = host.states(rows_of(host.tokenizer, request, prefixes), [module])[module]
        (target,) = optimise(host, [request], module, prefixes, self.config.target)
        mean, key, value = keys.double().mean(0), keys[0].double(), values[0].double()
        if self.averaged:
            # What a matrix (and its bias) gives for a mean of keys is the mean of what it gives for each.
            key, value = mean, values.double().mean(0)
        direction = mean if covariance is None else covariance.solve(mean[:, None])[:, 0]
        left = (target.value.double() - value) / (direction @ key)
        patch.add(patch.names[0], Delta.low_rank(left[:, None], direction[None, :]))

    def _prefixes(self) -> list[str]:
        """The empty context first, then those of the model's own."""
        count = self.config.contexts
        return ["", *(text for length in (5, 10) for text in self.host.prefixes(length, count))] if count else [""]

    def _layer(self) -> int:
        architecture = self.host.architecture
        return chosen_one(self.config.layers, layers_of(architecture).one, architecture)


class RRome(Rome):
    """ROME with the same averaged key throughout."""

    traits: ClassVar[Traits] = Traits(
        "r-rome",
        "weights",
        "Gupta et al. 2024, Rebuilding ROME: Resolving Model Collapse during Sequential Model Editing",
        needs=("subject", "statistics"),
        batch=False,
        resumable=True,
    )
    averaged: ClassVar[bool] = True
