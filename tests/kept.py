"""Vectors of the real encoder, kept by text: tests that embed the same sentences again and again stay quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scr.encoder import Encoder


class KeptEncoder:
    """An encoder that embeds each text once, and can be taken into another process as a file."""

    def __init__(
        self, name: str, revision: str, dimensions: int, vectors: dict[str, NDArray[np.float32]], source: Encoder | None
    ) -> None:
        self.name, self.revision, self.dimensions = name, revision, dimensions
        self.vectors, self.source = vectors, source

    @classmethod
    def of(cls, encoder: Encoder) -> KeptEncoder:
        return cls(encoder.name, encoder.revision, encoder.dimensions, {}, encoder)

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        missing = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if missing:
            assert self.source is not None, f"{missing[0]!r} is not in the file"
            self.vectors.update(zip(missing, self.source.encode(missing), strict=True))
        if progress:
            progress(len(texts))
        return np.array([self.vectors[text] for text in texts], np.float32).reshape(len(texts), self.dimensions)

    def save(self, path: Path, texts: Sequence[str]) -> Path:
        np.savez(path, vectors=self.encode(texts), texts=np.array(texts), identity=np.array([self.name, self.revision]))
        return path

    @classmethod
    def load(cls, path: Path) -> KeptEncoder:
        with np.load(path, allow_pickle=False) as file:
            vectors = dict(zip(map(str, file["texts"]), file["vectors"], strict=True))
            name, revision = map(str, file["identity"])
            return cls(name, revision, int(file["vectors"].shape[1]), vectors, None)
