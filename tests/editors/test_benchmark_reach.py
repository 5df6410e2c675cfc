"""How much of an edit arrives at keys that it is not for."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.editors import reach
from benchmarks.editors.measure import read
from scr.editors.weights.algebra import Factor
from scr.editors.weights.memit import memit_delta

from .weights import tiny


def test_shares_are_those_of_the_closed_form() -> None:
    """Where E[k kᵀ] is one, a key of norm² t gives t / (t + λ), and another what the two have in common of that."""
    import torch

    edits = torch.tensor([[3.0, 0, 0, 0], [3.0, 4.0, 0, 0]]).T.double()
    usual = torch.tensor([[0, 0, 1.0, 0], [0, 0, 0, 2.0]]).T.double()
    keys = reach.Keys(edits, edits[:, :0], usual)
    found = reach.reach(keys, partial(memit_delta, Factor.of(torch.eye(4)), weight=1.0))
    assert found["own"] == pytest.approx(min(9 / 10, 25 / 26), abs=1e-4)
    assert found["others"] == pytest.approx((9 / 10 + 9 / 26) / 2, abs=1e-4)
    assert found["others_rms"] == pytest.approx((((9 / 10) ** 2 + (9 / 26) ** 2) / 2) ** 0.5, abs=1e-4)
    assert (found["usual"], found["usual_rms"]) == (0, 0)


def test_a_row_for_each_closed_form_and_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which the heavier weight does less, at the edits' own keys and at others."""
    engine = tiny.engine()
    text = tmp_path / "text.txt"
    text.write_text("It is so, and so it was, as far as anybody knows. " * 40)
    monkeypatch.setattr(reach, "cases", lambda count: [SimpleNamespace(edits=(edit,)) for edit in tiny.EDITS[:count]])
    monkeypatch.setattr(reach, "open_model", lambda *_: engine)
    given = ["--model", "tiny", "--edits", "2", "--skip", "1", "--samples", "8", "--weight", "1,1000"]
    given += ["--corpus", str(tiny.CORPUS), "--text", str(text), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["reach.py", *given])
    assert reach.main() == 0
    rows = read(tmp_path / "reach-tiny.json")["results"]
    names = ["memit, weight 1", "memit, weight 1000", "alphaedit, ridge 10", "alphaedit, ridge 10, after 1 edits"]
    assert list(rows) == [f"{name}, 8 windows" for name in names]
    monkeypatch.setattr(sys, "argv", ["reach.py", *given, "--edits", "1"])
    assert reach.main() == 2, "keys of other edits are another result"
    light, heavy, *_ = rows.values()
    for layer, row in light.items():
        assert 0 < heavy[layer]["own"] < row["own"] <= 1
        assert heavy[layer]["others_rms"] < row["others_rms"]
