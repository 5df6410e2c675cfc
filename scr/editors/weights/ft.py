"""Fine-tuning one layer: FT-L (Zhu et al. 2020, as compared with in Meng et al. 2022) and FT-M (Zhang et al. 2024).

The second matrix of one MLP is trained with Adam on the edits.

- FT-L keeps every number of the change within ±ε (Zhu et al. 2020, eq. 2, with the largest entry as norm) and
  raises the probability of all of the target's tokens at the prompt's last token, as the implementation of Meng et al.
  does: of a target of several tokens it learns no order.
- FT-M minimises the cross-entropy of the target's tokens, each after those before it, and of no other tokens ("A
  Comprehensive Study of Knowledge Editing for Large Language Models"), without a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from scr import progress
from scr.editors import Traits
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.hooks import changed, still
from scr.editors.weights.host import Host
from scr.editors.weights.layers import chosen_one, layers_of
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import answer_ids, batch_of, row_of
from scr.errors import EditError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class FtConfig:
    """Settings, as published for both.

    Attributes:
        layers: the one layer; None takes the model's default.
        steps: most passes over the edits.
        rate: Adam's learning rate.
        bound: ε, most that any number of the matrix may change; None for none with FT-M, and with FT-L for the model's
            default.
        batch: edits in a step.
        enough: mean loss of a pass below which training stops.
    """

    layers: tuple[int, ...] | None = None
    steps: int = 25
    rate: float = 5e-4
    bound: float | None = None
    batch: int = 8
    enough: float = 1e-2


class FtM(WeightEditor[FtConfig]):
    """Trains one matrix on the targets."""

    traits: ClassVar[Traits] = Traits(
        "ft-m",
        "weights",
        "Zhang et al. 2024, A Comprehensive Study of Knowledge Editing for Large Language Models",
        needs=("training",),
        resumable=True,
    )
    settings: ClassVar[type] = FtConfig
    forced: ClassVar[bool] = True

    def tensors(self) -> tuple[str, ...]:
        """The second matrix of one MLP."""
        return (self.host.architecture.weight(self._layer()),)

    def begin(self) -> Update:
        """Nothing is needed beforehand."""
        return self._update

    def _update(self, requests: Sequence[Request], patch: Patch) -> None:
        import torch

        host, config = self.host, self.config
        module, before = host.architecture.down(self._layer()), patch.deltas.get(patch.names[0])
        earlier = torch.zeros_like(patch.matrix(patch.names[0]), dtype=torch.float32)
        if before is not None:
            earlier = before.matrix().float()
        delta = torch.zeros_like(earlier).contiguous().requires_grad_()
        adam = torch.optim.Adam([delta], lr=config.rate)

        def trained(inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            return output + (inputs.float() @ delta.T).to(output.dtype)

        shown = progress.bar("fine-tuning", config.steps)
        with shown as advance, still(host.network), changed(host.network, {module: trained}):
            for _ in range(config.steps):
                losses = []
                for begin in range(0, len(requests), config.batch):
                    batch = requests[begin : begin + config.batch]
                    loss: Any = loss_of(host, batch, forced=self.forced)
                    if not torch.isfinite(loss):
                        raise EditError("fine-tuning did not converge: lower the learning rate (rate)")
                    losses.append(float(loss.detach()))
                    if losses[-1] < config.enough:
                        continue
                    adam.zero_grad()
                    loss.backward()
                    adam.step()
                    self._bound(delta, earlier)
                advance(1)
                if max(losses) < config.enough:
                    break
        patch.add(patch.names[0], Delta.full(delta))

    def _bound(self, delta: torch.Tensor, earlier: torch.Tensor) -> None:
        """Keep all that was changed since the unedited model within the bound."""
        import torch

        bound = self._limit()
        if bound is not None:
            with torch.no_grad():
                delta.copy_((delta + earlier).clamp(-bound, bound) - earlier)

    def _limit(self) -> float | None:
        return self.config.bound

    def _layer(self) -> int:
        architecture = self.host.architecture
        return chosen_one(self.config.layers, layers_of(architecture).tuned, architecture)


class FtL(FtM):
    """Trains one matrix within a bound, on the answer's tokens at the prompt's last token."""

    traits: ClassVar[Traits] = Traits(
        "ft-l",
        "weights",
        "Zhu et al. 2020, Modifying Memories in Transformer Models",
        needs=("training",),
        resumable=True,
    )
    forced: ClassVar[bool] = False

    def _limit(self) -> float:
        default = layers_of(self.host.architecture).bound
        return default if self.config.bound is None else self.config.bound

    def _layer(self) -> int:
        architecture = self.host.architecture
        return chosen_one(self.config.layers, layers_of(architecture).bounded, architecture)


def loss_of(host: Host, requests: Sequence[Request], *, forced: bool) -> torch.Tensor:
    """Mean negative log-likelihood of the targets' tokens, with gradients.

    Args:
        host: the model.
        requests: one batch.
        forced: whether each token is predicted after those before it; else all are at the prompt's last token.
    """
    import torch

    prompts = [row_of(host.tokenizer, request.prompt) for request in requests]
    answers = [answer_ids(host.tokenizer, request.prompt, request.target) for request in requests]
    rows = [row.then(ids[:-1]) if forced else row for row, ids in zip(prompts, answers, strict=True)]
    last = max(len(ids) for ids in answers) if forced else 1
    batch = batch_of(rows, host.pad, host.device)
    said = host.network(**batch.inputs(), use_cache=False, logits_to_keep=last).logits[:, -last:].float().log_softmax(2)
    parts = [
        (line[-len(ids) :] if forced else line.expand(len(ids), -1))
        .gather(1, torch.tensor(ids, device=line.device)[:, None])
        .mean()
        for line, ids in zip(said, answers, strict=True)
    ]
    return -torch.stack(parts).mean()
