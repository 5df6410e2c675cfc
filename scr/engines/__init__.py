"""Engines: the unmodified language model, in this process or behind the OpenAI protocol.

An engine answers prompts. It knows nothing of facts, scopes or stores, so that out of scope it is
given exactly what the user wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from scr.errors import EngineError, UsageError

Message: TypeAlias = Mapping[str, Any]
"""One chat turn in the OpenAI layout: ``role`` and ``content`` (text, or a list of parts)."""

Prompt: TypeAlias = "str | Sequence[Message]"
"""What an engine is given: chat turns (prompt form ``chat``) or raw text (prompt form ``completion``).

A last turn of the assistant's is the beginning of the answer, which goes on from there."""


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. Greedy by default.

    Attributes:
        max_tokens: most tokens that may be generated.
        temperature: 0 is greedy.
        seed: makes draws at a temperature above 0 repeatable; None leaves it to the engine.
        stop: strings that end the answer and are not part of it.

    Raises:
        UsageError: a value makes no sense.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that no engine could follow."""
        if self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}: an answer needs at least 1")
        if not 0 <= self.temperature <= 100:
            raise UsageError(f"the temperature is {self.temperature}: give 0 (greedy) or a little above, such as 0.7")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}: give a number from 0 to 2^63 - 1")
        if not all(self.stop):
            raise UsageError("a stop string is empty: it would end every answer before its beginning")


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: what was generated, without the prompt.
        finish_reason: ``stop`` (the model ended), or ``length`` (``max_tokens`` was reached).
        prompt_tokens: length of the prompt in tokens.
        completion_tokens: length of the answer in tokens, the one that ended it included.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


Outcome: TypeAlias = "Completion | EngineError"
"""What became of one prompt of many."""


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
            EngineError: or one of its subclasses; no answer of the batch is returned then.
        """
        ...

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        """Answer any number of prompts, yielding each one's place and answer, or failure, as soon as it is there.

        Prompts are drawn as they are needed. A prompt that fails does not stop the others; leaving the
        iterator does.
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


@runtime_checkable
class Mixing(Protocol):
    """An engine to which it is all the same whether prompts have one sampling: a server."""

    def generate_mixed(self, requests: Iterable[tuple[Prompt, Sampling]]) -> Iterator[tuple[int, Outcome]]:
        """:meth:`Engine.generate_each` for prompts that have each their own sampling."""
        ...


def in_order(outcomes: Iterable[tuple[int, Outcome]]) -> list[Completion]:
    """The answers of :meth:`Engine.generate_each`, in the order of their prompts.

    Raises:
        EngineError: of the first prompt seen to fail.
    """
    done: dict[int, Completion] = {}
    for place, outcome in outcomes:
        if isinstance(outcome, EngineError):
            raise outcome
        done[place] = outcome
    return [done[place] for place in sorted(done)]
