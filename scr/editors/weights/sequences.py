"""Prompts as rows of tokens, with the place of the subject's last token, by the tokenizer's offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scr.editors.weights.requests import Request
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

ESSENCE = "{} is a"
"""What a subject is, beyond the edited fact: the prompt whose answer is to stay (ROME, section 3.1)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A text in tokens.

    Attributes:
        ids: its tokens, with those that the model opens a text with.
        subject: index of the subject's last token; that of the last token where no subject is given.
    """

    ids: tuple[int, ...]
    subject: int

    def then(self, ids: Sequence[int]) -> Row:
        """The row with more tokens after it."""
        return Row((*self.ids, *ids), self.subject)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one width, padded on the left, so that they end together.

    Attributes:
        ids: tokens [rows, width].
        mask: 1 where a token counts [rows, width].
        places: position ids [rows, width].
        subject: column of each row's subject [rows].
    """

    ids: torch.Tensor
    mask: torch.Tensor
    places: torch.Tensor
    subject: torch.Tensor

    def inputs(self, begin: int = 0) -> dict[str, torch.Tensor]:
        """What the model takes, from a column on; the mask is whole."""
        return {"input_ids": self.ids[:, begin:], "attention_mask": self.mask, "position_ids": self.places[:, begin:]}

    def at_subject(self, states: torch.Tensor) -> torch.Tensor:
        """States at each row's subject: [rows, width, d] → [rows, d]."""
        return states[range(len(self.subject)), self.subject]


def row_of(tokenizer: Any, text: str, start: int = 0, end: int = 0) -> Row:
    """A text with the span of its subject in characters, in tokens.

    Raises:
        EditError: no token covers the subject.
    """
    encoded = tokenizer(text, return_offsets_mapping=True, split_special_tokens=True, verbose=False)
    ids = encoded["input_ids"]
    if end <= start:
        return Row(tuple(ids), len(ids) - 1)
    inside = [place for place, (left, right) in enumerate(encoded["offset_mapping"]) if left < end and right > start]
    if not inside:
        raise EditError(f"no token of {text[:60]!r} covers the subject {text[start:end]!r}: word it otherwise")
    return Row(tuple(ids), inside[-1])


def rows_of(tokenizer: Any, request: Request, prefixes: Sequence[str]) -> list[Row]:
    """The request's prompt after each context, the subject found in the prompt itself."""
    return [
        row_of(tokenizer, prefix + request.prompt, len(prefix) + request.start, len(prefix) + request.end)
        for prefix in prefixes
    ]


def essence_of(tokenizer: Any, request: Request) -> Row:
    """The prompt of the subject's essence."""
    return row_of(tokenizer, ESSENCE.format(request.subject), 0, len(request.subject))


def answer_ids(tokenizer: Any, prompt: str, answer: str) -> list[int]:
    """Tokens of an answer as the model would write them after the prompt's own tokens."""
    options: dict[str, bool] = {"split_special_tokens": True, "verbose": False}
    before: list[int] = tokenizer(prompt, **options)["input_ids"]
    both: list[int] = tokenizer(prompt + answer, **options)["input_ids"]
    if both[: len(before)] == before and len(both) > len(before):
        return both[len(before) :]
    alone: list[int] = tokenizer(answer, add_special_tokens=False, **options)["input_ids"]
    return alone


def batch_of(rows: Sequence[Row], pad: int, device: Any) -> Batch:
    """Rows of tokens as one batch."""
    import torch

    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for number, row in enumerate(rows):
        ids[number, width - len(row.ids) :] = torch.tensor(row.ids)
        mask[number, width - len(row.ids) :] = 1
    places = (mask.cumsum(1) - 1).clamp(min=0)
    subject = torch.tensor([width - len(row.ids) + row.subject for row in rows])
    return Batch(ids.to(device), mask.to(device), places.to(device), subject.to(device))


def batches(rows: Sequence[Row], pad: int, device: Any, tokens: int) -> Iterator[Batch]:
    """Rows in their order, in batches of at most so many tokens (or one row)."""
    waiting: list[Row] = []
    for row in rows:
        if waiting and (len(waiting) + 1) * max(len(one.ids) for one in (*waiting, row)) > tokens:
            yield batch_of(waiting, pad, device)
            waiting = []
        waiting.append(row)
    if waiting:
        yield batch_of(waiting, pad, device)
