"""An index on disk: a folder of arrays, and a manifest, written last, that vouches for it.

A snapshot holds the numbers of the vectors, rising (``numbers.npy``), the vectors in 16-bit floats (``vectors.npy``)
and, where they are many, their sketches (``sketches.faiss``). Numbers and vectors of many are mapped into memory, so
that the processes that serve one store share them.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import xxhash
from filelock import FileLock
from numpy.typing import NDArray

from scr.errors import IndexDamaged
from scr.index.sealed import Sealed, Sketches, sample_of
from scr.index.vectors import VectorIndex

EXACT_UP_TO = 30_000
"""Up to here every vector is compared, in about a millisecond."""

FORMAT = 2
_MANIFEST = "manifest.json"
_NUMBERS, _VECTORS, _SKETCHES = "numbers.npy", "vectors.npy", "sketches.faiss"
_TRIES = 3
_OUTGROWN = 4


@dataclass(frozen=True, slots=True)
class Origin:
    """What the vectors are of.

    Attributes:
        store: UUID of the ledger.
        encoder: name of the encoder.
        encoder_revision: its revision.
    """

    store: str
    encoder: str
    encoder_revision: str


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
        event: fingerprint of that event.
        count: number of vectors.
        folder: name of the folder beside the manifest.
        files: XXH3 of each file in it, against damage (not against malice).
        digest: XXH3 of all the other fields.
    """

    format: int
    store: str
    encoder: str
    encoder_revision: str
    dimensions: int
    ledger_revision: int
    event: str
    count: int
    folder: str
    files: Mapping[str, str]
    digest: str = ""

    @property
    def origin(self) -> Origin:
        """What the vectors are of."""
        return Origin(self.store, self.encoder, self.encoder_revision)

    def fingerprint(self) -> str:
        """What ``digest`` has to be."""
        # With a wrong ledger revision, events would be passed over in silence.
        fields = json.dumps(asdict(replace(self, digest="")), sort_keys=True)
        return xxhash.xxh3_128_hexdigest(fields.encode())


def save(index: VectorIndex, folder: Path, origin: Origin, ledger_revision: int, event: str) -> Manifest:
    """Write a snapshot, unless another process has saved one of a later revision.

    A reader finds either the snapshot before or this one, whole; a kill leaves at most a folder that nobody names.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock", timeout=60):
        there = _manifest_or_none(folder)
        if there and there.origin == origin and there.ledger_revision > ledger_revision:
            return there
        place = folder / f"{ledger_revision}-{secrets.token_hex(4)}"
        place.mkdir()
        manifest = Manifest(
            format=FORMAT,
            **asdict(origin),
            dimensions=index.dimensions,
            ledger_revision=ledger_revision,
            event=event,
            count=len(index),
            folder=place.name,
            files=_write_arrays(index, place),
        )
        manifest = replace(manifest, digest=manifest.fingerprint())
        with _File(folder / (_MANIFEST + ".part")) as part:
            part.write(json.dumps(asdict(manifest), indent=1).encode())
        (folder / (_MANIFEST + ".part")).replace(folder / _MANIFEST)
        _tidy(folder, place.name)
        return manifest


def _tidy(folder: Path, present: str) -> None:
    """Remove earlier snapshots. Who has mapped one keeps it until he lets go."""
    for old in folder.iterdir():
        if old.name not in (present, _MANIFEST, ".lock"):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)


class _File:
    """A new file that is on the disk when the block ends, and the XXH3 of what was written."""

    def __init__(self, path: Path) -> None:
        self._file, self._digest = path.open("wb"), xxhash.xxh3_128()

    def __enter__(self) -> _File:
        return self

    def write(self, data: Any) -> None:
        """Append bytes."""
        self._file.write(data)
        self._digest.update(data)

    @property
    def digest(self) -> str:
        """Of everything so far."""
        return self._digest.hexdigest()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if not error:
                self._file.flush()
                os.fsync(self._file.fileno())


def _write_arrays(index: VectorIndex, place: Path) -> dict[str, str]:
    """The files of a snapshot; the digest of each."""
    sketches = _sketches_for(index) if len(index) > EXACT_UP_TO else None
    known = index.sealed.numbers() if sketches and index.sealed and sketches[1] else np.empty(0, np.int64)
    with _File(place / _NUMBERS) as numbers_file, _File(place / _VECTORS) as vectors_file:
        _write_header(numbers_file, "<i8", (len(index),))
        _write_header(vectors_file, "<f2", (len(index), index.dimensions))
        for numbers, vectors in index.blocks():
            numbers_file.write(numbers.astype("<i8").data)
            vectors_file.write(vectors.astype("<f2").data)
            if sketches:
                new = ~np.isin(numbers, known)
                sketches[0].add(numbers[new], vectors[new])
        files = {_NUMBERS: numbers_file.digest, _VECTORS: vectors_file.digest}
    if sketches:
        with _File(place / _SKETCHES) as file:
            file.write(sketches[0].to_bytes().data)
            files[_SKETCHES] = file.digest
    return files


def _write_header(file: _File, kind: str, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def _sketches_for(index: VectorIndex) -> tuple[Sketches, bool]:
    """Sketches to add to, and whether they hold the sealed vectors already: as long as these are not outgrown."""
    if index.sealed and _size_class(len(index)) == _size_class(len(index.sealed.vectors)):
        return index.sealed.sketches.copy(), True
    chosen = sample_of(len(index))
    sample, start = [], 0
    for numbers, vectors in index.blocks():
        here = chosen[(chosen >= start) & (chosen < start + len(numbers))] - start
        sample.append(vectors[here].astype(np.float32))
        start += len(numbers)
    return Sketches.train(np.concatenate(sample)), False


def _size_class(count: int) -> int:
    return int(math.log(count / EXACT_UP_TO, _OUTGROWN))


def load(folder: Path, origin: Origin) -> tuple[VectorIndex, Manifest]:
    """Open the snapshot of a ledger's embeddings.

    Raises:
        IndexDamaged: it is missing, not whole, or of another ledger or encoder.
    """
    for _ in range(_TRIES):
        manifest = _manifest(folder)
        _check_origin(manifest, origin)
        place = folder / manifest.folder
        try:
            data = {name: _checked(place / name, digest) for name, digest in manifest.files.items()}
            return _open(manifest, place, data), manifest
        except FileNotFoundError:
            continue  # a newer snapshot has just taken its place
        except OSError as error:
            raise IndexDamaged(f"{manifest.folder}: {error.strerror}") from None
    raise IndexDamaged(f"{manifest.folder} is missing")


def _check_origin(manifest: Manifest, origin: Origin) -> None:
    if manifest.store != origin.store:
        raise IndexDamaged("it belongs to another store")
    if manifest.origin != origin:
        raise IndexDamaged(f"it was made with the encoder {manifest.encoder} ({manifest.encoder_revision})")


def _checked(path: Path, digest: str) -> NDArray[np.uint8]:
    """A file's bytes, mapped; FAISS and the search trust them, so that nobody may see what nobody vouches for."""
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    if xxhash.xxh3_128_hexdigest(data.data) != digest:
        raise IndexDamaged(f"{path.name} is not the file that was written")
    return data


def _open(manifest: Manifest, place: Path, data: Mapping[str, NDArray[np.uint8]]) -> VectorIndex:
    mapped: Literal["r"] | None = "r" if _SKETCHES in data else None
    numbers = np.load(place / _NUMBERS, mmap_mode=mapped, allow_pickle=False)
    vectors = np.load(place / _VECTORS, mmap_mode=mapped, allow_pickle=False)
    if (numbers.shape, vectors.shape) != ((manifest.count,), (manifest.count, manifest.dimensions)):
        raise IndexDamaged(f"{manifest.folder} does not hold what the manifest says")
    if _SKETCHES in data:
        return VectorIndex(manifest.dimensions, Sealed(numbers, vectors, Sketches.from_bytes(data[_SKETCHES])))
    index = VectorIndex(manifest.dimensions)
    index.add(numbers, vectors)
    return index


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return _manifest(folder)
    except IndexDamaged:
        return None


def _manifest(folder: Path) -> Manifest:
    """The folder's manifest, as it was written."""
    unknown = IndexDamaged(f"{_MANIFEST} is not one that was written")
    try:
        record = json.loads((folder / _MANIFEST).read_bytes())
        if isinstance(record, dict) and record.get("format") != FORMAT:
            raise IndexDamaged(f"it has format {record.get('format')}, not {FORMAT}")
        manifest = Manifest(**record)
        whole = manifest.digest == manifest.fingerprint()
    except OSError as error:
        raise IndexDamaged(f"{_MANIFEST}: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError):
        raise unknown from None
    if not whole:
        raise unknown
    return manifest
