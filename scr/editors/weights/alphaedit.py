"""AlphaEdit, null-space constrained knowledge editing (Fang et al. 2025).

The change of a layer is kept within the null space of the keys K₀ of what is to be preserved. With U the eigenvectors
of K₀ K₀ᵀ whose eigenvalues are near zero, P = U Uᵀ projects onto it (eq. 8 and 9), so that ΔP K₀ ≈ 0. Keys K_p of
earlier edits are kept too. The change is

    Δ = R K₁ᵀ P (K_p K_pᵀ P + K₁ K₁ᵀ P + α I)⁻¹    (eq. 14; α = 1 in the paper, 10 in its implementation),

which lies in the span of U. With M = K_p K_pᵀ + K₁ K₁ᵀ it equals R K₁ᵀ U (Uᵀ M U + α I)⁻¹ Uᵀ, the form solved here: it
is symmetric, smaller, and exactly in the null space. Targets and layers are MEMIT's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from scr.assets import cache_folder
from scr.editors import Traits
from scr.editors.weights import cached
from scr.editors.weights.algebra import OfMoments, digest, null_space, solve
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.layers import chosen, layers_of
from scr.editors.weights.moments import MomentsConfig, moments
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.spread import contexts, keys_of, refuse_bent, spread, target_of
from scr.editors.weights.targets import TargetConfig
from scr.engines import Engine
from scr.errors import EditError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class AlphaEditConfig:
    """Settings, as published; α depends on the size of a model's keys.

    Attributes:
        layers: in ascending order; None takes the model's default.
        contexts: how many contexts of 10 tokens stand before the prompt.
        threshold: eigenvalues of E[k kᵀ] below it count as zero.
        ridge: α, how much a small change is preferred; None takes the model's default, 10 if it is not known.
        target: how z is sought.
        moments: where E[k kᵀ] is taken from.
    """

    layers: tuple[int, ...] | None = None
    contexts: int = 5
    threshold: float = 2e-2
    ridge: float | None = None
    target: TargetConfig = field(default_factory=TargetConfig)
    moments: MomentsConfig = field(default_factory=MomentsConfig)


class AlphaEdit(WeightEditor[AlphaEditConfig]):
    """Inserts edits where the model's usual keys do not reach, one batch after another."""

    traits: ClassVar[Traits] = Traits(
        "alphaedit",
        "weights",
        "Fang et al. 2025, AlphaEdit: Null-Space Constrained Knowledge Editing for Language Models",
        needs=("subject", "statistics"),
    )
    settings: ClassVar[type] = AlphaEditConfig

    def __init__(self, engine: Engine, config: AlphaEditConfig | None = None) -> None:
        """See :class:`WeightEditor`."""
        super().__init__(engine, config)
        self._bases = OfMoments(partial(free_directions, threshold=self.config.threshold))

    def tensors(self) -> tuple[str, ...]:
        """The second matrices of the layers' MLPs."""
        return tuple(self.host.architecture.weight(layer) for layer in self._layers())

    def begin(self) -> Update:
        """Write the contexts and find the null spaces, both of the unedited model; no keys are kept yet."""
        layers, prefixes = self._layers(), contexts(self.host, self.config.contexts)
        refuse_bent(self.host, layers[-1])
        free = {
            layer: self._null_space(layer, moment)
            for layer, moment in moments(self.host, layers, self.config.moments).items()
        }
        kept: dict[int, torch.Tensor] = {}
        ridge = layers_of(self.host.architecture).ridge if self.config.ridge is None else self.config.ridge

        def change(layer: int, keys: torch.Tensor, residuals: torch.Tensor) -> Delta:
            return alphaedit_delta(free[layer], kept.get(layer), keys, residuals, ridge)

        def update(requests: Sequence[Request], patch: Patch) -> None:
            seek = target_of(self.host, layers[-1], prefixes, self.config.target)
            spread(self.host, requests, layers, prefixes, seek, change, patch)
            new = {layer: keys_of(self.host, requests, layer, prefixes) for layer in layers}
            # At once: an update that is cut short keeps the keys of no layer.
            kept.update({layer: joined(kept.get(layer), keys) for layer, keys in new.items()})

        return update

    def _null_space(self, layer: int, moment: torch.Tensor) -> torch.Tensor:
        basis = self._bases(layer, moment)
        if not basis.shape[1]:
            raise EditError(
                f"the usual keys of layer {layer} leave no direction free below {self.config.threshold:g}: "
                "raise the threshold, or choose other layers"
            )
        return basis

    def _layers(self) -> tuple[int, ...]:
        architecture = self.host.architecture
        return chosen(self.config.layers, layers_of(architecture).several, architecture)


def free_directions(moment: torch.Tensor, threshold: float) -> torch.Tensor:
    """The null space of a moment, see :func:`null_space`, from the cache: a layer of thousands takes minutes.

    Raises:
        StoreError: the cache cannot be written or read.
    """
    folder = cache_folder() / "null-spaces"
    path = folder / f"{digest(moment)}-{moment.dtype}-{threshold!r}.safetensors"
    with cached.writing(folder):
        if not path.is_file():
            cached.save(path, {"basis": null_space(moment, threshold)})
    return cached.load(path)[0]["basis"].to(moment.device)


def joined(kept: torch.Tensor | None, keys: torch.Tensor) -> torch.Tensor:
    """Keys of earlier edits and of new ones, [inner, at most inner], of the same K Kᵀ as all of them."""
    import torch

    every = keys if kept is None else torch.cat([kept, keys], 1)
    return every if every.shape[1] <= len(every) else torch.linalg.qr(every.T, mode="r").R.T


def alphaedit_delta(
    basis: torch.Tensor, kept: torch.Tensor | None, keys: torch.Tensor, residuals: torch.Tensor, ridge: float
) -> Delta:
    """The change of one layer (eq. 14).

    With A = Uᵀ [K_p K₁] what is inverted is A Aᵀ + α, and (A Aᵀ + α)⁻¹ A = A (Aᵀ A + α)⁻¹: the smaller of the two is
    solved.

    Args:
        basis: U, of the null space of the preserved keys [inner, r].
        kept: K_p of earlier edits [inner, m]; None before the first.
        keys: K₁ [inner, edits].
        residuals: R [hidden, edits].
        ridge: α.
    """
    import torch

    every = basis.T @ (keys if kept is None else torch.cat([kept, keys], 1))
    free, count = every.shape
    new = slice(count - keys.shape[1], count)
    if count > free or not ridge:
        inside = solve(every @ every.T + ridge * _unit(every, free), every[:, new])
    else:
        inside = every @ solve(every.T @ every + ridge * _unit(every, count), _unit(every, count)[:, new])
    return Delta.low_rank(residuals, (basis @ inside).T)


def _unit(like: torch.Tensor, size: int) -> torch.Tensor:
    import torch

    return torch.eye(size, dtype=like.dtype, device=like.device)
