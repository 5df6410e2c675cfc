"""An index on disk: one file per ledger revision, and a manifest, written last, that vouches for it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import faiss
import numpy as np
import xxhash
from filelock import FileLock
from numpy.typing import NDArray

from scr.errors import IndexDamaged
from scr.index.vectors import Kind, VectorIndex

FORMAT = 1
_MANIFEST = "manifest.json"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is of.

    Attributes:
        format: version of this layout.
        store: UUID of the ledger.
        encoder: name of the encoder.
        encoder_revision: its revision.
        dimensions: length of a vector.
        ledger_revision: the last event that the snapshot has seen.
        count: number of vectors.
        kind: ``flat`` or ``ivf``.
        file: name of the file beside the manifest.
        bytes: its size.
        digest: XXH3 of its bytes and of all the other fields, against damage (not against malice).
    """

    format: int
    store: str
    encoder: str
    encoder_revision: str
    dimensions: int
    ledger_revision: int
    count: int
    kind: Kind
    file: str
    bytes: int
    digest: str


def save(
    index: VectorIndex, folder: Path, *, store: str, encoder: str, encoder_revision: str, ledger_revision: int
) -> Manifest:
    """Write a snapshot, unless another process has saved one of a later revision.

    A reader finds either the snapshot before or this one, whole; a kill leaves at most a file that nobody names.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=60):
        there = _manifest_or_none(folder)
        mine = (store, encoder, encoder_revision)
        same = there and (there.store, there.encoder, there.encoder_revision) == mine
        if there and same and there.ledger_revision > ledger_revision:
            return there
        data = faiss.serialize_index(index.native).data
        name = f"vectors-{ledger_revision}-{os.getpid()}.faiss"
        _write(folder / name, data)
        manifest = Manifest(
            format=FORMAT,
            store=store,
            encoder=encoder,
            encoder_revision=encoder_revision,
            dimensions=index.dimensions,
            ledger_revision=ledger_revision,
            count=len(index),
            kind=index.kind,
            file=name,
            bytes=data.nbytes,
            digest="",
        )
        manifest = replace(manifest, digest=_digest(manifest, data))
        _write(folder / _MANIFEST, memoryview(json.dumps(asdict(manifest), indent=1).encode()))
        for old in folder.glob("vectors-*"):
            if old.name != name:
                old.unlink(missing_ok=True)
        return manifest


def _digest(manifest: Manifest, data: memoryview) -> str:
    # The fields too: with a wrong ledger revision, events would be passed over in silence.
    digest = xxhash.xxh3_128(data)
    digest.update(json.dumps(asdict(replace(manifest, digest="")), sort_keys=True).encode())
    return digest.hexdigest()


def _write(path: Path, data: memoryview) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(folder: Path, store: str, encoder: str, encoder_revision: str) -> tuple[VectorIndex, Manifest]:
    """Read the snapshot of a ledger's embeddings.

    Raises:
        IndexDamaged: it is missing, not whole, or of another ledger or encoder.
    """
    for _ in range(_TRIES):
        manifest = _manifest(folder)
        _check_origin(manifest, store, encoder, encoder_revision)
        try:
            data = np.fromfile(folder / manifest.file, np.uint8)
        except FileNotFoundError:
            continue  # a newer snapshot has just taken its place
        except OSError as error:
            raise IndexDamaged(f"{manifest.file}: {error.strerror}") from None
        return _read(manifest, data), manifest
    raise IndexDamaged(f"{manifest.file} is missing")


def _check_origin(manifest: Manifest, store: str, encoder: str, encoder_revision: str) -> None:
    if manifest.store != store:
        raise IndexDamaged("it belongs to another store")
    if (manifest.encoder, manifest.encoder_revision) != (encoder, encoder_revision):
        raise IndexDamaged(f"it was made with the encoder {manifest.encoder} ({manifest.encoder_revision})")


def _read(manifest: Manifest, data: NDArray[np.uint8]) -> VectorIndex:
    # FAISS trusts what it reads, so that it must not see bytes that nobody vouches for.
    if data.nbytes != manifest.bytes or _digest(manifest, data.data) != manifest.digest:
        raise IndexDamaged(f"{manifest.file} is not the file that was written")
    index = VectorIndex(faiss.deserialize_index(data), manifest.kind)
    if (len(index), index.dimensions) != (manifest.count, manifest.dimensions):
        raise IndexDamaged(f"{manifest.file} does not hold what the manifest says")
    return index


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return _manifest(folder)
    except IndexDamaged:
        return None


def _manifest(folder: Path) -> Manifest:
    try:
        record = json.loads((folder / _MANIFEST).read_bytes())
        manifest = Manifest(**record)
    except OSError as error:
        raise IndexDamaged(f"{_MANIFEST}: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError):
        raise IndexDamaged(f"{_MANIFEST} is not one that was written") from None
    sizes = (manifest.ledger_revision, manifest.count, manifest.dimensions, manifest.bytes)
    if not isinstance(manifest.file, str) or not all(isinstance(size, int) for size in sizes):
        raise IndexDamaged(f"{_MANIFEST} is not one that was written")
    if manifest.format != FORMAT:
        raise IndexDamaged(f"it has format {manifest.format}, not {FORMAT}")
    if Path(manifest.file).name != manifest.file or manifest.kind not in get_args(Kind):
        raise IndexDamaged(f"{_MANIFEST} is not one that was written")
    return manifest
