"""Text to vectors.

The shipped encoder is all-MiniLM-L6-v2 through ONNX Runtime; any BERT of sentence-transformers runs the same way,
and anything else through sentence-transformers itself (extra ``local``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

DEFAULT_ENCODER = "all-MiniLM-L6-v2"
"""The shipped encoder; a store that names it needs no other model."""


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors whose dot product is their similarity."""

    @property
    def name(self) -> str:
        """What :func:`open_encoder` was given, or the shipped encoder's name."""
        ...

    @property
    def revision(self) -> str:
        """Hash of weights, tokenizer and arithmetic: encoders whose vectors differ have different ones."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Embed texts.

        Args:
            texts: any number; one that is longer than the model reads is cut.
            progress: is told, from time to time, how many more texts are done.

        Returns:
            shape (len(texts), dimensions), in the order of the texts, each row of length 1.
        """
        ...


def open_encoder(name: str | None = None) -> Encoder:
    """Open an encoder.

    Args:
        name: a folder or Hugging Face hub id of a sentence-transformers model; None is the shipped one.

    Raises:
        AssetError: there is no such model, or it cannot be read.
        MissingExtra: it needs sentence-transformers, which is not installed.
    """
    from scr.encoder.folders import SentenceFolder, find_folder
    from scr.encoder.onnx_encoder import OnnxEncoder

    if name is None or name == DEFAULT_ENCODER:
        from scr.assets import minilm_folder

        return OnnxEncoder.open(minilm_folder(), DEFAULT_ENCODER)
    folder = SentenceFolder.read(find_folder(name))
    if folder.runs_on_onnx:
        return OnnxEncoder.open(folder.path, name)
    from scr.encoder.torch_encoder import TorchEncoder

    return TorchEncoder.open(folder.path, name)


__all__ = ["DEFAULT_ENCODER", "Encoder", "open_encoder"]
