"""What the engines have in common whose model is in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from scr.engines import Completion, Outcome, Prompt, Sampling, in_order
from scr.engines.tokens import PromptEncoder
from scr.errors import ModelNotFound


class LocalEngine(ABC):
    """A model that is told by its name and given token ids."""

    def __init__(self, name: str, encoder: PromptEncoder) -> None:
        self._name, self._encoder = name, encoder

    @property
    def model(self) -> str:
        """The folder's name or the hub id."""
        return self._name

    @abstractmethod
    def generate_each(
        self, prompts: Iterable[Prompt], sampling: Sampling
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Answer prompts, yielding each one's place and what became of it."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Completion]:
        """Answer a batch of prompts, in their order.

        Raises:
            EngineError: one of the prompts cannot be answered.
        """
        with closing(self.generate_each(prompts, sampling)) as outcomes:
            return in_order(outcomes)

    def count_tokens(self, text: str) -> int:
        """Length of a text in this model's tokens."""
        return len(self._encoder.plain(text))


def source_of(model: str | Path | None) -> str:
    """The folder or hub id that is meant; None is the small model that comes with scr.

    Raises:
        ModelNotFound: it can only be a folder, and there is none or no model in it.
        AssetError: the model that comes with scr could not be fetched.
    """
    if model is None:
        from scr.assets import smollm2_folder

        return str(smollm2_folder())
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelNotFound(f"the folder {path} holds no config.json: give a Hugging Face model folder")
        return str(path)
    name = str(model)
    if isinstance(model, Path) or name.startswith((".", "/", "~")) or name.count("/") > 1 or path.exists():
        raise ModelNotFound(f"there is no model folder {name}: give a Hugging Face model folder or a hub id")
    return name


def name_of(source: str) -> str:
    """How results call a model: the folder's name, or the hub id."""
    return Path(source).name if Path(source).is_dir() else source
