"""What takes long to make is made once, for all processes, and made again where it was damaged and deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from scr.assets import cache_folder
from scr.editors.weights import alphaedit
from scr.editors.weights.alphaedit import free_directions
from scr.errors import StoreError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "cache"))


def test_null_spaces_are_found_once_for_each_moment_and_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    searches, own = [], alphaedit.null_space
    monkeypatch.setattr(alphaedit, "null_space", lambda *given: searches.append(given) or own(*given))
    moment = torch.diag(torch.arange(6.0))
    first = free_directions(moment, 2.5)
    assert first.shape == (6, 3)
    assert torch.equal(first, own(moment, 2.5))
    assert torch.equal(free_directions(moment.clone(), 2.5), first)
    assert len(searches) == 1
    assert free_directions(moment, 2.25).shape == free_directions(moment.double(), 2.5).shape == (6, 3)
    assert free_directions(moment + torch.eye(6), 2.5).shape == (6, 2)
    assert len(searches) == 4


def test_a_moment_that_leaves_no_direction_free_is_kept_too() -> None:
    import torch

    for _ in range(2):
        assert free_directions(torch.eye(4), 1e-3).shape == (4, 0)


def test_a_damaged_file_is_said_and_made_anew_once_deleted() -> None:
    import torch

    first = free_directions(torch.eye(4), 2.0).clone()  # what was read may lie in the file
    (path,) = (cache_folder() / "null-spaces").glob("*.safetensors")
    path.write_bytes(b"\x00" * 10)
    with pytest.raises(StoreError, match=r"damaged .* delete it"):
        free_directions(torch.eye(4), 2.0)
    path.unlink()
    assert torch.equal(free_directions(torch.eye(4), 2.0), first)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    import torch

    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"cannot write the cache .* set SCR_CACHE"):
        free_directions(torch.eye(4), 2.0)
