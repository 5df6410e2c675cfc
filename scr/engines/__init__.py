"""Engines: the unmodified language model, in this process or behind the OpenAI protocol.

An engine answers prompts. It knows nothing of facts, scopes or stores, so that out of scope it is
given exactly what the user wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

Message: TypeAlias = Mapping[str, Any]
"""One chat turn in the OpenAI layout: ``role`` and ``content`` (text, or a list of parts)."""

Prompt: TypeAlias = "str | Sequence[Message]"
"""What an engine is given: chat turns (prompt form ``chat``) or raw text (prompt form ``completion``)."""


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. Greedy by default.

    Attributes:
        max_tokens: most tokens that may be generated.
        temperature: 0 is greedy.
        seed: makes draws at a temperature above 0 repeatable; None leaves it to the engine.
        stop: strings that end the answer and are not part of it.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: what was generated, without the prompt.
        finish_reason: ``stop`` (the model ended), or ``length`` (``max_tokens`` was reached).
        prompt_tokens: length of the prompt in tokens.
        completion_tokens: length of the answer in tokens.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@runtime_checkable
class Engine(Protocol):
    """A language model that answers prompts as they are."""

    @property
    def model(self) -> str:
        """The model's name, as results and reports show it."""
        ...

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """Answer a batch of prompts, in their order; the engine runs them as parallel as it can.

        Raises:
            EngineError: one of its subclasses; no answer of the batch is returned then.
        """
        ...

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        """Answer one prompt piece by piece; the pieces joined are the answer."""
        ...

    def count_tokens(self, text: str) -> int | None:
        """Length of a text in this model's tokens; None where the engine cannot tell."""
        ...

    def close(self) -> None:
        """Give back connections and memory."""
        ...
