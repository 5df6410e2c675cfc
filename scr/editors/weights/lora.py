"""LoRA, low-rank adaptation (Hu et al. 2022), through ``peft``.

A matrix becomes W + (α/r) B A (eq. 3), with B and A trained on the edits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from scr import progress
from scr.editors import Traits
from scr.editors.weights.architecture import is_transposed
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.ft import loss_of
from scr.editors.weights.hooks import still
from scr.editors.weights.layers import chosen
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.errors import EditError, MissingExtra

_SEED = 7
_ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Settings, as published for knowledge editing (Zhang et al. 2024), without dropout.

    Attributes:
        layers: in ascending order; None takes all.
        rank: r.
        alpha: α.
        steps: most passes over the edits.
        rate: Adam's learning rate.
        batch: edits in a step.
        enough: mean loss of a pass below which training stops.
    """

    layers: tuple[int, ...] | None = None
    rank: int = 8
    alpha: int = 32
    steps: int = 70
    rate: float = 5e-3
    batch: int = 8
    enough: float = 1e-2


class Lora(WeightEditor[LoraConfig]):
    """Trains low-rank changes of the attention's queries and values."""

    traits: ClassVar[Traits] = Traits(
        "lora",
        "weights",
        "Hu et al. 2022, LoRA: Low-Rank Adaptation of Large Language Models",
        needs=("training",),
        resumable=True,
    )
    settings: ClassVar[type] = LoraConfig

    def tensors(self) -> tuple[str, ...]:
        """The attention's input matrices of the layers."""
        architecture = self.host.architecture
        layers = chosen(self.config.layers, tuple(range(architecture.layers)), architecture)
        return tuple(f"{name}.weight" for layer in layers for name in architecture.projections(layer))

    def begin(self) -> Update:
        """Make sure that peft is there.

        Raises:
            MissingExtra: it is not.
        """
        try:
            import peft  # noqa: F401
        except ModuleNotFoundError:
            raise MissingExtra("editors", "the method lora") from None
        return self._update

    def _update(self, requests: Sequence[Request], patch: Patch) -> None:
        modules = [name.removesuffix(".weight") for name in self.tensors()]
        with self._adapted(modules) as (adapters, parameters):
            self._train(requests, parameters)
            deltas = {
                name: Delta.low_rank(
                    part.lora_B[_ADAPTER].weight.detach() * part.scaling[_ADAPTER],
                    part.lora_A[_ADAPTER].weight.detach(),
                )
                for name, part in adapters.items()
            }
        for name, delta in deltas.items():
            patch.add(f"{name}.weight", delta)

    def _train(self, requests: Sequence[Request], parameters: Sequence[Any]) -> None:
        import torch

        config = self.config
        adam = torch.optim.Adam(parameters, lr=config.rate)
        with progress.bar("fine-tuning", config.steps) as advance:
            for _ in range(config.steps):
                losses = []
                for begin in range(0, len(requests), config.batch):
                    loss: Any = loss_of(self.host, requests[begin : begin + config.batch], forced=True)
                    if not torch.isfinite(loss):
                        raise EditError("fine-tuning did not converge: lower the learning rate (rate)")
                    losses.append(float(loss.detach()))
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                advance(1)
                if max(losses) < config.enough:
                    break

    @contextmanager
    def _adapted(self, modules: Sequence[str]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """The model with adapters while this lasts; yields them by module, and what is to be trained."""
        import peft
        import torch

        network = self.host.network
        settings = peft.LoraConfig(
            r=self.config.rank,
            lora_alpha=self.config.alpha,
            target_modules=list(modules),
            fan_in_fan_out=is_transposed(network, modules[0]),
        )
        own = {name: network.get_submodule(name) for name in modules}
        with still(network):
            try:
                with torch.random.fork_rng():
                    torch.manual_seed(_SEED)
                    peft.inject_adapter_in_model(settings, network)
                adapters = {name: network.get_submodule(name) for name in modules}
                trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
                for parameter in trained:  # in float16 Adam's 1e-8 is 0, and A's first step, without a gradient, 0/0
                    parameter.data = parameter.data.float()
                yield adapters, trained
            finally:
                for name, module in own.items():
                    parent, _, child = name.rpartition(".")
                    setattr(network.get_submodule(parent), child, module)
                network.__dict__.pop("peft_config", None)
