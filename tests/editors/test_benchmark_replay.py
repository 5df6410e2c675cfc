"""Targets of a sequence that is over, written again in other ways."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.editors import replay, shared
from benchmarks.editors.measure import open_method, read
from scr.editors.weights.host import Host
from scr.editors.weights.requests import check
from scr.editors.weights.sequences import rows_of

from .weights import tiny

METHOD = "memit:steps=2;layers=0-1;samples=8;length=64"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replays the first two of three edits, whose targets are kept; the third is of another subject."""
    engine = tiny.engine()
    with shared.kept_targets(
        tmp_path / "runs" / "tiny" / METHOD.replace(":", "-").replace(";", "-") / "sequence/targets"
    ):
        edited = open_method(METHOD, engine, tiny.CORPUS).apply([tiny.EDITS[0]])
        edited.add([tiny.EDITS[1]])
    states = _states(engine)
    edited.__exit__(None, None, None)
    (tmp_path / "wikitext-2").mkdir()
    (tmp_path / "wikitext-2" / "test.txt").write_text("It is so, and so it was. " * 50)
    monkeypatch.setattr(replay, "cases", lambda count: [SimpleNamespace(edits=(edit,)) for edit in tiny.EDITS[:count]])
    monkeypatch.setattr(replay, "open_model", lambda *_: engine)
    monkeypatch.setattr(replay, "data_folder", lambda: tmp_path)

    def main(*given: str) -> tuple[int, dict[str, Any]]:
        common = ["--targets", METHOD, "--model", "tiny", "--corpus", str(tiny.CORPUS), "--every", "1"]
        common += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["replay.py", *common, *given])
        status = replay.main()
        path = tmp_path / "replay-tiny.json"
        return status, read(path)["results"] if path.is_file() else {}

    main.states, main.picture = states, tmp_path / "replay-tiny.png"  # type: ignore[attr-defined]
    return main


def _states(engine: Any) -> Any:
    host = Host.of(engine)
    rows = rows_of(host.tokenizer, check(tiny.EDITS[2:], host.tokenizer, subject=True)[0], [""])
    block = host.architecture.block(1)
    return host.states(rows, [block])[block][1]


def test_the_same_method_does_what_it_did_and_another_weight_moves_less(run: Any) -> None:
    heavier = METHOD + ";weight=500"
    status, rows = run("--method", f"{METHOD},{heavier}", "--edits", "2")
    assert (status, list(rows)) == (0, [METHOD, heavier])
    edits = rows[METHOD]["edits"]
    assert list(edits) == ["0", "1", "2"]
    assert (edits["0"]["moved"], "together" in edits["0"]) == (0, False)
    assert edits["2"]["norm"] == pytest.approx(float(run.states.norm()), abs=2e-3)
    assert edits["2"]["together"] == pytest.approx(1, abs=1e-3), "there is one other subject"
    assert 0 < rows[heavier]["edits"]["2"]["moved"] < edits["2"]["moved"]
    assert rows[METHOD]["perplexity"] > 1
    assert run.picture.stat().st_size > 0


def test_a_bound_and_what_was_there_before_are_rows_of_their_own(run: Any) -> None:
    assert run("--method", METHOD, "--edits", "2")[0] == 0
    status, rows = run("--method", METHOD, "--edits", "2", "--bound", "unedited")
    assert (status, list(rows)) == (0, [METHOD, f"{METHOD}, bound by unedited states"])


def test_targets_that_are_not_there_are_named(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--method", METHOD, "--edits", "3") == (2, {})
    assert "holds the targets of 2 edits" in capsys.readouterr().err
