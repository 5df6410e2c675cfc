"""Embedding every fact of a ledger afresh, while others go on writing.

Embedding takes minutes where a store is large, and a writer waits for another one for a minute at most. So the vectors
are made before the ledger's lock is taken, and lie in a temporary file; under the lock they are only copied, after what
came in the meantime was embedded too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from scr.errors import StoreReadOnly
from scr.ledger import EncoderId, Ledger
from scr.ledger.transaction import text_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scr.encoder import Encoder

_CHUNK = 1024
# After a pass over so few, those that come next take a moment; writers faster than the encoder are not chased for ever.
_FEW, _PASSES = 256, 8


def embed_afresh(
    ledger: Ledger, identity: EncoderId, encoder: Encoder, folder: Path, progress: Callable[[int], None] | None = None
) -> None:
    """Replace all embeddings of a ledger by the encoder's, and its note of the encoder, in one transaction.

    Args:
        ledger: whose active facts are embedded.
        identity: the note of the encoder.
        encoder: what embeds them.
        folder: where there is room for the vectors: two bytes a dimension.
        progress: told of each number of texts that were embedded.

    Raises:
        StoreError: the embeddings cannot be replaced; those that were there stay.
    """
    with _room(folder) as file:
        vectors = _Vectors(file, encoder.dimensions)
        for _ in range(_PASSES):
            missing = vectors.missing(ledger)
            vectors.extend(_embedded(ledger, encoder, missing, progress))
            if len(missing) <= _FEW:
                break

        def rows() -> Iterator[tuple[bytes, NDArray[np.float32]]]:
            yield from vectors
            # The ledger draws these under its lock, so they are the last.
            yield from _embedded(ledger, encoder, vectors.missing(ledger), progress)

        ledger.put_embeddings(identity, rows(), replace=True)


def _room(folder: Path) -> IO[bytes]:
    try:
        return TemporaryFile(dir=folder)
    except OSError as error:
        raise StoreReadOnly(f"cannot write in {folder} ({error.strerror}): check its permissions and disk") from None


def _embedded(
    ledger: Ledger, encoder: Encoder, missing: dict[bytes, int], progress: Callable[[int], None] | None
) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
    numbers = iter(missing.values())
    while chunk := list(islice(numbers, _CHUNK)):
        # A fact that was changed since it was listed comes with its new text, and one that has ended not at all.
        texts = [fact.text for fact in ledger.by_number(chunk).values()]
        yield from zip(map(text_digest, texts), encoder.encode(texts), strict=True)
        if progress:
            progress(len(texts))


class _Vectors:
    """Embeddings by digest, each once, in a file: there may be more of them than memory holds."""

    def __init__(self, file: IO[bytes], dimensions: int) -> None:
        self._file, self._dimensions = file, dimensions
        self._digests: dict[bytes, None] = {}

    def missing(self, ledger: Ledger) -> dict[bytes, int]:
        """Digests of active facts that have no vector here, each with the number of such a fact."""
        changes = ledger.changes_since(0)
        return {one.digest: one.number for one in changes if one.digest and one.digest not in self._digests}

    def extend(self, rows: Iterator[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Keep them, in half precision as the ledger does."""
        for digest, vector in rows:
            if digest not in self._digests:
                self._digests[digest] = None
                self._file.write(vector.astype("<f2").tobytes())

    def __iter__(self) -> Iterator[tuple[bytes, NDArray[np.float32]]]:
        import numpy as np

        self._file.seek(0)
        for digest in self._digests:
            yield digest, np.frombuffer(self._file.read(2 * self._dimensions), "<f2").astype(np.float32)
