"""eval: one scorer for every method, the same numbers again, and a clear line before any work is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scr.engines import Engine
from scr.evaluation.results import Results, RowKey, read_cases

from ..evaluation import invented
from ..evaluation.records import EREN
from .conftest import Scr
from .standin import StandIn

METHODS = "scr,scr:cosine,rag:1,ike,scr-2025,eren,serac-icl"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return invented.write(tmp_path / "mine.jsonl")


@pytest.mark.llm
def test_the_oracle_knows_and_bare_does_not_and_scr_is_the_oracle(scr: Scr, llm: Engine, questions: Path) -> None:
    del llm
    run = questions.parent / "run"
    told = scr(
        "eval",
        "--dataset",
        questions,
        "--method",
        "scr,rag:1",
        "-o",
        run,
        "--max-tokens",
        12,
        "--timed",
        3,
        "--legacy",
        "--json",
    )
    assert told.status == 0, told.err
    rows = {(row["method"], row["split"]): row for row in told.json["rows"]}
    assert told.json["schema"] == 1
    assert set(rows) == {(name, split) for name in ("bare", "oracle", "scr", "rag:1") for split in ("raw", "clean")}

    def score(method: str, dimension: str, name: str = "contains") -> float:
        figure = rows[method, "clean"]["scores"][dimension][name]
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        return float(figure["value"])

    assert score("bare", "reliability") == 0
    assert score("oracle", "reliability") == 1
    assert score("scr", "reliability") == score("oracle", "reliability")
    assert score("scr", "locality_preservation", "exact") == 1
    assert score("rag:1", "locality_preservation", "exact") < 1
    assert rows["scr", "raw"]["scope"]["recall"]["value"] > 0.6
    assert rows["scr", "raw"]["cost"]["added_ms_per_query"] is not None
    assert rows["scr", "raw"]["cost"]["model_calls_per_query"] == 1
    # Under teacher forcing the fact makes its target likelier than the rival.
    assert rows["scr", "raw"]["scores"]["legacy_efficacy"]["exact"]["value"] == 1
    assert rows["bare", "raw"]["scores"]["legacy_rewrite_accuracy"]["exact"]["value"] < 1
    assert (run / "report.md").is_file()
    assert (run / "report.html").is_file()


def test_every_method_runs_and_a_run_cut_off_gives_the_same(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--method", METHODS, "--edits", "1,all", "--base-url", server.url)
        first = scr(*command, "-o", run, "--timed", 0, "--json")
        assert first.status == 0, first.err
        asked = len(server.asked)
        again = scr(*command, "-o", run, "--timed", 0, "--json")
        assert len(server.asked) == asked, "everything was there"
        assert again.json["rows"] == first.json["rows"]
        # What a kill leaves: some cases of some rows, and half a line of the answers.
        for path in sorted(run.glob("cases/*/*/*/3/case-[12].json")):
            path.unlink()
        shutil.rmtree(run / "cases/mine/stand-in/ike")
        (run / "results.json").unlink()
        with next(run.glob("answers/*.jsonl")).open("r+b") as file:
            file.truncate(file.seek(0, 2) - 20)
        resumed = scr(*command, "-o", run, "--timed", 0, "--json")
        assert len(server.asked) <= asked + 1, "only the half line was asked again"
        assert resumed.json["rows"] == first.json["rows"]
        elsewhere = scr(*command, "-o", questions.parent / "other", "--timed", 0, "--json")
        assert elsewhere.json["rows"] == first.json["rows"]
    rows = {(row["method"], row["edits"]) for row in first.json["rows"]}
    assert rows == {(name, n) for name in ("bare", "oracle", *METHODS.split(",")) for n in (1, 3)}


def test_a_run_grows_by_methods_but_keeps_its_settings(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--base-url", server.url, "-o", run, "--timed", 0)
        assert scr(*command, "--method", "scr").status == 0
        assert scr(*command, "--method", "rag").status == 0
        assert {row.method for row in Results.read(run).rows} == {"bare", "oracle", "scr", "rag"}
        refused = scr(*command, "--method", "rag", "--max-tokens", 7)
        assert refused.status == 2
        assert "max_tokens 32, not 7" in refused.err
        (run.parent / "chat.jinja").write_text("{{ query }} {{ facts[0].text }}")
        refused = scr(*command, "--method", "rag:2", "--prompts", run.parent)
        assert (refused.status, "other parameters (prompts " in refused.err) == (2, True)
        assert "encoder None, not" in scr(*command, "--method", "rag:2", "--encoder", "another/one").err
        (run / "notes.txt").write_text("mine")
        (run / "parameters.json").unlink()
        assert "holds no run of `scr eval`" in scr(*command).err


def test_records_that_are_left_out_are_counted(scr: Scr, tmp_path: Path) -> None:
    scope = {"edit_scope": [], "edit_scope_true_ans": []}
    path = tmp_path / "eren.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in (EREN, {**EREN, **scope})))
    ran = scr("eval", "--dataset", path, "--lint")
    assert ran.status == 0
    assert "records that ask nothing about their own edit, and are left out: 1" in ran.err


def test_models_of_one_name_are_not_mixed(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--method", "rag", "--base-url", server.url, "-o", run, "--timed", 0)
        twice = scr(*command, "--model", "stand-in,stand-in")
        assert (twice.status, "two models are called stand-in" in twice.err) == (2, True)
        assert scr(*command).status == 0
        assert scr(*command).status == 0
        (run / "answers" / "stand-in.source").write_text("/elsewhere/stand-in")
        other = scr(*command)
        assert (other.status, other.err.count("\n")) == (2, 1)
        assert "answers of another model called stand-in (/elsewhere/stand-in): choose another -o" in other.err


def test_what_the_model_was_given_is_kept(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        scr("eval", "--dataset", questions, "--method", "ike", "--base-url", server.url, "-o", run, "--timed", 0)
    (first, *_) = read_cases(run, RowKey("mine", "stand-in", "ike", 3))
    given = first.answered[0].given[-1]["content"]
    assert given == "New fact: The capital of Norvania is Elmsport.\nPrompt: The capital of Norvania is"
    assert len(first.answered[0].given) == 2 * 32 + 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--dataset", "nowhere"), "nowhere is neither a data set nor a file"),
        (("--method", "magic"), "no method is called 'magic'"),
        (("--method", "rag:many"), "rag:many is unknown"),
        (("--method", "bare:x"), "takes no option"),
        (("--edits", "some"), "--edits 'some' is not understood"),
        (("--edits", "0"), "--edits '0' is not understood"),
        (("--prompt-form", "poem"), "'poem' is not one of 'chat', 'completion'"),
        (("--model", "no/such-model-here"), "no/such-model-here"),
        (("--compare", "a"), "give --compare twice"),
        (("--compare", "a", "--compare", "b"), "a is no run of `scr eval`"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    scr: Scr, questions: Path, arguments: tuple[str, ...], line: str
) -> None:
    with StandIn().running() as server:
        run = questions.parent / "run"
        given = () if "--dataset" in arguments else ("--dataset", str(questions))
        told = scr("eval", *given, "--base-url", server.url, "-o", run, *arguments)
        assert server.asked == []
    assert told.status in (1, 2)
    assert line in told.err
    assert len(told.err.splitlines()) == 1
    assert not list(run.glob("cases/*"))


def test_a_record_without_a_key_is_named(scr: Scr, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"fact": "A is B.", "prompt": "A is"}) + "\n")
    told = scr("eval", "--dataset", f"jsonl={path}", "-o", tmp_path / "run")
    assert told.status == 2
    assert "target" in told.err


def test_lint_lists_what_is_wrong(scr: Scr, tmp_path: Path) -> None:
    path = invented.write(tmp_path / "mine.jsonl")
    told = scr("eval", "--dataset", path, "--lint", "--json")
    assert told.status == 0
    assert set(told.json) == {"mine"}
    assert all(set(one) >= {"case", "question", "rule", "detail", "severity"} for one in told.json["mine"])
    assert scr("eval", "--dataset", path, "--lint").status == 0


def test_a_judge_has_its_say_and_an_unreadable_word_is_no_point(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        scr("eval", "--dataset", questions, "--method", "scr", "--base-url", server.url, "-o", run, "--timed", 0)
        # The stand-in repeats the question, which is no verdict.
        told = scr("eval", "--judge", run, "--base-url", server.url, "--json")
        asked = len(server.asked)
        assert scr("eval", "--judge", run, "--base-url", server.url).status == 0
        assert len(server.asked) == asked, "nothing is judged twice"
    assert [row["method"] for row in told.json] == ["bare", "oracle", "scr"]
    for row in told.json:
        assert row["right"] == 0
        assert row["agreement"]["errors"] == row["answers"] == 15
    assert json.loads((run / "judged.json").read_text())["judge"] == "stand-in"
    assert "Judged by stand-in" in (run / "report.md").read_text()
    assert scr("eval", "--judge", questions.parent).status == 2


def test_editors_are_listed(scr: Scr) -> None:
    told = scr("editors", "--json").json
    assert [one["name"] for one in told][:3] == ["bare", "oracle", "scr"]
    assert all(set(one) == {"name", "family", "needs", "paper"} for one in told)
    assert scr("editors").lines[0].startswith("bare")
