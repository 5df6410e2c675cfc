"""Teacher forcing: how likely a model holds a given text to be the continuation of a prompt.

The prompt is the one that :meth:`scr.engines.Engine.generate` would give the model, token by token, and the target
follows it as the model's tokenizer cuts a text that goes on. So the figures are about the very state in which an answer
would begin, and every engine has the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from scr.engines import Prompt
from scr.errors import EngineError

ANCHOR = "\n"
"""Stands before a target while it is cut into tokens. Alone, some tokenizers would put a blank before it of their own;
no word goes on across a line break."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A target under teacher forcing, token by token.

    Attributes:
        logprobs: log-probability of each token given the prompt and the target's earlier tokens, in nats.
        greedy: whether the model holds no other token likelier.
    """

    logprobs: tuple[float, ...]
    greedy: tuple[bool, ...]

    @property
    def logprob(self) -> float:
        """Log-probability of the whole target, in nats."""
        return sum(self.logprobs)

    @property
    def accuracy(self) -> float:
        """Share of its tokens that the model would have chosen."""
        return sum(self.greedy) / len(self.greedy)


@runtime_checkable
class Scorer(Protocol):
    """An engine that can look at probabilities."""

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """Score prompts with the texts that are to go on from them, in their order.

        Raises:
            EngineError: a prompt or target is not acceptable, or the engine cannot tell probabilities.
        """
        ...


def after_anchor(anchored: Sequence[int], anchor: Sequence[int]) -> list[int] | None:
    """Token ids of a target from those of the anchor and the target; None where they have grown together."""
    size = len(anchor)
    return list(anchored[size:]) if list(anchored[:size]) == list(anchor) else None


def empty_target() -> EngineError:
    """The error for a target of no tokens."""
    return EngineError("the target is empty, so it has no probability: give the text that is to go on from the prompt")


def scored_by_server(answer: Any, ids: Sequence[int], target: int) -> Scored | None:
    """Read the last ``target`` of vLLM's ``prompt_logprobs`` (a token's rank is 1 where none is likelier).

    Args:
        answer: to ``/v1/completions`` with the prompt ``ids`` and ``prompt_logprobs``.
        ids: of prompt and target.
        target: how many of them are the target's.

    Returns:
        None if the answer has no such probabilities.
    """
    try:
        entries = answer["choices"][0]["prompt_logprobs"]
        if len(entries) != len(ids):
            return None
        own = [entry[str(token)] for entry, token in zip(entries[-target:], ids[-target:], strict=True)]
        return Scored(tuple(float(one["logprob"]) for one in own), tuple(int(one["rank"]) == 1 for one in own))
    except (LookupError, TypeError, ValueError):
        return None
