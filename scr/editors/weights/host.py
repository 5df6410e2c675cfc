"""The model that is edited, with what editing needs to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from scr.editors.weights.architecture import Architecture
from scr.editors.weights.hooks import seen
from scr.editors.weights.sequences import Batch, Row, batch_of, batches
from scr.engines import Engine
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 4096
"""Most tokens of a pass that only looks; memory grows with it."""

OPENINGS = ("The", "Therefore", "Because", "I", "You")
"""How the contexts begin that stand before a prompt."""

_LIKELIEST = 5
_SEED = 7


@dataclass(eq=False)
class Host:
    """A causal language model in this process.

    Everything that was found out about the model is kept here, so that two models never share it.

    Attributes:
        network: the ``transformers`` model.
        tokenizer: its tokenizer.
        name: how results call it.
        architecture: where its parts are.
    """

    network: Any
    tokenizer: Any
    name: str
    architecture: Architecture
    _prefixes: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, engine: Engine) -> Host:
        """The model of an engine.

        Raises:
            EditError: it is not in this process, or of an unknown architecture.
        """
        network, tokenizer = getattr(engine, "network", None), getattr(engine, "tokenizer", None)
        if network is None or tokenizer is None:
            raise EditError(
                f"the weights of {engine.model} are out of reach: name a model folder with --model, "
                "and no server, so that it runs in this process"
            )
        return cls(network, tokenizer, engine.model, Architecture.of(network))

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.network.device

    @property
    def pad(self) -> int:
        """A token to pad with; it is masked, so any that the model has will do."""
        pad = int(self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0)
        return pad if pad < len(self.network.get_input_embeddings().weight) else 0

    def states(self, rows: Sequence[Row], modules: Sequence[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """What goes into and comes out of modules at each row's subject.

        Returns:
            by module, inputs and outputs in float32 on the model's device, each [rows, d].
        """
        import torch

        inputs: dict[str, list[torch.Tensor]] = {name: [] for name in modules}
        outputs: dict[str, list[torch.Tensor]] = {name: [] for name in modules}
        with torch.no_grad():
            for batch in batches(rows, self.pad, self.device, BATCH_TOKENS):
                trace = seen(self.network, modules, partial(self.network, **batch.inputs(), use_cache=False))
                for name in modules:
                    inputs[name].append(batch.at_subject(trace.inputs[name]).float())
                    outputs[name].append(batch.at_subject(trace.outputs[name]).float())
        return {name: (torch.cat(inputs[name]), torch.cat(outputs[name])) for name in modules}

    def logits(self, rows: Sequence[Row], last: int = 1) -> Iterator[torch.Tensor]:
        """The logits at the last so many tokens of each row, batch by batch: [rows of the batch, last, vocabulary]."""
        import torch

        for batch in batches(rows, self.pad, self.device, BATCH_TOKENS):
            with torch.no_grad():
                logits = self.network(**batch.inputs(), use_cache=False, logits_to_keep=last).logits
            yield logits[:, -last:].float()

    def past(self, batch: Batch, end: int) -> Any:
        """The model's cache for the columns before one, which a pass extends: copy it; None where there are none."""
        import torch

        if not end:
            return None
        before = {name: tensor[:, :end] for name, tensor in batch.inputs().items()}
        with torch.no_grad():
            return self.network(**before, use_cache=True, logits_to_keep=1).past_key_values

    def prefixes(self, length: int, count: int) -> list[str]:
        """Contexts in the model's own words, each ready to stand before a prompt; the same each time.

        They are written by the model as it was when first asked, so editors ask before they edit.

        Args:
            length: tokens that are drawn for each.
            count: how many, in equal parts for each of ``OPENINGS``.
        """
        if (length, count) not in self._prefixes:
            self._prefixes[length, count] = self._write(length, count)
        return self._prefixes[length, count]

    def _write(self, length: int, count: int) -> list[str]:
        """Draw texts, each token from the likeliest few."""
        import torch

        openings = [OPENINGS[number * len(OPENINGS) // count] for number in range(count)]
        ids = [tuple(self.tokenizer(text)["input_ids"]) for text in openings]
        barred = torch.tensor(sorted(set(self.tokenizer.all_special_ids)), dtype=torch.long)
        noise = torch.Generator().manual_seed(_SEED)
        for _ in range(length):
            batch = batch_of([Row(row, 0) for row in ids], self.pad, self.device)
            with torch.no_grad():
                logits = self.network(**batch.inputs(), use_cache=False, logits_to_keep=1).logits[:, -1].float().cpu()
            logits[:, barred[barred < logits.shape[1]]] = -torch.inf  # a tokenizer may know more than its model
            values, tokens = logits.topk(min(_LIKELIEST, logits.shape[1]))
            drawn = tokens.gather(1, torch.multinomial(values.softmax(1), 1, generator=noise))
            ids = [(*row, int(token)) for row, token in zip(ids, drawn, strict=True)]
        texts = [self.tokenizer.decode(row, skip_special_tokens=True) for row in ids]
        return [" ".join(text.replace("\ufffd", " ").split()) + ". " for text in texts]
