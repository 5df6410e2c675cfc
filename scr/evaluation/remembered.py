"""An engine that asks nothing twice: not within a run, not for two methods, not after a run was cut off."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import xxhash

from scr.engines import Completion, Engine, Outcome, Prompt, Sampling, in_order
from scr.engines.scoring import Scored, Scorer
from scr.errors import EngineError, UsageError
from scr.lines import as_json


class Remembered:
    """Answers from memory what was asked before, of the same model in the same words.

    Methods that give the model the same prompt get the same answer, whatever batch it was computed in; what differs
    between two rows is then the method alone.

    Args:
        engine: the model. Its answers are to be greedy, else the memory would be a draw kept for good.
        path: JSONL of answers, read at first and added to; a last line that a kill has cut off is taken away.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self.inner = engine
        self._known = dict(_read(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    @property
    def model(self) -> str:
        """The model's name."""
        return self.inner.model

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """See :class:`scr.engines.Engine`."""
        return in_order(self.generate_each(prompts, sampling))

    def generate_each(self, prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[tuple[int, Outcome]]:
        """See :class:`scr.engines.Engine`; prompts that are equal are asked once, also while they are under way."""
        waiting: dict[str, list[int]] = {}
        asked: list[str] = []
        ready: deque[tuple[int, Outcome]] = deque()

        def unknown() -> Iterator[Prompt]:
            for place, prompt in enumerate(prompts):
                key = self._key(prompt, sampling)
                if key in self._known:
                    ready.append((place, self._known[key]))
                elif key in waiting:
                    waiting[key].append(place)
                else:
                    waiting[key] = [place]
                    asked.append(key)
                    yield prompt

        for index, outcome in self.inner.generate_each(unknown(), sampling):
            while ready:
                yield ready.popleft()
            if isinstance(outcome, Completion):
                self._keep(asked[index], outcome)
            yield from ((place, outcome) for place in waiting.pop(asked[index]))
        yield from ready

    def stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        """The answer in one piece."""
        yield self.generate([prompt], sampling)[0].text

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See :class:`scr.engines.scoring.Scorer`; probabilities are not remembered.

        Raises:
            EngineError: the engine cannot tell probabilities.
        """
        if not isinstance(self.inner, Scorer):
            raise EngineError(f"the engine of {self.model} tells no probabilities: leave out --legacy")
        return self.inner.score(pairs)

    def count_tokens(self, text: str) -> int | None:
        """See :class:`scr.engines.Engine`."""
        return self.inner.count_tokens(text)

    def close(self) -> None:
        """Close the file and the model."""
        self._file.close()
        self.inner.close()

    def _key(self, prompt: Prompt, sampling: Sampling) -> str:
        asked: Any = prompt if isinstance(prompt, str) else [dict(turn) for turn in prompt]
        return xxhash.xxh128_hexdigest(json.dumps([self.model, asdict(sampling), asked], sort_keys=True).encode())

    def _keep(self, key: str, completion: Completion) -> None:
        self._known[key] = completion
        self._file.write(as_json({"key": key, **asdict(completion)}) + "\n")
        self._file.flush()


def _read(path: Path) -> Iterator[tuple[str, Completion]]:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = 0
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
                known = record.pop("key"), Completion(**record)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UsageError(
                    f"{path}, line {number} is damaged: delete it, and its answer is asked for again"
                ) from None
            yield known
            end += len(line)
        file.truncate(end)
