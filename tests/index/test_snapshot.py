"""Snapshots: what comes back, what damage is noticed, what a kill leaves."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scr.errors import IndexDamaged
from scr.index import snapshot
from scr.index.snapshot import Manifest, Origin, load, save
from scr.index.vectors import VectorIndex

from .material import clustered, filled, recall

_D = 16
_ORIGIN = Origin(store="store-1", encoder="small", encoder_revision="1")


def _save(index: VectorIndex, folder: Path, revision: int = 7, **changed: str) -> Manifest:
    return save(index, folder, replace(_ORIGIN, **changed), revision, f"event {revision}")


def _load(folder: Path, **changed: str) -> tuple[VectorIndex, Manifest]:
    return load(folder, replace(_ORIGIN, **changed))


def _index(count: int = 200, seed: int = 0) -> VectorIndex:
    return filled(np.arange(1, count + 1), clustered(count, _D, seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a snapshot of 200 vectors at revision 7."""
    _save(_index(), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def sketched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with so few vectors taken for many."""
    monkeypatch.setattr(snapshot, "EXACT_UP_TO", 100)
    _save(_index(), tmp_path / "index")
    return tmp_path / "index"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.parent != folder]


@pytest.mark.parametrize("count", [0, 1, 200, 3_000])
def test_what_was_saved_comes_back(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "EXACT_UP_TO", 1_000)
    index = _index(count)
    manifest = _save(index, tmp_path)
    opened, read = _load(tmp_path)
    assert read == manifest
    assert (manifest.count, manifest.ledger_revision, manifest.dimensions) == (count, 7, _D)
    assert (opened.sealed is not None) == ("sketches.faiss" in manifest.files) == (count > 1_000)
    queries = clustered(30, _D, seed=5)
    assert recall(opened.search(queries, 20)[1], index.search(queries, 20)[1]) > (0.9 if opened.sealed else 0.999)


@pytest.mark.parametrize("more", [50, 900])
def test_a_sketched_index_grows_from_snapshot_to_snapshot(sketched: Path, more: int) -> None:
    index, _ = _load(sketched)
    index.remove(np.arange(50, 61))
    index.add(np.arange(201, 201 + more), clustered(more, _D, seed=3))
    index.add(np.array([55]), clustered(1, _D, seed=4))
    _save(index, sketched, 8)
    opened, manifest = _load(sketched)
    assert manifest.count == len(opened) == 190 + more
    assert opened.sealed is not None
    assert len(opened.sealed) == len(opened)
    queries = clustered(30, _D, seed=5)
    for mine, theirs in zip(index.search(queries, 2_000), opened.search(queries, 2_000), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_who_has_mapped_a_snapshot_keeps_it(sketched: Path) -> None:
    index, _ = _load(sketched)
    before = index.search(clustered(5, _D, seed=5), 10)
    _save(_index(150, seed=9), sketched, 8)
    assert len(list(sketched.glob("*-*"))) == 1
    for mine, theirs in zip(index.search(clustered(5, _D, seed=5), 10), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_opened_index_can_be_changed(folder: Path) -> None:
    index, _ = _load(folder)
    assert index.remove(np.arange(1, 101)) == 100
    index.add(np.array([900]), clustered(1, _D, seed=8))
    assert len(index) == 101
    assert index.search(clustered(1, _D, seed=8), 1)[1].item() == 900
    _save(index, folder, 8)
    np.testing.assert_array_equal(np.sort(_load(folder)[0].numbers()), [*range(101, 201), 900])


def test_a_later_snapshot_takes_the_place_of_an_earlier_one(folder: Path) -> None:
    manifest = _save(_index(300), folder, 8)
    assert _load(folder)[1] == manifest
    assert [path.name for path in folder.glob("*-*")] == [manifest.folder]


def test_an_earlier_snapshot_does_not(folder: Path) -> None:
    there = _load(folder)[1]
    assert _save(_index(10), folder, 6) == there == _load(folder)[1]


@pytest.mark.parametrize("changed", [{"store": "store-2"}, {"encoder": "other"}, {"encoder_revision": "2"}])
def test_a_snapshot_of_something_else_is_refused_and_replaced(folder: Path, changed: dict[str, str]) -> None:
    with pytest.raises(IndexDamaged):
        _load(folder, **changed)
    manifest = _save(_index(10), folder, 1, **changed)
    assert _load(folder, **changed)[1] == manifest


def test_a_missing_folder_manifest_or_file_is_noticed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged):
        _load(tmp_path / "none")
    (folder / _load(folder)[1].folder / "vectors.npy").unlink()
    with pytest.raises(IndexDamaged, match="missing"):
        _load(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(IndexDamaged):
        _load(folder)


def test_a_file_cut_short_or_made_longer_is_noticed(sketched: Path) -> None:
    assert len(_files(sketched)) == 3
    for path in _files(sketched):
        whole = path.read_bytes()
        for length in (0, 1, 8, 100, *random.Random(0).sample(range(len(whole)), 40), len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(IndexDamaged):
                _load(sketched)
        path.write_bytes(whole + b"\0")
        with pytest.raises(IndexDamaged):
            _load(sketched)
        path.write_bytes(whole)


def test_every_flipped_bit_of_a_file_is_noticed(sketched: Path) -> None:
    for path in _files(sketched):
        whole = path.read_bytes()
        for place in [*range(64), *random.Random(1).sample(range(len(whole)), 200)]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            with pytest.raises(IndexDamaged):
                _load(sketched)
        path.write_bytes(whole)
    assert len(_load(sketched)[0]) == 200


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"x"', "{}", "\0\0\0", '{"format": 1}', "\ud800".encode("utf-8", "surrogatepass")],
)
def test_a_manifest_that_is_none_is_noticed(folder: Path, text: str | bytes) -> None:
    (folder / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(IndexDamaged):
        _load(folder)
    assert _load_after_saving(folder).count == 10


def _load_after_saving(folder: Path) -> Manifest:
    _save(_index(10), folder, 1)
    return _load(folder)[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 99),
        ("dimensions", 17),
        ("dimensions", "16"),
        ("count", 199),
        ("count", None),
        ("folder", "../.."),
        ("folder", ""),
        ("folder", 3),
        ("files", {}),
        ("files", None),
        ("event", "another"),
        ("digest", "0" * 32),
        ("digest", None),
        ("ledger_revision", "7"),
        ("ledger_revision", None),
    ],
)
def test_a_manifest_with_a_wrong_field_is_noticed(folder: Path, field: str, value: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(IndexDamaged):
        _load(folder)


def test_a_manifest_cut_short_is_noticed(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(IndexDamaged):
            _load(folder)


def test_a_swapped_manifest_is_noticed(folder: Path, tmp_path: Path) -> None:
    _save(_index(200, seed=3), tmp_path / "other", 7)
    shutil.copy(tmp_path / "other" / "manifest.json", folder)
    with pytest.raises(IndexDamaged):
        _load(folder)


def test_no_flipped_bit_of_the_manifest_changes_what_is_read(folder: Path) -> None:
    path, before = folder / "manifest.json", _load(folder)[1]
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                assert _load(folder)[1] == before, f"byte {place}, bit {bit}: {bytes(flipped[place - 9 : place + 9])!r}"
            except IndexDamaged:
                continue


def test_a_manifest_nested_without_end_is_noticed(folder: Path) -> None:
    (folder / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(IndexDamaged):
        _load(folder)


_SAVER = """
import sys, pathlib
import numpy as np
from tests.index.material import clustered, filled
from scr.index.snapshot import Origin, save
folder, first = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for revision in range(first, first + 10_000):
    count = 200 + revision % 50
    index = filled(np.arange(1, count + 1), clustered(count, 16, seed=revision))
    save(index, folder, Origin("store-1", "small", "1"), revision, "event")
    print(revision, flush=True)
"""


def test_a_kill_while_saving_leaves_a_whole_snapshot(folder: Path) -> None:
    chance, last = random.Random(2), 7
    for _ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", _SAVER, str(folder), str(last + 1)], stdout=subprocess.PIPE, text=True
        ) as saver:
            assert saver.stdout
            acknowledged = int(saver.stdout.readline())
            time.sleep(chance.uniform(0, 0.15))
            os.kill(saver.pid, signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, saver.stdout.read().split())])
        index, manifest = _load(folder)
        # The one that was being written may be there whole, though its writer could no longer say so.
        last = manifest.ledger_revision
        assert last in (acknowledged, acknowledged + 1)
        assert len(index) == manifest.count == 200 + last % 50
    _save(_index(10), folder, last + 1)
    assert _load(folder)[1].count == 10


def test_what_a_killed_saver_left_is_removed(folder: Path) -> None:
    left = [folder / "manifest.json.part", folder / "3-01234567" / "vectors.npy", folder / "vectors-4-99.faiss"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    _save(_index(10), folder, 8)
    assert not any(path.exists() or (path.parent != folder and path.parent.exists()) for path in left)


def test_a_tampered_later_revision_does_not_keep_a_snapshot_from_being_saved(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ledger_revision": 10_000}))
    assert _save(_index(10), folder, 8).ledger_revision == 8
    assert _load(folder)[1].count == 10


def test_many_may_save_and_load_at_once(folder: Path) -> None:
    def save_one(revision: int) -> int:
        return _save(_index(100 + revision), folder, revision).ledger_revision

    def load_one(_: int) -> bool:
        index, manifest = _load(folder)
        return len(index) == manifest.count and (manifest.ledger_revision == 7 or manifest.count > 107)

    with ThreadPoolExecutor(6) as pool:
        loads = pool.map(load_one, range(60))
        saved = list(pool.map(save_one, random.Random(0).sample(range(8, 48), 40)))
        assert all(loads)
    assert max(saved) == 47
    assert _load(folder)[1].ledger_revision == 47
    assert len(list(folder.glob("*-*"))) == 1
