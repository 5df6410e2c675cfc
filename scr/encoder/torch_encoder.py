"""Any other sentence-transformers model, through that library (extra ``local``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scr.encoder.folders import fingerprint
from scr.errors import AssetError, MissingExtra

_CHUNK = 1024
"""Texts given to the library at a time, which sorts them by length; then progress is reported."""

_HASHED = {".json", ".safetensors", ".bin", ".txt", ".model"}
"""Files that decide the vectors: weights, settings, vocabularies."""


class TorchEncoder:
    """A sentence encoder in torch."""

    def __init__(self, name: str, revision: str, model: Any) -> None:
        self.name = name
        self.revision = revision
        self.dimensions = _dimensions(model)
        self._model = model

    @classmethod
    def open(cls, folder: Path, name: str) -> TorchEncoder:
        """Open the model in a folder.

        Raises:
            MissingExtra: sentence-transformers is not installed.
            AssetError: it cannot read the model.
        """
        if importlib.util.find_spec("sentence_transformers") is None:
            raise MissingExtra("local", f"the encoder {name}")
        from sentence_transformers import SentenceTransformer

        try:
            with _quiet():
                model = SentenceTransformer(str(folder))
        except Exception as error:  # whatever the model's own modules raise
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise AssetError(f"cannot open the encoder {name} ({reason}): use a sentence-transformers model") from error
        files = sorted(path for path in folder.rglob("*") if path.suffix in _HASHED)
        return cls(name, fingerprint(files), model)

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Embed texts; see :class:`scr.encoder.Encoder`."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK):
            chunk = list(texts[start : start + _CHUNK])
            vectors[start : start + len(chunk)] = self._model.encode(
                chunk, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
            if progress:
                progress(len(chunk))
        return vectors


def _dimensions(model: Any) -> int:
    """Length of a vector; newer versions of the library warn of the older name."""
    ask = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    return int(ask())


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of transformers' own while this lasts."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
