"""What happens at each generated token: drawing it, and seeing whether the answer ends there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Noise:
    """One prompt's own source of randomness, so that its draws do not depend on its neighbours in a batch."""

    def __init__(self, seed: int | None) -> None:
        """Start from a seed; None takes one from the operating system."""
        import torch

        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def gumbel(self, size: int) -> torch.Tensor:
        """Standard Gumbel noise, shape (size,)."""
        import torch

        return -torch.empty(size).exponential_(generator=self._generator).log()


class Draw:
    """A logits processor that turns the greedy choice into a draw.

    The largest of logits / temperature + Gumbel noise is a draw from their softmax (Gumbel 1954).
    """

    def __init__(self, noises: Sequence[Noise], temperature: float) -> None:
        """One source of noise per row of the batch."""
        self._noises, self._temperature = noises, temperature

    def __call__(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores of shape (rows, vocabulary), of which the caller takes each row's largest."""
        import torch

        noise = torch.stack([noise.gumbel(scores.shape[1]) for noise in self._noises])
        return scores.float() / self._temperature + noise.to(scores.device)


class Watch:
    """A stopping criterion: ends rows at their stop strings, and tells a reader what has been generated."""

    def __init__(
        self,
        tokenizer: Any,
        stops: Sequence[str],
        before: Sequence[int],
        width: int,
        seen: Callable[[list[int]], bool] | None,
    ) -> None:
        """Watch a batch.

        Args:
            tokenizer: decodes the answers.
            stops: strings that end an answer.
            before: how many tokens at the end of each row's prompt are already its answer.
            width: length of the prompts, padding included.
            seen: is given the first row's new tokens, and says whether to stop.
        """
        self._tokenizer, self._stops, self._before, self._width, self._seen = tokenizer, stops, before, width, seen
        # A character can take four tokens; the margin keeps what a decoder does to the first token out of it.
        self._tail = 4 * max(map(len, stops), default=0) + 8

    def __call__(self, input_ids: torch.Tensor, _: Any, **__: Any) -> torch.Tensor:
        """Whether each row is done, shape (rows,)."""
        import torch

        ended = [
            bool(self._stops) and self._hit(row, before) for row, before in zip(input_ids, self._before, strict=True)
        ]
        if self._seen is not None and self._seen(input_ids[0, self._width :].tolist()):
            ended = [True] * len(ended)
        return torch.tensor(ended, device=input_ids.device)

    def _hit(self, row: torch.Tensor, before: int) -> bool:
        start = max(self._width - before, len(row) - self._tail)
        text = self._tokenizer.decode(
            row[start:].tolist(), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return any(stop in text for stop in self._stops)


def held_back(text: str, stops: Sequence[str]) -> str:
    """As much of an unfinished answer as will not be taken back.

    Left out are a character whose bytes have not all come, a stop string and what may become one.
    """
    for stop in stops:
        if (at := text.find(stop)) >= 0:
            text = text[:at]
    text = text.rstrip("\ufffd")
    begun = max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)
    return text[: len(text) - begun]
