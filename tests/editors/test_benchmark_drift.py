"""What the targets of a sequence tell of how it went."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.editors import drift, shared
from benchmarks.editors.measure import read
from scr.editors.weights.host import Host
from scr.editors.weights.requests import check
from scr.editors.weights.sequences import rows_of
from scr.editors.weights.targets import TargetConfig

from .weights import tiny


def test_norms_and_shares_by_edits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three edits with two targets each the first of each counts, and its state is the model's own."""
    host = Host.of(tiny.engine())
    requests, module = check(tiny.EDITS, tiny.tokenizer(), subject=True), host.architecture.block(1)
    kept = shared.Kept(tmp_path / "runs" / "tiny" / "memit-steps=2" / "sequence" / "targets")
    for request, enough in zip(requests, (1e9, 1e9, 0.0), strict=True):
        for config, answer in ((TargetConfig(steps=2, enough=enough), request.target), (TargetConfig(steps=1), " old")):
            kept.seek(shared.Search(host, request, module, ("",), config, answer))
    monkeypatch.setattr(drift, "_ENOUGH", 1e9)
    given = ["--model", "tiny", "--method", "memit:steps=2", "--every", "2"]
    monkeypatch.setattr(sys, "argv", ["drift.py", *given, "--runs", str(tmp_path / "runs"), "--out", str(tmp_path)])
    assert drift.main() == 0
    norms = [
        float(host.states(rows_of(host.tokenizer, request, [""]), [module])[module][1][0].norm())
        for request in requests
    ]
    rows = read(tmp_path / "drift-tiny.json")["results"]["memit:steps=2"]
    assert {number: row["n"] for number, row in rows.items()} == {"2": 2, "3": 1}
    assert rows["2"]["norm"] == pytest.approx(sum(norms[:2]) / 2, abs=0.01)
    assert rows["3"]["norm"] == pytest.approx(norms[2], abs=0.01)
    assert rows["2"]["found"] == 1
    assert (tmp_path / "drift-tiny.png").stat().st_size > 0


def test_a_run_without_targets_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["drift.py", "--method", "ft-m", "--runs", str(tmp_path), "--out", str(tmp_path)])
    assert drift.main() == 1
    assert "holds no targets" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.json"))
