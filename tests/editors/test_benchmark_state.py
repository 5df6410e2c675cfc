"""A sequence of edits that was cut off goes on where it was."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.editors import run, state
from benchmarks.editors.measure import read
from benchmarks.editors.shared import Kept
from scr.editors.weights.alphaedit import AlphaEdit
from scr.editors.weights.ft import FtConfig, FtM

from .weights import tiny

_CASES: Any = [SimpleNamespace(id=str(place), edits=(edit,)) for place, edit in enumerate(tiny.EDITS * 2)]


class _Cut(Exception):
    """Stands for whatever ends a run."""


def _grown(folder: Path, lengths: list[int], monkeypatch: pytest.MonkeyPatch, cut: int = 99) -> tuple[list[int], Any]:
    """A sequence of FT-M's, which is cut off before so many edits: those that were made, and the last weights."""
    editor, made = FtM(tiny.engine(), FtConfig(layers=(1,), steps=2)), []
    inner, last = editor._update, {}

    def update(requests: Any, patch: Any) -> None:
        if len(made) == cut:
            raise _Cut
        made.append(requests[0].prompt)
        inner(requests, patch)

    def measured(some: Any, _: Any, costs: Any, folder: Path, *__: Any) -> None:
        assert len(some) == len(costs) == int(folder.name)
        last.update(tiny.weights(editor.host.network))

    monkeypatch.setattr(editor, "_update", update)
    monkeypatch.setattr(run, "_measure", measured)
    options: Any = SimpleNamespace(runs=folder, model="tiny", batch=1)
    run._grow("ft-m", editor, _CASES, lengths, Kept(folder / "targets"), options)
    return made, last


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "EVERY", 0.0)


def test_it_gives_the_weights_of_one_that_was_not_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, expected = _grown(tmp_path / "whole", [4], monkeypatch)
    with pytest.raises(_Cut):
        _grown(tmp_path / "cut", [4], monkeypatch, cut=3)
    made, found = _grown(tmp_path / "cut", [4], monkeypatch)
    assert (len(whole), len(made)) == (4, 1)
    assert all(found[name].equal(tensor) for name, tensor in expected.items())
    folder = tmp_path / "cut" / "tiny" / "ft-m" / "sequence" / "state"
    assert sorted(path.name for path in folder.iterdir()) == ["00004.safetensors", "state.json"]
    assert [cost["seconds"] > 0 for cost in read(folder / "state.json")["costs"]] == [True] * 4


def test_one_that_is_measured_at_an_earlier_length_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _grown(tmp_path, [3], monkeypatch)
    assert len(_grown(tmp_path, [2, 4], monkeypatch)[0]) == 4
    assert len(_grown(tmp_path, [5], monkeypatch)[0]) == 1


def test_nothing_is_kept_of_a_method_that_cannot_go_on(tmp_path: Path) -> None:
    editor = AlphaEdit(tiny.engine())
    kept = state.State(tmp_path / "state", editor)
    with FtM(tiny.engine(), FtConfig(layers=(1,), steps=2)).apply(tiny.EDITS[:1]) as edited:
        kept.keep(edited, [{}], 0, last=True)
    assert not (tmp_path / "state").exists()
    assert kept.taken_up(5) == (None, [], 0)
