"""KN, knowledge neurons (Dai et al. 2022, "Knowledge Neurons in Pretrained Transformers").

A neuron is one component of a key. How much it says an answer is measured by integrated gradients (eq. 4), here by
the Riemann sum (eq. 5): with w̄ the neuron's value at the prompt and P(ŵ) the answer's probability with the value ŵ in
its place,

    Attr(w) = (w̄ / m) Σ_{k=1..m} ∂P(k w̄ / m) / ∂w.

As in the authors' implementation the neurons of a layer are scaled together.

Neurons with more than a share t of the greatest attribution are a prompt's; those of more than a share p of the prompts
are the fact's (section 3.3). To update the fact the neurons' values, columns of the MLP's second matrix, lose the old
answer's embedding and gain the new one's (section 5.1): −λ₁ e(old) + λ₂ e(new).

The paper measures BERT at the masked answer; here it is at the prompt's last token, where the answer is predicted, and
contexts of the model's own before the prompt stand for the paper's paraphrases.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from scr import progress
from scr.editors import Traits
from scr.editors.weights.architecture import oriented
from scr.editors.weights.delta import Delta
from scr.editors.weights.editor import Update, WeightEditor
from scr.editors.weights.hooks import Change, changed, first, seen, skipped, still
from scr.editors.weights.host import BATCH_TOKENS, Host
from scr.editors.weights.layers import chosen
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import Batch, Row, answer_ids, batch_of, row_of
from scr.editors.weights.spread import contexts
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

Neuron: TypeAlias = tuple[int, int]
"""Layer, and place within the key."""

ROWS = 160
"""Most rows of a pass: with more a processor is hardly faster, and memory grows with them."""


@dataclass(frozen=True, slots=True)
class KnConfig:
    """Settings, as published.

    Attributes:
        layers: in ascending order; None takes all.
        contexts: how many contexts of 10 tokens give further prompts.
        steps: m.
        threshold: t, the share of a prompt's greatest attribution.
        shared: p, the share of prompts that a neuron must belong to.
        erase: λ₁.
        write: λ₂.
    """

    layers: tuple[int, ...] | None = None
    contexts: int = 5
    steps: int = 20
    threshold: float = 0.2
    shared: float = 0.7
    erase: float = 1.0
    write: float = 8.0


class Kn(WeightEditor[KnConfig]):
    """Rewrites the values of the neurons that say the old answer."""

    traits: ClassVar[Traits] = Traits(
        "kn", "weights", "Dai et al. 2022, Knowledge Neurons in Pretrained Transformers", resumable=True
    )
    settings: ClassVar[type] = KnConfig

    def tensors(self) -> tuple[str, ...]:
        """The second matrices of the layers' MLPs."""
        return tuple(self.host.architecture.weight(layer) for layer in self._layers())

    def begin(self) -> Update:
        """Write the contexts, of the unedited model."""
        prefixes = contexts(self.host, self.config.contexts)

        def update(requests: Sequence[Request], patch: Patch) -> None:
            with progress.bar("knowledge neurons", len(requests)) as advance:
                for request in requests:
                    self._rewrite(request, prefixes, patch)
                    advance(1)

        return update

    def neurons(self, request: Request, prefixes: Sequence[str], answer: int) -> list[Neuron]:
        """The neurons of a fact (section 3.3).

        Where no neuron is shared by enough prompts, those shared by the most are taken.

        Raises:
            EditError: there is none at all.
        """
        import torch

        found = []
        for prefix in prefixes:
            scores = attributions(
                self.host,
                row_of(self.host.tokenizer, prefix + request.prompt),
                answer,
                self._layers(),
                self.config.steps,
            )
            found.append(scores > self.config.threshold * scores.max())
        counts = torch.stack(found).sum(0)
        if not bool(counts.any()):
            raise EditError(f"no neuron says anything of {request.prompt[:60]!r}: give the old answer, or other layers")
        least = min(self.config.shared * len(prefixes), float(counts.max()) - 0.5)
        return [(self._layers()[int(place)], int(index)) for place, index in (counts > least).nonzero()]

    def _rewrite(self, request: Request, prefixes: Sequence[str], patch: Patch) -> None:
        import torch

        host, config = self.host, self.config
        old, new = _first_token(host, request, request.old), _first_token(host, request, request.target)
        table = host.network.get_output_embeddings().weight.detach().double()
        change = config.write * table[new] - config.erase * table[old]
        by_layer: dict[int, list[int]] = {}
        for layer, index in self.neurons(request, prefixes, old):
            by_layer.setdefault(layer, []).append(index)
        for layer, indices in by_layer.items():
            chosen_ones = torch.zeros(len(indices), host.architecture.inner, dtype=change.dtype, device=change.device)
            chosen_ones[range(len(indices)), indices] = 1
            left = change[:, None].expand(-1, len(indices))
            patch.add(host.architecture.weight(layer), Delta.low_rank(left, chosen_ones))

    def _layers(self) -> tuple[int, ...]:
        architecture = self.host.architecture
        return chosen(self.config.layers, tuple(range(architecture.layers)), architecture)


def attributions(host: Host, row: Row, answer: int, layers: Sequence[int], steps: int) -> torch.Tensor:
    """How much each neuron says a token after a prompt (eq. 5), [layers, inner].

    A pass takes as many layers as ``ROWS`` allows, a row for each step of each, and begins with the first of them: what
    lies below, and what stands before the last token, is computed once.
    """
    import torch

    last, architecture = _Last.of(host, row), host.architecture
    modules = [architecture.down(layer) for layer in layers]
    blocks = [architecture.block(layer) for layer in range(architecture.layers)]
    with torch.no_grad():
        own = seen(host.network, [*blocks, *modules], lambda: last.logits(1))
    values = torch.stack([own.inputs[module][0, -1].float() for module in modules])
    shares = torch.arange(1, steps + 1, device=host.device)[:, None] / steps
    together = max(1, min(ROWS, BATCH_TOKENS // len(row.ids)) // steps)
    gradients = []
    with still(host.network):
        for start in range(0, len(layers), together):
            places = range(len(layers))[start : start + together]
            scaled = {modules[place]: (shares * values[place]).requires_grad_() for place in places}
            rows = len(scaled) * steps
            below = {block: _rows(own.whole[block], rows) for block in architecture.unreached(modules[start])}
            with skipped(host.network, below), _instead(host, scaled):
                total = last.logits(rows).softmax(1)[:, answer].sum()
            gradients += [gradient.mean(0) for gradient in torch.autograd.grad(total, list(scaled.values()))]
    return values * torch.stack(gradients)


@dataclass(frozen=True, slots=True)
class _Last:
    """A prompt's last token, after which the model is asked.

    Attributes:
        host: the model.
        batch: the prompt.
        past: the model's cache for the tokens before the last; None where there are none.
    """

    host: Host
    batch: Batch
    past: Any

    @classmethod
    def of(cls, host: Host, row: Row) -> _Last:
        batch = batch_of([row], host.pad, host.device)
        return cls(host, batch, host.past(batch, len(row.ids) - 1))

    def logits(self, rows: int) -> torch.Tensor:
        """Of so many rows, all of them this prompt [rows, vocabulary]."""
        past = copy.deepcopy(self.past)  # a pass extends the cache that it is given
        if past is not None:
            past.batch_repeat_interleave(rows)
        begin = self.batch.ids.shape[1] - 1
        given = {name: tensor.expand(rows, -1) for name, tensor in self.batch.inputs(begin).items()}
        output = self.host.network(**given, past_key_values=past, use_cache=past is not None, logits_to_keep=1)
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits


def _rows(output: Any, rows: int) -> Any:
    """What a module gave for one row, for so many."""
    states = first(output).expand(rows, -1, -1)
    return (states, *output[1:]) if isinstance(output, tuple) else states


@contextmanager
def scaled_neurons(host: Host, neurons: Sequence[Neuron], factor: float) -> Iterator[None]:
    """The model with neurons suppressed (factor 0) or amplified (factor 2) while this lasts (section 4.2)."""
    by_layer: dict[int, list[int]] = {}
    for layer, index in neurons:
        by_layer.setdefault(layer, []).append(index)

    def change_of(layer: int, indices: list[int]) -> object:
        columns = oriented(host.network, host.architecture.down(layer))[:, indices]

        def change(inputs: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            return output + (factor - 1) * (inputs[..., indices] @ columns.T)

        return change

    changes = {host.architecture.down(layer): change_of(layer, indices) for layer, indices in by_layer.items()}
    with changed(host.network, changes):  # type: ignore[arg-type]
        yield


@contextmanager
def _instead(host: Host, keys: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The model with other keys at the last token: of each module in rows of its own, in their order [rows, inner]."""

    def change_of(module: str, begin: int, end: int) -> Change:
        matrix, bias = oriented(host.network, module), getattr(host.network.get_submodule(module), "bias", None)

        def change(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
            new = keys[module].to(matrix.dtype) @ matrix.T
            output = output.clone()
            output[begin:end, -1] = new if bias is None else new + bias
            return output

        return change

    bounds = accumulate(map(len, keys.values()), initial=0)
    spans = [(module, begin, end) for module, (begin, end) in zip(keys, pairwise(bounds), strict=True)]
    with changed(host.network, {module: change_of(module, begin, end) for module, begin, end in spans}):
        yield


def _first_token(host: Host, request: Request, answer: str | None) -> int:
    """The first token of an answer; of the model's own where it is not given."""
    if answer is not None:
        return answer_ids(host.tokenizer, request.prompt, answer)[0]
    (logits,) = host.logits([row_of(host.tokenizer, request.prompt)])
    return int(logits[0, -1].argmax())
