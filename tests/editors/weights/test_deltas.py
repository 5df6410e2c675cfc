"""Files of deltas are not trusted, and what cannot be written is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scr.editors.weights.delta import Delta, load_deltas, save_deltas
from scr.editors.weights.editor import load
from scr.editors.weights.ft import FtConfig, FtL, FtM
from scr.editors.weights.moments import fingerprint
from scr.errors import EditError

from . import tiny

NAME = "model.layers.1.mlp.down_proj.weight"


def _written(path: Path, tensors: dict[str, Any], base: str = "", about: str | None = None) -> Path:
    from safetensors.torch import save_file

    save_file(tensors, path, {"scr": about or json.dumps({"format": "scr-deltas-1", "method": "rome", "base": base})})
    return path


def _hostile() -> dict[str, dict[str, Any]]:
    import torch

    return {
        "of other ranks": {f"{NAME}:left": torch.ones(32, 2), f"{NAME}:right": torch.ones(3, 48)},
        "a vector": {f"{NAME}:whole": torch.ones(32)},
        "whole numbers": {f"{NAME}:whole": torch.ones(32, 48, dtype=torch.int64)},
        "complex": {f"{NAME}:whole": torch.ones(32, 48, dtype=torch.complex64)},
        "another part": {f"{NAME}:middle": torch.ones(32, 48)},
        "of no weight": {f"{NAME.removesuffix('.weight')}:whole": torch.ones(32, 48)},
    }


@pytest.mark.parametrize(
    "kind", ["of other ranks", "a vector", "whole numbers", "complex", "another part", "of no weight"]
)
def test_parts_that_are_no_delta_are_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(EditError, match="incomplete or damaged") as raised:
        load_deltas(_written(tmp_path / "bad", _hostile()[kind]))
    assert "\n" not in str(raised.value)


def test_metadata_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    import torch

    path = _written(tmp_path / "deep", {f"{NAME}:whole": torch.ones(32, 48)}, about="[" * 200_000)
    with pytest.raises(EditError, match="damaged"):
        load_deltas(path)


def test_a_delta_of_another_size_is_refused_before_it_is_multiplied_out(tmp_path: Path) -> None:
    import torch

    engine = tiny.engine()
    before = tiny.weights(engine.network)
    # The product would take 20 terabytes.
    wide = {f"{NAME}:left": torch.ones(1_600_000, 1), f"{NAME}:right": torch.ones(1, 1_600_000)}
    path = _written(tmp_path / "wide", wide, fingerprint(engine.network))
    with pytest.raises(EditError, match=r"1600000, 1600000\) and the matrix \(32, 48\)"):
        load(engine, path)
    assert all(tensor.equal(before[name]) for name, tensor in tiny.weights(engine.network).items())
    path = _written(tmp_path / "fits", {f"{NAME}:whole": torch.ones(32, 48)}, fingerprint(engine.network))
    with load(engine, path):
        assert not tiny.weights(engine.network)[NAME].equal(before[NAME])


def test_saved_edits_are_gone_on_from_with_the_same_method_and_settings(tmp_path: Path) -> None:
    path, engine = tmp_path / "edits.safetensors", tiny.engine()
    before = tiny.weights(engine.network)
    with FtM(engine, FtConfig(layers=(1,), steps=2)).apply(tiny.EDITS[:1]) as edited:
        edited.save(path)
        with pytest.raises(EditError, match="unedited"):
            FtM(engine, FtConfig(layers=(1,))).resume(path)
    for editor in (FtL(engine, FtConfig(layers=(1,))), FtM(engine, FtConfig(layers=(2,)))):
        with pytest.raises(EditError, match=r"made with ft-m and the settings of that time: go on with the same"):
            editor.resume(path)
    assert all(tensor.equal(before[name]) for name, tensor in tiny.weights(engine.network).items())


def test_deltas_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    import torch

    deltas = {NAME: Delta.full(torch.ones(32, 48))}
    (tmp_path / "edits").mkdir()
    (tmp_path / "edits" / "other").touch()
    with pytest.raises(EditError, match="choose another place"):
        save_deltas(tmp_path / "edits", deltas, "rome", "")
    assert [path.name for path in tmp_path.iterdir()] == ["edits"]
    (tmp_path / "new.new").mkdir()  # what safetensors cannot write into it says in an error of its own
    with pytest.raises(EditError, match="choose another place"):
        save_deltas(tmp_path / "new", deltas, "rome", "")
