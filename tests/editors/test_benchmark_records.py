"""What the benchmarks of editors publish is enough to go on with on another machine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.editors import records, run
from benchmarks.editors.measure import figures_of, write
from scr.errors import UsageError

_QUESTIONS = [
    {"figure": "efficacy", "prompt": "p", "new": -1.0, "old": -2.0, "answer": " Rome, and"},
    {"figure": "paraphrase", "prompt": "p", "new": -3.0, "old": -2.0, "answer": "Paris"},
    {"figure": "neighbourhood", "prompt": "p", "new": -3.0, "old": -2.0, "answer": "paris"},
]


def _record(case: str, **more: Any) -> dict[str, Any]:
    told = {"case": case, "target": "Rome", "old": "Paris", "seconds": 2.0, "peak_mib": None, "commit": "abc"}
    return told | {"questions": _QUESTIONS} | more


def _options(folder: Path, **more: Any) -> Any:
    told = {"runs": folder / "runs", "out": folder, "model": "m", "methods": ["ft-m"], "edits": 2, "measure": 100}
    return SimpleNamespace(**told | {"lengths": [], "against": "", "batch": 1} | more)


@pytest.fixture(autouse=True)
def _cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "cases", lambda count: [SimpleNamespace(id=str(place)) for place in range(count)])


class _Edited:
    """What an editor gives, which tells how many edits came at once."""

    def __init__(self) -> None:
        self.reports: list[Any] = []
        self.closed = False

    def add(self, edits: Any) -> None:
        self.reports.append(SimpleNamespace(seconds=6.0, peak_bytes=0, changed={"w": len(edits)}))

    def __exit__(self, *_: object) -> None:
        self.closed = True


@pytest.mark.parametrize(("batch", "seconds"), [(1, [6.0] * 4), (2, [3.0] * 4)])
def test_a_sequence_is_measured_at_its_lengths_whatever_is_applied_at_once(
    batch: int, seconds: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, reached = _Edited(), []

    def apply(edits: Any) -> _Edited:
        edited.add(edits)
        return edited

    editor: Any = SimpleNamespace(apply=apply, traits=SimpleNamespace(changes_weights=True, resumable=False))
    targets: Any = SimpleNamespace(charged=lambda cost: cost, sought=0)
    monkeypatch.setattr(run, "_measure", lambda some, _, costs, *more: reached.append((some, list(costs), more[0])))
    chosen: Any = [SimpleNamespace(id=str(place), edits=(f"edit {place}",)) for place in range(4)]
    options = _options(tmp_path, lengths=[2, 4], batch=batch)
    run._grow("memit", editor, chosen, [2, 4], targets, options)
    assert [len(some) for some, *_ in reached] == [2, 4]
    assert [cost["seconds"] for cost in reached[-1][1]] == seconds
    assert len(edited.reports) == 4 // batch
    assert edited.closed
    assert ("by 2" in str(reached[0][2])) == (batch == 2)


def test_figures_quote_no_text() -> None:
    assert figures_of(_record("0")) == {
        "seconds": 2.0,
        "peak_mib": None,
        "efficacy": [[-1.0, -2.0, 1]],
        "paraphrase": [[-3.0, -2.0, 0]],
        "neighbourhood": [[-3.0, -2.0, 1]],
    }


def test_single_edits_that_are_published_count_without_their_records(tmp_path: Path) -> None:
    options = _options(tmp_path)
    write(run.folder_of("ft-m", options) / "single" / "0.json", _record("0"))
    first = run.report_single(options)["ft-m"]
    assert (first["n"], first["efficacy"]["value"], first["paraphrase_said"]["value"]) == (1, 1.0, 0.0)
    (run.folder_of("ft-m", options) / "single" / "0.json").unlink()
    write(run.folder_of("ft-m", options) / "single" / "1.json", _record("1", seconds=4.0))
    second = run.report_single(options)["ft-m"]
    assert (second["n"], second["seconds"]) == (2, 3.0)
    assert set(records.read(tmp_path / "single-m.jsonl")) == {("ft-m", "0"), ("ft-m", "1")}


def test_rows_of_methods_that_are_not_named_or_not_measured_stay_published(tmp_path: Path) -> None:
    write(tmp_path / "single-m.json", {"results": {"rome": {"n": 9}, "ft-m": {"n": 8}}})
    options = _options(tmp_path)
    assert run.report_single(options) == {"rome": {"n": 9}, "ft-m": {"n": 8}}
    write(run.folder_of("ft-m", options) / "single" / "0.json", _record("0"))
    rows = run.report_single(options)
    assert (rows["rome"], rows["ft-m"]["n"]) == ({"n": 9}, 1)


def test_methods_are_tested_against_one_on_the_same_cases(tmp_path: Path) -> None:
    options = _options(tmp_path, methods=["come", "memit"], against="memit")
    for case in ("0", "1"):
        write(run.folder_of("memit", options) / "single" / f"{case}.json", _record(case))
        said = [question | {"answer": "Rome"} for question in _QUESTIONS]
        write(run.folder_of("come", options) / "single" / f"{case}.json", _record(case, questions=said))
    rows = run.report_single(options)
    assert "against" not in rows["memit"]
    found = rows["come"]["against"]["memit"]
    assert (found["paraphrase_said"]["difference"], found["neighbourhood_said"]["difference"]) == (1.0, -1.0)
    assert (found["efficacy"]["difference"], found["paraphrase"]["difference"]) == (0.0, 0.0)


def test_a_length_that_was_not_measured_here_stays_published(tmp_path: Path) -> None:
    options = _options(tmp_path, lengths=[1, 2])
    write(tmp_path / "sequence-m.json", {"results": {"rome": {"9": {"n": 9}}, "ft-m": {"2": {"n": 5}, "9": {"n": 9}}}})
    at = run.folder_of("ft-m", options) / "sequence" / "2"
    for case in ("0", "1"):
        write(at / f"{case}.json", _record(case))
    write(at / "whole.json", {"perplexity": 30.0, "changed": {"w": 0.5}, "commit": "abc"})
    rows = run.report_sequence(options)
    assert rows["rome"] == {"9": {"n": 9}}
    assert list(rows["ft-m"]) == ["2", "9"]
    assert (rows["ft-m"]["2"]["n"], rows["ft-m"]["2"]["changed"], rows["ft-m"]["2"]["commit"]) == (2, 0.5, "abc")


def test_rows_that_measure_other_shares_of_a_sequence_do_not_share_a_table(tmp_path: Path) -> None:
    write(tmp_path / "sequence-m.json", {"results": {"rome": {"100": {"n": 50}}}})
    with pytest.raises(UsageError, match=r"rome after 100 edits with 50 of them measured.*--measure"):
        run.report_sequence(_options(tmp_path, lengths=[100], measure=100))
    assert run.report_sequence(_options(tmp_path, lengths=[100], measure=50))["rome"] == {"100": {"n": 50}}
