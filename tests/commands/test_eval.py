"""eval: one scorer for every method, the same numbers again, and a clear line before any work is done."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from scr.engines import Engine
from scr.evaluation.results import Results, RowKey, read_cases
from scr.scope.cross_encoder import SHIPPED

from ..evaluation import invented
from ..evaluation.records import EREN, KNOWEDIT
from ..evaluation.synthetic import Shape, make_run
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


def test_a_classifier_whose_folder_has_changed_is_refused(scr: Scr, questions: Path) -> None:
    run, own = questions.parent / "run", questions.parent / "own"
    shutil.copytree(SHIPPED, own)
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--base-url", server.url, "-o", run, "--timed", 0)
        assert scr(*command, "--method", f"scr:{own},scr:{own};threshold=0.7").status == 0
        config = (own / "config.json").read_text()
        (own / "config.json").write_text(json.dumps({**json.loads(config), "threshold": 0.999}))
        asked = len(server.asked)
        for method in (f"scr:{own}", f"scr:{own};threshold=0.7"):
            refused = scr(*command, "--method", f"scr,{method}")
            assert (refused.status, len(server.asked)) == (2, asked)
            assert f"has answers made with other contents of {own}: choose another -o" in refused.err
        assert scr(*command, "--method", "rag").status == 0, "other methods do not depend on it"
        (own / "config.json").write_text(config)
        assert scr(*command, "--method", f"scr:{own}").status == 0


def test_sizes_may_be_repeated_or_given_commas(scr: Scr, questions: Path) -> None:
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--method", "rag", "--base-url", server.url, "--timed", 0, "--json")
        told = scr(*command, "--edits", 1, "--edits", "2,all", "-o", questions.parent / "run")
        assert told.json["parameters"]["edits"] == [1, 2, 3]
        told = scr(*command, "-o", questions.parent / "other")
        assert told.json["parameters"]["edits"] == [3]


def test_a_question_that_the_server_refuses_is_an_error_that_counts_as_wrong(scr: Scr, questions: Path) -> None:
    run, methods = questions.parent / "run", ("bare", "oracle", "scr", "scr:llm", "scr-2025")
    questions.write_text(questions.read_text().replace("The anthem of Norvania is", "The impossible Norvania is"))
    with StandIn().running() as server:
        command = ("eval", "--dataset", questions, "--method", ",".join(methods), "--base-url", server.url, "-o", run)
        told = scr(*command, "--timed", 2, "--json")
        assert told.status == 0, told.err
        asked = len(server.asked)
        assert scr(*command, "--timed", 2, "--json").json["rows"] == told.json["rows"]
        assert len(server.asked) == asked
        shown = scr(*command, "--timed", 2)
    assert [row["method"] for row in told.json["rows"] if row["split"] == "raw"] == [
        *methods[:3],
        "scr:llm",
        "scr-2025",
    ]
    assert {row["errors"] for row in told.json["rows"]} == {1}
    assert [(one["method"], one["case"], one["question"]) for one in told.json["errors"]] == [
        (method, "case-0", 3) for method in methods
    ]
    assert "this question is too long for the stand-in" in told.json["errors"][0]["error"]
    assert "bare · mine · 3 edits: questions without an answer, which count as wrong: 1, the first: " in shown.err
    bare = next(row for row in told.json["rows"] if (row["method"], row["split"]) == ("bare", "raw"))
    assert bare["scores"]["locality_preservation"]["exact"]["value"] == pytest.approx(5 / 6)
    assert (run / "report.html").is_file()


def test_a_key_that_runs_out_stops_the_run_with_one_line(scr: Scr, questions: Path) -> None:
    run = questions.parent / "run"
    with StandIn().running() as server:
        server.dead_after = 4
        command = ("eval", "--dataset", questions, "--base-url", server.url, "-o", run, "--timed", 0)
        told = scr(*command)
        assert (told.status, told.err.count("error:")) == (1, 1)
        assert "asks for an API key (status 401)" in told.err
        assert not (run / "results.json").exists()
        server.dead_after = None
        assert scr(*command).status == 0
    assert {row.errors for row in Results.read(run).rows} == {0}


def test_a_library_that_is_missing_is_said_before_any_work(
    scr: Scr, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with StandIn().running() as server:
        told = scr("eval", "--dataset", questions, "--base-url", server.url, "-o", questions.parent / "run")
    assert (told.status, server.asked, (questions.parent / "run").exists()) == (1, [], False)
    assert told.err == "error: The report at the end needs an optional dependency: pip install 'scr-edit[eval]'\n"


def test_a_method_without_the_text_that_it_needs_is_said_before_any_work(
    scr: Scr, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCR_CORPUS", raising=False)
    command = ("eval", "--dataset", questions, "--edits", 1, "-o", questions.parent / "run")
    with StandIn().running() as server:
        told = scr(*command, "--method", "rome", "--base-url", server.url)
        assert (told.status, server.asked, told.err.count("\n")) == (2, [], 1)
        assert "rome needs a text to take the model's usual keys from: name a file in SCR_CORPUS" in told.err
        other = scr(*command, "--method", "rome:covariance=false", "--base-url", server.url)
        assert "needs a text" not in other.err
    assert server.asked == []


def test_a_file_that_stands_in_is_said(scr: Scr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "knowedit").mkdir()
    (tmp_path / "knowedit" / "wiki_recent_train.json").write_text(json.dumps([KNOWEDIT]))
    monkeypatch.setenv("SCR_DATA", str(tmp_path))
    told = scr("eval", "--dataset", "wiki_recent", "--lint")
    assert "wiki_recent: its own file is not here; wiki_recent_train.json stands in" in told.err


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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--compare", "a"), "name two runs to compare: --compare RUN RUN"),
        (("--compare", "a", "b", "c"), "name two runs to compare"),
        (("--compare", "a", "b"), "a is no run of `scr eval`"),
        (("--compare", "a,b"), "a is no run of `scr eval`"),
        (("--compare", "a", "--compare", "b"), "a is no run of `scr eval`"),
        (("--compare", "a", "b", "-o", "c"), "--compare takes no --output: leave that out"),
        (("a",), "a means nothing here: a run is named after --compare"),
        (("--judge", "a", "--prompts", "/nonexistent", "--dataset", "x"), "--judge takes no --dataset, --prompts"),
        (("--judge", "a", "b"), "--judge takes no RUN"),
        (("--compare", "a", "--judge", "b"), "--compare takes no --judge"),
        (("--lint", "--dataset", "x", "--method", "magic"), "--lint takes no --method"),
    ],
)
def test_what_would_be_ignored_is_refused(scr: Scr, arguments: tuple[str, ...], line: str) -> None:
    told = scr("eval", *arguments)
    assert told.status == 2
    assert line in told.err
    assert len(told.err.splitlines()) == 1


def test_runs_are_compared_however_they_are_named(scr: Scr, tmp_path: Path) -> None:
    shape = Shape(datasets=("d",), models=("m",), methods=("bare", "scr"), edits=(1,), cases=3, nasty=False)
    run = make_run(tmp_path / "run", shape)
    ways = (("--compare", run, run), ("--compare", f"{run},{run}"), ("--compare", run, "--compare", run))
    told = [scr("eval", *way, "--json") for way in ways]
    assert [one.status for one in told] == [0, 0, 0]
    assert told[0].json == told[1].json == told[2].json
    assert "harmonic_mean" in {one["dimension"] for one in told[0].json["rows"][0]["differences"]}


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
        assert row["right"] == row["interval"]["value"] == row["interval"]["high"] == 0
        assert row["interval"]["n"] == 3
        assert row["agreement"]["errors"] == row["answers"] == 15
    assert json.loads((run / "judged.json").read_text())["judge"] == "stand-in"
    assert "Judged by stand-in" in (run / "report.md").read_text()
    assert scr("eval", "--judge", questions.parent).status == 2


def test_editors_are_listed(scr: Scr) -> None:
    told = scr("editors", "--json").json
    assert [one["name"] for one in told][:3] == ["bare", "oracle", "scr"]
    assert all(set(one) == {"name", "family", "needs", "paper"} for one in told)
    assert scr("editors").lines[0].startswith("bare")
