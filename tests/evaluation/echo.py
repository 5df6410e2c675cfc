"""A stand-in for a server, where what matters is what it is asked and that it fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scr.engines import Completion, Outcome, Prompt, Sampling, in_order
from scr.engines.http import StatusError
from scr.errors import EngineError, EngineUnavailable


class Echo:
    """Says back what it is asked.

    Attributes:
        asked: every prompt, in the order of its answer.
        broken: a text that no prompt may hold.
        refused: a text for which a prompt is refused, as being too long.
    """

    model = "echo"

    def __init__(self, broken: str | None = None, refused: str | None = None) -> None:
        self.asked: list[str] = []
        self.broken, self.refused = broken, refused

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        return in_order(self.generate_each(prompts, sampling))

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        del sampling
        # Drawn ahead and answered in another order, as a server does.
        for place, prompt in reversed(list(enumerate(prompts))):
            text = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
            self.asked.append(text)
            if self.broken and self.broken in text:
                yield place, EngineUnavailable("the server went away: start it")
            elif self.refused is not None and self.refused in text:
                yield place, _refusal()
            else:
                yield place, Completion(text, "stop", 1, 1)

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        yield self.generate([prompt], sampling)[0].text

    def count_tokens(self, text: str) -> int | None:
        return len(text) // 4

    def close(self) -> None:
        return


def _refusal() -> EngineError:
    """As the engine behind a server says it, with the status behind its words."""
    try:
        try:
            raise StatusError("http://stand-in", 400, "too long")
        except StatusError:
            raise EngineError("the prompt does not fit: shorten it") from None
    except EngineError as error:
        return error
