"""The embedded engine: a Hugging Face model in this process."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.engines.drawing import Draw, Noise, Watch, held_back
from scr.engines.loading import load, quiet
from scr.engines.local import LocalEngine
from scr.engines.scoring import Scored
from scr.engines.tokens import PromptEncoder
from scr.errors import EngineError

BATCH_TOKENS = 16_384
"""Most tokens, padding and answers included, that one batch may come to; memory grows with it."""

BATCH_ROWS = 64
"""Most prompts in a batch."""

_LOGITS = 2**28
"""Most numbers that the logits of one forward pass may come to: 1 GiB in float32, and as much again beside them."""

_PASS = {"cpu": 20}
"""What a pass of the model costs beside its tokens, in tokens, by kind of device: mostly to read the weights."""

_PASS_ELSEWHERE = 500
"""The same on other devices, where a pass is dear and padding is not; an estimate, not measured."""

_WINDOW = 1024
"""How many prompts are sorted by length together."""

_ROUND = 32
"""Tokens generated before finished answers leave their batch; doubled each time."""


@dataclass(eq=False)
class _Row:
    """One prompt being answered: token ids so far."""

    place: int
    prompt: list[int]
    limit: int
    noise: Noise | None
    new: list[int] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.new

    @property
    def left(self) -> int:
        return self.limit - len(self.new)


class TransformersEngine(LocalEngine):
    """Answers with a model that this process holds.

    Greedy answers in float32 do not depend on what else is in the batch (up to rounding of about 1e-6 in a
    logit); drawn ones depend on their seed and prompt alone. The sampling defaults that some checkpoints carry,
    such as a repetition penalty, are ignored: :class:`scr.engines.Sampling` says everything.
    """

    def __init__(self, network: Any, tokenizer: Any, name: str, batch_tokens: int = BATCH_TOKENS) -> None:
        """Take a causal language model of ``transformers`` and its tokenizer; ``name`` is how results call it."""
        super().__init__(name, PromptEncoder(tokenizer, name, getattr(network.config, "max_position_embeddings", None)))
        self._network, self._tokenizer, self._batch_tokens = network, tokenizer, batch_tokens
        given = network.generation_config
        ends = given.eos_token_id if isinstance(given.eos_token_id, list) else [given.eos_token_id]
        self._ends = sorted({end for end in [*ends, tokenizer.eos_token_id] if end is not None})
        self._pad = next(pad for pad in (tokenizer.pad_token_id, given.pad_token_id, *self._ends, 0) if pad is not None)
        self._lock = threading.Lock()
        if (head := network.get_output_embeddings()) is not None:
            head.register_forward_pre_hook(_contiguous)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> TransformersEngine:
        """Load a model: a folder, a hub id, or (None) SmolLM2-135M-Instruct, which comes with scr.

        Args:
            model: what to load.
            device: such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.
            dtype: such as ``bfloat16``; None takes float32 on a CPU, the checkpoint's own type elsewhere.
            batch_tokens: most tokens that one batch may come to.

        Raises:
            ModelNotFound: there is no such model.
            EngineError: it cannot be loaded.
            AssetError: the model that comes with scr could not be fetched.
            MissingExtra: torch or transformers is not installed.
        """
        return cls(*load(model, device, dtype), batch_tokens=batch_tokens)

    @property
    def network(self) -> Any:
        """The ``transformers`` model itself."""
        return self._network

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self._tokenizer

    def generate_each(
        self, prompts: Iterable[Prompt], sampling: Sampling
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Answer prompts in batches of similar length, yielding each as its answer ends."""
        numbered = enumerate(prompts)
        while window := list(islice(numbered, _WINDOW)):
            rows = []
            for place, prompt in window:
                try:
                    rows.append(self._row(place, prompt, sampling))
                except EngineError as error:
                    yield place, error
            yield from self._rounds(rows, sampling)

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        """Answer one prompt piece by piece; leaving the iterator stops the model.

        Raises:
            EngineError: the prompt cannot be answered.
        """
        row = self._row(0, prompt, sampling)
        arrived: SimpleQueue[list[int] | Completion | BaseException] = SimpleQueue()
        stopped = threading.Event()

        def seen(ids: list[int]) -> bool:
            arrived.put(ids)
            return stopped.is_set()

        def work() -> None:
            try:
                self._extend([row], row.left, sampling, seen)
                arrived.put(self._completion(row, sampling) or EngineError("the answer was left"))
            except BaseException as error:  # handed to the thread that reads
                arrived.put(error)

        thread = threading.Thread(target=work, name="scr-stream", daemon=True)
        thread.start()
        shown = ""
        try:
            while isinstance(item := arrived.get(), list):
                text = held_back(self._text(item), sampling.stop)
                if text.startswith(shown) and len(text) > len(shown):
                    yield text[len(shown) :]
                    shown = text
            if isinstance(item, BaseException):
                raise item
            if len(item.text) > len(shown):
                yield item.text[len(shown) :]
        finally:
            stopped.set()
            thread.join()

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See :meth:`scr.engines.scoring.Scorer.score`; one forward pass a batch."""
        rows = []
        for place, (prompt, target) in enumerate(pairs):
            ids, rest = self._encoder.continued(prompt, target)
            rows.append(_Row(place, ids, len(rest), None, rest))
        done: dict[int, Scored] = {}
        for batch in self._batches(rows, 0):
            span = max(len(row.new) for row in batch)
            step = max(_LOGITS // (span * self._network.config.get_text_config().vocab_size), 1)
            for start in range(0, len(batch), step):
                some = batch[start : start + step]
                done.update(zip((row.place for row in some), self._scored(some), strict=True))
        return [done[place] for place in range(len(rows))]

    def close(self) -> None:
        """Let go of the model; its memory is free once nobody else holds it."""
        self._network = None

    def _row(self, place: int, prompt: Prompt, sampling: Sampling) -> _Row:
        ids = self._encoder.encode(prompt)
        noise = Noise(sampling.seed) if sampling.temperature > 0 else None
        return _Row(place, ids, self._encoder.room(ids, sampling.max_tokens), noise)

    def _rounds(self, rows: list[_Row], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        """Generate in rounds, so that a batch does not wait for its longest answer."""
        steps = _ROUND
        while rows:
            waiting = []
            for batch in self._batches(rows, steps):
                try:
                    self._extend(batch, batch[0].limit if len(batch) == 1 else steps, sampling)
                except EngineError as error:
                    yield from ((row.place, error) for row in batch)
                    continue
                for row in batch:
                    if completion := self._completion(row, sampling):
                        yield row.place, completion
                    else:
                        waiting.append(row)
            rows, steps = waiting, steps * 2

    def _batches(self, rows: list[_Row], steps: int) -> Iterator[list[_Row]]:
        """Rows of similar length together, so that padding and passes cost least, each batch within the bounds."""
        # The longest first: memory that runs out does so at once.
        rows = sorted(rows, key=lambda row: len(row.ids), reverse=True)
        passes = max(min(steps, max((row.left for row in rows), default=0)), 1)
        each = passes * _PASS.get(self._network.device.type, _PASS_ELSEWHERE)
        # By place: the least cost of the rows from it on, and where the batch that begins there ends.
        best = [(0, len(rows))] * (len(rows) + 1)
        for start in range(len(rows) - 1, -1, -1):
            longest = len(rows[start].ids)
            most = max(min(BATCH_ROWS, self._batch_tokens // (longest + steps or 1), len(rows) - start), 1)
            best[start] = min(
                (longest * count + each + best[start + count][0], start + count) for count in range(1, most + 1)
            )
        start = 0
        while start < len(rows):
            first, start = start, best[start][1]
            yield rows[first:start]

    def _extend(
        self, rows: list[_Row], steps: int, sampling: Sampling, seen: Callable[[list[int]], bool] | None = None
    ) -> None:
        """Let the model go on with each row for a number of tokens, or to its end."""
        ids, mask = self._padded([row.ids for row in rows])
        width = ids.shape[1]
        watch = Watch(self._tokenizer, sampling.stop, [len(row.new) for row in rows], width, seen)
        noises = [row.noise for row in rows if row.noise]
        with self._computing(rows), self._configured(min(steps, max(row.left for row in rows))):
            output = self._network.generate(
                input_ids=ids,
                attention_mask=mask,
                logits_processor=[Draw(noises, sampling.temperature)] if noises else [],
                stopping_criteria=[watch],
            )
        for row, new in zip(rows, output[:, width:].tolist(), strict=True):
            row.new += new[: row.left]

    def _scored(self, rows: list[_Row]) -> list[Scored]:
        """What the model makes of each row's new tokens, padded on the left as in generation.

        A target's last token is not read, only looked for: a prompt with several targets of one token is read once.
        """
        places: dict[tuple[int, ...], int] = {}
        place = [places.setdefault(tuple(row.ids[:-1]), len(places)) for row in rows]
        ids, mask = self._padded(list(places))
        span = max(len(row.new) for row in rows)
        accepted = inspect.signature(self._network.forward).parameters
        options: dict[str, Any] = {"position_ids": (mask.cumsum(-1) - 1).clamp(min=0), "logits_to_keep": span}
        options = {name: value for name, value in options.items() if name in accepted}
        with self._computing(rows):
            output = self._network(input_ids=ids, attention_mask=mask, use_cache=False, **options)
            said = output.logits[:, -span:].float().log_softmax(-1)
            return [_held(said[place[number], -len(row.new) :], row.new) for number, row in enumerate(rows)]

    def _padded(self, texts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Token ids padded on the left, and the mask of what is no padding; both (texts, longest), on the device."""
        import torch

        width = max(len(text) for text in texts)
        ids = torch.full((len(texts), width), self._pad)
        mask = torch.zeros((len(texts), width), dtype=torch.long)
        for number, text in enumerate(texts):
            ids[number, width - len(text) :] = torch.tensor(text)
            mask[number, width - len(text) :] = 1
        return ids.to(self._network.device), mask.to(self._network.device)

    @contextmanager
    def _computing(self, rows: list[_Row]) -> Iterator[None]:
        """The model for this thread alone, and words for memory that runs out."""
        import torch

        try:
            with self._lock, quiet(), torch.inference_mode():
                yield
        except torch.OutOfMemoryError as error:
            width = max(len(row.ids) for row in rows)
            raise EngineError(
                f"{self._name} ran out of memory on {len(rows)} prompts of {width:,} tokens: "
                "lower batch_tokens, or shorten them"
            ) from error

    @contextmanager
    def _configured(self, steps: int) -> Iterator[None]:
        """The model with settings for greedy generation instead of the checkpoint's own (drawing is Draw's).

        Given to ``generate`` they would be mixed with the checkpoint's, by rules that change with the version.
        """
        from transformers import GenerationConfig

        own = self._network.generation_config
        self._network.generation_config = GenerationConfig(
            max_new_tokens=steps, do_sample=False, use_cache=True, eos_token_id=self._ends, pad_token_id=self._pad
        )
        try:
            yield
        finally:
            self._network.generation_config = own

    def _completion(self, row: _Row, sampling: Sampling) -> Completion | None:
        """The row's answer if it has ended."""
        end = next((at for at, token in enumerate(row.new) if token in self._ends or token == self._pad), None)
        ids = row.new if end is None else row.new[:end]
        text = self._text(ids)
        stops = [at for stop in sampling.stop if (at := text.find(stop)) >= 0]
        if stops:
            return Completion(text[: min(stops)], "stop", len(row.prompt), len(ids))
        if end is not None:
            return Completion(text, "stop", len(row.prompt), len(ids) + 1)
        if row.left:
            return None
        # The bound may have cut a character of several tokens in two.
        return Completion(text.rstrip("\ufffd"), "length", len(row.prompt), len(ids))

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text


def _held(said: Any, target: Sequence[int]) -> Scored:
    """The target's own among the log-probabilities [tokens, vocabulary]."""
    own = said[range(len(target)), target].tolist()
    greedy = [token == likeliest for token, likeliest in zip(target, said.argmax(-1).tolist(), strict=True)]
    return Scored(tuple(own), tuple(greedy))


def _contiguous(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The head's states in one piece: torch multiplies a slice of them row by row, which is several times as slow."""
    return (inputs[0].contiguous(), *inputs[1:])
