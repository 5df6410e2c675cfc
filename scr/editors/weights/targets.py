"""Target optimisation: the vector that, standing in a hidden state's place, makes the model give an answer.

One function for ROME's v* (Meng et al. 2022, eq. 4) and MEMIT's z (Meng et al. 2023, eq. 16), which differ in
where the vector stands: the output of one MLP, or the residual stream after a block.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scr.editors.weights.hooks import changed, still
from scr.editors.weights.host import Host
from scr.editors.weights.layers import layers_of
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import Batch, answer_ids, batch_of, essence_of, rows_of
from scr.errors import EditError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """How the vector is sought.

    Attributes:
        steps: most passes of the model.
        rate: Adam's learning rate; None takes the model's default.
        decay: weight of ‖δ‖ / ‖start‖², which keeps the vector near where it began.
        clamp: most that ‖δ‖ may be, as a share of ‖start‖.
        divergence: weight of the KL divergence at the prompt of the subject's essence.
        enough: loss below which it stops.
    """

    steps: int = 25
    rate: float | None = None
    decay: float = 0.5
    clamp: float = 0.75
    divergence: float = 0.0625
    enough: float = 5e-2


@dataclass(frozen=True, slots=True)
class Target:
    """A vector that was found.

    Attributes:
        start: the state at the bare prompt [d].
        delta: what is added to it [d].
        loss: of the last step.
    """

    start: torch.Tensor
    delta: torch.Tensor
    loss: float

    @property
    def value(self) -> torch.Tensor:
        """The state that gives the answer [d]."""
        return self.start + self.delta


def optimise(
    host: Host, request: Request, module: str, prefixes: Sequence[str], config: TargetConfig, answer: str | None = None
) -> Target:
    """Find what the module must give at the subject's last token for the model to answer so.

    The loss is the mean negative log-likelihood of the answer over the contexts, with the divergence from the model's
    own answer to "SUBJECT is a" and the norm of the change as penalties.

    What stands before the subject's last token cannot depend on the vector, so it is computed once.

    Args:
        host: the model.
        request: the edit.
        module: whose output is replaced.
        prefixes: contexts before the prompt; the first must be empty.
        config: how it is sought.
        answer: what the model shall say; None is the request's target.

    Raises:
        EditError: it came out as not-a-number.
    """
    import torch

    objective = _Objective.of(host, request, prefixes, answer or request.target)
    with still(host.network):
        start = host.states(rows_of(host.tokenizer, request, prefixes[:1]), [module])[module][1][0]
        delta = torch.zeros_like(start, requires_grad=True)
        adam = torch.optim.Adam([delta], lr=rate_of(host, config))
        norm, own = start.norm(), objective.essence(host)
        for step in range(config.steps):
            surprise, essence = objective.of_delta(host, module, delta)
            gap = torch.nn.functional.kl_div(own, essence, log_target=True, reduction="sum")
            loss = surprise + config.divergence * gap + config.decay * delta.norm() / norm**2
            if not torch.isfinite(loss):
                raise EditError(f"no target was found for {request.prompt[:60]!r}: lower the learning rate")
            if loss < config.enough or step == config.steps - 1:
                break
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                delta.mul_((config.clamp * norm / delta.norm()).clamp(max=1))
    return Target(start, delta.detach(), float(loss.detach()))


def rate_of(host: Host, config: TargetConfig) -> float:
    """The learning rate that is set, or the model's default."""
    return layers_of(host.architecture).rate if config.rate is None else config.rate


@dataclass(frozen=True, slots=True)
class _Objective:
    """The prompts of one edit as a batch, those of the answer first and that of the essence last.

    Attributes:
        batch: all rows, which end together.
        answer: the answer's tokens [t].
        begin: the first column that a change at the subject can reach.
        past: the model's cache for the columns before.
    """

    batch: Batch
    answer: torch.Tensor
    begin: int
    past: Any

    @classmethod
    def of(cls, host: Host, request: Request, prefixes: Sequence[str], answer: str) -> _Objective:
        import torch

        ids = answer_ids(host.tokenizer, request.prompt, answer)
        rows = [row.then(ids[:-1]) for row in rows_of(host.tokenizer, request, prefixes)]
        batch = batch_of([*rows, essence_of(host.tokenizer, request)], host.pad, host.device)
        begin, past = int(batch.subject.min()), None
        if begin:
            with torch.no_grad():
                before = {name: tensor[:, :begin] for name, tensor in batch.inputs().items()}
                past = host.network(**before, use_cache=True, logits_to_keep=1).past_key_values
        return cls(batch, torch.tensor(ids, device=host.device), begin, past)

    def essence(self, host: Host) -> torch.Tensor:
        """Log-probabilities of the model's own at the prompt of the essence [vocabulary]."""
        import torch

        with torch.no_grad():
            return self._logits(host)[-1, -1].log_softmax(0)

    def of_delta(self, host: Host, module: str, delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Surprise at the answer [], and log-probabilities at the essence, with the vector added."""
        where = self.batch.subject - self.begin

        def add(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[range(len(where)), where] += delta.to(output.dtype)
            return output

        with changed(host.network, {module: add}):
            logits = self._logits(host)
        said = logits[:-1].log_softmax(2)
        wanted = self.answer.expand(len(said), -1).unsqueeze(2)
        return -said.gather(2, wanted).mean(), logits[-1, -1].log_softmax(0)

    def _logits(self, host: Host) -> torch.Tensor:
        """At the columns that predict the answer [rows, t, vocabulary]."""
        last = len(self.answer)
        # A pass extends the cache that it is given.
        past = copy.deepcopy(self.past)
        given = self.batch.inputs(self.begin)
        output = host.network(**given, past_key_values=past, use_cache=past is not None, logits_to_keep=last)
        logits: torch.Tensor = output.logits[:, -last:].float()
        return logits
