"""Target optimisation: the vector that, standing in a hidden state's place, makes the model give an answer.

One function for ROME's v* (Meng et al. 2022, eq. 4) and MEMIT's z (Meng et al. 2023, eq. 16), which differ in
where the vector stands: the output of one MLP, or the residual stream after a block.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from scr import progress
from scr.editors.weights.hooks import changed, once, still
from scr.editors.weights.host import Host
from scr.editors.weights.layers import layers_of
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import Batch, Row, answer_ids, batch_of, essence_of, rows_of
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

TOGETHER = 128
"""Most tokens that edits which share a pass may have from their subjects on; memory grows with it."""


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
        arithmetic: the model's own, or that of a copy in bfloat16: targets that give the answer as well, in about
            half the time where the processor multiplies such numbers, and half a float32 model's memory again.
    """

    steps: int = 25
    rate: float | None = None
    decay: float = 0.5
    clamp: float = 0.75
    divergence: float = 0.0625
    enough: float = 5e-2
    arithmetic: Literal["own", "bfloat16"] = "own"


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
    host: Host,
    requests: Sequence[Request],
    module: str,
    prefixes: Sequence[str],
    config: TargetConfig,
    answers: Sequence[str] | None = None,
) -> list[Target]:
    """Find what the module must give at each subject's last token for the model to answer so, each edit on its own.

    The loss is the mean negative log-likelihood of the answer over the contexts, with the divergence from the model's
    own answer to "SUBJECT is a" and the norm of the change as penalties.

    What stands before a subject's last token, and in blocks below the module, cannot depend on the vector, so it is
    computed once. Edits share passes of the model, as many as ``TOGETHER`` allows; none sees another.

    Args:
        host: the model.
        requests: the edits.
        module: whose output is replaced.
        prefixes: contexts before the prompts; the first must be empty.
        config: how it is sought.
        answers: what the model shall say to each; None are the requests' targets.

    Raises:
        EditError: one came out as not-a-number.
    """
    if answers is None:
        answers = [request.target for request in requests]
    edits = [_Edit.of(host, *pair, prefixes) for pair in zip(requests, answers, strict=True)]
    found: dict[int, Target] = {}
    with progress.bar("targets", len(edits) if len(edits) > 1 else None) as advance, still(host.network):
        quick = host if config.arithmetic == "own" else _lowered(host)
        for places in _together(edits):
            some = [edits[place] for place in places]
            start = host.states([edit.bare for edit in some], [module])[module][1]
            found |= zip(places, _sought(quick, some, start, module, config), strict=True)
            advance(len(places))
    return [found[place] for place in range(len(edits))]


def rate_of(host: Host, config: TargetConfig) -> float:
    """The learning rate that is set, or the model's default."""
    return layers_of(host.architecture).rate if config.rate is None else config.rate


@dataclass(frozen=True, slots=True)
class _Edit:
    """An edit in tokens.

    Attributes:
        request: as it was asked for.
        bare: the prompt alone.
        rows: the prompt after each context, with the answer but for its last token; then the essence.
        answer: the answer's tokens.
    """

    request: Request
    bare: Row
    rows: tuple[Row, ...]
    answer: tuple[int, ...]

    @classmethod
    def of(cls, host: Host, request: Request, answer: str, prefixes: Sequence[str]) -> _Edit:
        ids = answer_ids(host.tokenizer, request.prompt, answer)
        bare, *others = rows_of(host.tokenizer, request, prefixes)
        rows = [row.then(ids[:-1]) for row in (bare, *others)]
        return cls(request, bare, (*rows, essence_of(host.tokenizer, request)), tuple(ids))

    @property
    def tail(self) -> int:
        """Tokens of a row from the subject's last on, which each pass computes."""
        return max(len(row.ids) - row.subject for row in self.rows)


def _together(edits: Sequence[_Edit]) -> Iterator[list[int]]:
    """Places of edits that share passes: of similar length, within ``TOGETHER``."""
    places: list[int] = []
    for place in sorted(range(len(edits)), key=lambda place: edits[place].tail):
        if places and (len(places) + 1) * len(edits[place].rows) * edits[place].tail > TOGETHER:
            yield places
            places = []
        places.append(place)
    if places:
        yield places


def _lowered(host: Host) -> Host:
    """The model as it is now, its parameters in bfloat16; buffers, such as angles of positions, stay as they are."""
    import torch

    half = {
        id(one): torch.nn.Parameter(one.detach().to(torch.bfloat16), requires_grad=False)
        for one in host.network.parameters()
    }
    network = copy.deepcopy(host.network, half)
    network.set_attn_implementation("eager")  # torch's fused attention is slow backwards in bfloat16 on a processor
    return replace(host, network=network)


def _sought(host: Host, edits: Sequence[_Edit], start: torch.Tensor, module: str, config: TargetConfig) -> list[Target]:
    """Targets of edits that share passes, from the states at their bare prompts on [edits, d]."""
    import torch

    objective = _Objective.of(host, edits)
    delta = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=rate_of(host, config))  # each component by itself: edits do not meet
    norm = start.norm(dim=1)
    going, losses = torch.ones_like(norm, dtype=torch.bool), torch.zeros_like(norm)
    own: torch.Tensor | None = None
    with once(host.network, host.architecture.unreached(module)):
        for step in range(config.steps):
            surprise, essence = objective.of_delta(host, module, delta)
            own = essence.detach() if own is None else own  # the vector is zero as yet
            gap = torch.nn.functional.kl_div(own, essence, log_target=True, reduction="none").sum(1)
            loss = surprise + config.divergence * gap + config.decay * delta.norm(dim=1) / norm**2
            if not loss.isfinite().all():
                lost = edits[int(loss.isfinite().long().argmin())].request.prompt
                raise EditError(f"no target was found for {lost[:60]!r}: lower the learning rate")
            losses = torch.where(going, loss.detach(), losses)
            going &= losses >= config.enough
            if not going.any() or step == config.steps - 1:
                break
            adam.zero_grad()
            loss.sum().backward()
            before = delta.detach().clone()
            adam.step()
            with torch.no_grad():
                delta.mul_((config.clamp * norm / delta.norm(dim=1)).clamp(max=1)[:, None])
                delta[~going] = before[~going]
    return [Target(*one) for one in zip(start, delta.detach(), losses.tolist(), strict=True)]


@dataclass(frozen=True, slots=True)
class _Objective:
    """The rows of edits as a batch, edit by edit, in each the essence last.

    Attributes:
        batch: all rows, which end together.
        rows: of an edit.
        wanted: the answers' tokens, ending together [edits, t].
        counted: 1 / tokens of its answer where one stands, else 0 [edits, t].
        begin: the first column that a change at a subject can reach.
        past: the model's cache for the columns before.
    """

    batch: Batch
    rows: int
    wanted: torch.Tensor
    counted: torch.Tensor
    begin: int
    past: Any

    @classmethod
    def of(cls, host: Host, edits: Sequence[_Edit]) -> _Objective:

        batch = batch_of([row for edit in edits for row in edit.rows], host.pad, host.device)
        answers = batch_of([Row(edit.answer, 0) for edit in edits], host.pad, host.device)
        begin = int(batch.subject.min())
        counted = answers.mask / answers.mask.sum(1, keepdim=True)
        return cls(batch, len(edits[0].rows), answers.ids, counted, begin, host.past(batch, begin))

    def of_delta(self, host: Host, module: str, delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Surprise at the answers [edits], and log-probabilities at the essence, with the vectors added."""
        where = self.batch.subject - self.begin

        def add(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            output[range(len(where)), where] += delta.to(output.dtype).repeat_interleave(self.rows, 0)
            return output

        with changed(host.network, {module: add}):
            logits = self._logits(host)
        said = logits[:, :-1].log_softmax(3)
        wanted = self.wanted[:, None, :, None].expand(*said.shape[:3], 1)
        surprise = -(said.gather(3, wanted)[..., 0].mean(1) * self.counted).sum(1)
        return surprise, logits[:, -1, -1].log_softmax(1)

    def _logits(self, host: Host) -> torch.Tensor:
        """At the columns that predict the answers [edits, rows of each, t, vocabulary]."""
        edits, last = self.wanted.shape
        # A pass extends the cache that it is given.
        past = copy.deepcopy(self.past)
        given = self.batch.inputs(self.begin)
        output = host.network(**given, past_key_values=past, use_cache=past is not None, logits_to_keep=last)
        logits: torch.Tensor = output.logits[:, -last:].float()
        return logits.view(edits, self.rows, last, -1)
