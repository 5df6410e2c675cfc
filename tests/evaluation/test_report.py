"""What a report says, what it holds, and that nothing in a run can break it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.cells import cell_len

from scr.errors import MissingExtra, UsageError
from scr.evaluation import report
from scr.evaluation.judge import Agreement
from scr.evaluation.judging import Judged, Judgement
from scr.evaluation.report import sample, write_report
from scr.evaluation.report.dimensions import (
    BEST_COSINE,
    COSINE_NOTES,
    LINT_NOTE,
    Dimension,
    dimensions_of,
    flattened,
    scope_rows,
)
from scr.evaluation.report.html import compressed, embedded, page
from scr.evaluation.report.markdown import table, text
from scr.evaluation.results import CaseResult, Interval, Results, Row, RowKey, Unanswered, read_cases

from .synthetic import NASTY, Shape, make_run, write_cases, write_results

SMALL = Shape(
    datasets=("river-towns",), models=("tiny-135m",), methods=("bare", "oracle", "rag", "scr"), edits=(1, 100)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "small", SMALL)


@pytest.fixture(scope="module")
def written(run: Path) -> list[Path]:
    return write_report(run)


def test_it_writes_both_reports_and_every_plot(run: Path, written: list[Path]) -> None:
    names = [path.relative_to(run).as_posix() for path in written]
    plots = [f"plots/{name}-river-towns-tiny-135m" for name in ("scores", "retention", "cost")]
    assert names == ["report.md", "report.html", *(f"{name}.{kind}" for name in plots for kind in ("svg", "png"))]
    assert all(path.stat().st_size > 1000 for path in written)
    assert not list(run.glob(".*partial"))


def test_a_table_shows_less_than_as_it_is_but_begins_no_tag() -> None:
    lines = table(["p"], [["<0.001*"], ["1 < 2"], ["<b>"], ["</b>"], ["<!-- -->"], ["<?x?>"]]).splitlines()[2:]
    shown = [line.strip("| ") for line in lines]
    assert shown == ["<0.001*", "1 < 2", "&lt;b>", "&lt;/b>", "&lt;!-- -->", "&lt;?x?>"]


def test_questions_without_an_answer_are_listed_in_both_reports() -> None:
    said = Unanswered("river-towns", "tiny-135m", "scr", 100, "c7", 2, "the prompt is <too> long")
    other = replace(said, case="c9", error="the prompt is longer still")
    results = Results({}, (), errors=(said, other))
    assert "| river-towns | tiny-135m | scr    | 100   | 2         | the prompt is &lt;too> long |" in text(
        "run", results
    )
    shown = page("run", results, [])
    assert "Questions without an answer" in shown
    assert "the prompt is &lt;too&gt; long" in shown
    for content in (text("run", Results({}, ())), page("run", Results({}, ()), [])):
        assert "Questions without an answer" not in content


def test_the_same_run_gives_the_same_bytes(run: Path, written: list[Path]) -> None:
    before = {path: path.read_bytes() for path in written}
    assert {path: path.read_bytes() for path in write_report(run)} == before


def test_the_text_has_the_figures_of_the_results(run: Path) -> None:
    results = Results.read(run)
    content = text("small", results)
    (row,) = [one for one in results.rows if (one.method, one.edits, one.split) == ("rag", 100, "clean")]
    for score in ("contains", "exact"):
        section = content.split(f"### 100 edits, clean, {score}\n")[1].split("###")[0]
        (line,) = [line for line in section.splitlines() if line.startswith("| rag ")]
        one = row.scores["generalization"][score]
        assert f"{one.value * 100:.1f} [{one.low * 100:.1f}, {one.high * 100:.1f}]" in line
    for wanted in ("### 1 edit, raw, contains", "by kind", "legacy", "### 1 edit, raw, scope\n", "cost", "contradicted",
                   "0123abc", "versions.torch", "hardware.cpu", "| seed"):  # fmt: skip
        assert wanted in content


def test_the_text_marks_the_best_method_and_no_reference(run: Path) -> None:
    section = text("small", Results.read(run)).split("### 100 edits, raw, contains\n")[1].split("###")[0]
    lines = {line.split("|")[1].strip(): line for line in section.splitlines() if line.startswith("| ")}
    assert "**" in lines["scr"]
    assert "**" not in lines["bare"] + lines["oracle"]


def test_preservation_says_which_one_it_is_in_every_table(run: Path, written: list[Path]) -> None:
    assert written
    results = Results.read(run)
    content = text("small", results)
    for score, head in (("contains", "Preservation (normalised)"), ("exact", "Preservation (byte for byte)")):
        section = content.split(f"### 100 edits, clean, {score}\n")[1].split("###")[0]
        assert f"| {head} |" in section
        assert head in (page("small", results, []))
    assert "Preservation (normalised)" in (run / "plots" / "scores-river-towns-tiny-135m.svg").read_text("utf-8")


def test_cosine_at_its_best_stands_beside_the_methods(run: Path) -> None:
    rows = list(Results.read(run).rows)
    lines = [row for row in scope_rows(rows) if row.method == BEST_COSINE]
    assert len(lines) == len({(row.edits, row.split) for row in rows})
    (best,) = [row for row in lines if (row.edits, row.split) == (100, "raw")]
    (rag,) = [row for row in rows if (row.method, row.edits, row.split) == ("rag", 100, "raw")]
    assert best.scope["recall"] == rag.scope["at_best_recall"]
    assert best.scope["false_fire"] == rag.scope["at_best_false_fire"] != rag.scope["false_fire"]
    assert best.scope["auroc"] == rag.scope["auroc"]
    content = text("small", Results.read(run))
    section = content.split("### 100 edits, raw, scope\n")[1].split("###")[0]
    assert f"| {BEST_COSINE} |" in section
    heads = [head.strip() for head in section.splitlines()[1].split("|")[1:-1]]
    assert heads == [
        "Method", "Recall", "Precision", "Wrong fact", "False fire", "AUROC", "Average precision", "Recall at 1",
        "Recall at 5", "Retrieval recall", "False fire: forgetfulness", "False fire: relation specificity",
    ]  # fmt: skip
    assert COSINE_NOTES["there"] in section
    without = text("small", replace(Results.read(run), rows=tuple(row for row in rows if row.method != "rag")))
    assert BEST_COSINE not in without
    assert COSINE_NOTES["missing"] in without


def test_a_notice_is_not_said_to_leave_the_clean_scores() -> None:
    results = Results({}, (), lint={"d": {"short-alias": 622, "contradicted": 1}})
    for content in (text("run", results), page("run", results, [])):
        assert LINT_NOTE in content
        assert "short-alias (notice)" in content
        assert "contradicted (" not in content
        assert "They count in the raw scores and not in the clean ones" not in content


def test_where_all_are_equal_none_is_best() -> None:
    figures = {"reliability": {"exact": Interval(0.5, 0.4, 0.6, 4)}}
    content = text("run", Results({}, tuple(Row("d", "m", name, 1, "raw", figures) for name in "ab")))
    assert "50.0 [40.0, 60.0]" in content
    assert "**" not in content


def test_tables_line_up_in_a_terminal_whatever_stands_in_them() -> None:
    lines = [["a|b", "1.0"], ["日本語の名前", "–"], ["👩🏽‍🚀 crew", "100.0 [99.1, 100.0]"]]
    shown = table(["Method", "Re\nliability"], lines).splitlines()
    assert len({cell_len(line) for line in shown}) == 1
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in shown)


def test_a_figure_that_is_no_share_is_no_per_cent_and_less_drawdown_is_better() -> None:
    figures = {"legacy_fluency": {"exact": Interval(5.913, 5.7, 6.1, 4)}}
    drawdown = [{"legacy_drawdown": {"exact": Interval(value, value, value, 4)}} for value in (0.25, 0.75)]
    rows = [Row("d", "m", name, 1, "raw", figures | lost) for name, lost in zip("ab", drawdown, strict=True)]
    content = text("run", Results({}, tuple(rows)))
    assert "5.91 [5.70, 6.10]" in content
    assert "**25.0 [25.0, 25.0]**" in content
    assert "**75.0" not in content


def test_dimensions_stand_in_the_order_of_the_design() -> None:
    names = ["legacy_score", "locality_forgetfulness", "harmonic_mean", "right_after_reliability",
             "locality_correctness", "portability_reasoning", "reliability"]  # fmt: skip
    rows = [Row("d", "m", "a", 1, "raw", {name: {} for name in names})]
    assert [(one.name, one.group) for one in dimensions_of(rows)] == [
        ("reliability", "main"), ("locality_correctness", "main"), ("harmonic_mean", "main"),
        ("locality_forgetfulness", "kinds"), ("portability_reasoning", "kinds"), ("right_after_reliability", "after"),
        ("legacy_score", "legacy"),
    ]  # fmt: skip
    assert Dimension.of("portability_subject_aliasing").label == "Portability: subject aliasing"


def test_parameters_are_said_in_words() -> None:
    record = {
        "seed": 0,
        "judge": None,
        "legacy": False,
        "libraries": {"torch": "2"},
        "edits": [1, 10],
        "none": [],
        "text": "",
    }
    assert flattened(record) == [
        ("seed", "0"), ("judge", "not given"), ("legacy", "no"), ("libraries.torch", "2"), ("edits", "1, 10"),
        ("none", "none"), ("text", "none"),
    ]  # fmt: skip


# What a report holds.


def cases_of(content: str) -> dict[str, object]:
    (data,) = re.findall(r'id="report-cases">([^<]*)<', content)
    return dict(json.loads(gzip.decompress(base64.b64decode(data))))


def test_only_so_many_questions_are_kept_failures_first(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results.read(run)
    everything = {row.key: row for row in sample.sample_rows(run, results)}
    monkeypatch.setattr(sample, "AT_MOST_A_ROW", 20)
    for row in sample.sample_rows(run, results):
        whole = everything[row.key]
        assert len(whole.kept) == whole.total == 72
        assert len(row.kept) == 20
        assert row.failed_kept == min(20, row.failed)
        bad = [one for one in row.kept if sample.failed(one.answered, one.flags)]
        assert len(bad) == row.failed_kept
        assert [one.case.case for one in row.kept] == sorted(one.case.case for one in row.kept)
    assert any(0 < row.failed < 20 for row in everything.values()), "no row in which all failures fit"


def test_rows_keep_the_same_questions_where_they_can(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "AT_MOST_A_ROW", 40)
    rows = sample.sample_rows(run, Results.read(run))
    held = {row.key.method: {(one.case.case, one.place) for one in row.kept} for row in rows if row.key.edits == 100}
    assert len(held["oracle"] & held["scr"]) > 25


def test_text_is_bounded_too(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "CHARACTERS", 80_000)
    rows = sample.sample_rows(run, Results.read(run))
    assert all(0 < len(row.kept) < row.total for row in rows)


def test_a_long_answer_is_cut_and_says_so(run: Path) -> None:
    content = page("small", Results.read(run), sample.sample_rows(run, Results.read(run)))
    texts = cases_of(content)["texts"]
    assert isinstance(texts, list)
    assert max(map(len, texts)) < sample.LONGEST + 100
    assert any("more characters in the case's file" in one for one in texts)
    assert len(texts) == len(set(texts)), "a text stands there twice"


@pytest.mark.parametrize(("kind", "shown", "shows", "flags"), [
    ("locality", ("x",), True, {"false_fire"}),
    ("locality", (), True, set()),
    ("reliability", ("own", "x"), True, set()),
    ("reliability", ("x",), True, {"wrong_fact"}),
    ("portability", (), True, {"no_fact"}),
    ("portability", (), False, set()),
])  # fmt: skip
def test_what_went_wrong_with_facts(run: Path, kind: str, shown: tuple[str, ...], shows: bool, flags: set[str]) -> None:
    case = next(read_cases(run, RowKey("river-towns", "tiny-135m", "scr", 1)))
    one = replace(case.answered[0], kind=kind, shown=shown)  # type: ignore[arg-type]
    assert sample.flags_of(replace(case, facts=("own",)), one, shows) == flags


@pytest.mark.parametrize(("given", "turns"), [
    (None, []),
    ("go on with this", [("", "go on with this")]),
    ([{"role": "user", "content": "hello"}], [("user", "hello")]),
    ({"unknown": 1}, [("", "{'unknown': 1}")]),
])  # fmt: skip
def test_what_the_model_was_given_becomes_turns(given: object, turns: list[tuple[str, str]]) -> None:
    assert sample.turns(given) == turns


# Nothing in a run can break it.


@pytest.mark.parametrize("nasty", NASTY)
def test_embedded_data_cannot_end_its_element(nasty: str) -> None:
    data = embedded({nasty: [nasty]})
    assert not set("<>&") & set(data)
    assert data.isascii()
    assert json.loads(data) == {nasty: [nasty]}
    assert json.loads(gzip.decompress(base64.b64decode(compressed([nasty])))) == [nasty]


def test_a_judges_share_has_its_interval() -> None:
    key = RowKey("d", "m", "scr", 1)
    judged = Judged(key, 8, 0.75, 0.5, Agreement(7, 1, 0.8, None), Interval(0.75, 0.5, 0.875, 4))
    content = text("run", Results({}, ()), Judgement("judge", (judged,)))
    assert "75.0 [50.0, 87.5]" in content
    assert "75.0 [50.0, 87.5]" in page("run", Results({}, ()), [], Judgement("judge", (judged,)))
    assert Judged.from_json(json.loads(json.dumps(judged.to_json()))) == judged


def test_names_are_escaped_everywhere(tmp_path: Path) -> None:
    nasty = "<img src=x onerror=alert(1)>"
    shape = Shape(datasets=(f"set {nasty}",), models=(nasty,), methods=("bare", f"m|{nasty}"), edits=(1,), cases=2)
    run = make_run(tmp_path / "run", shape)
    results = replace(Results.read(run), lint={nasty: {nasty: 1}}, parameters={nasty: nasty}, made={nasty: nasty})
    assert "<img" not in page(nasty, results, sample.sample_rows(run, results))
    assert "<img" not in text(nasty, results)


def test_the_policy_lets_the_own_script_and_style_run_and_nothing_else(written: list[Path]) -> None:
    content = written[1].read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    policy = policy.replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.findall(r'\s(?:src|href|action)="(?!data:,")', content), "it refers to another file"
    assert not re.findall(r'\sstyle="', content), "the policy would drop it"


def test_figures_that_are_no_numbers_are_left_out() -> None:
    nan = float("nan")
    row = Row(
        "d",
        "m",
        "a",
        1,
        "raw",
        {"reliability": {"exact": Interval(nan, nan, nan, 0)}},
        cost={"added_ms_per_query": nan},
    )
    assert "NaN" not in page("run", Results({}, (row,)), []).partition('id="report-data">')[2].partition("<")[0]


def test_a_run_without_rows_or_cases_still_has_a_report(tmp_path: Path) -> None:
    write_results(tmp_path / "empty", [], lint={}, made={})
    paths = write_report(tmp_path / "empty")
    assert [path.name for path in paths] == ["report.md", "report.html"]
    key = RowKey("d", "m", "scr", 1)
    write_results(
        tmp_path / "bare",
        [Row(**SimpleNamespace(dataset="d", model="m", method="scr", edits=1).__dict__, split="raw", scores={})],
    )
    (row,) = sample.sample_rows(tmp_path / "bare", Results.read(tmp_path / "bare"))
    assert (row.key, row.total, row.kept) == (key, 0, ())


# Bad input.


def test_a_judges_word_stands_in_both_reports(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run", Shape(datasets=("d",), models=("m",), methods=("bare", "scr"), edits=(1,), cases=2)
    )
    key = RowKey("d", "m", "scr", 1)
    word = Judgement("<b>judge</b>", (Judged(key, 8, 0.75, 0.5, Agreement(7, 1, 0.8, None)),))
    word.write(run)
    assert Judgement.read(run) == word
    write_report(run)
    content = (run / "report.md").read_text("utf-8")
    assert "## Judged by &lt;b>judge&lt;/b>" in content
    assert "75.0" in content
    shown = (run / "report.html").read_text("utf-8")
    assert "&lt;b&gt;judge&lt;/b&gt;" in shown
    assert '<td class="number">75.0</td>' in shown
    (run / "judged.json").write_text('{"judge": "j", "rows": [{}]}', encoding="utf-8")
    with pytest.raises(UsageError, match="judge the run again"):
        write_report(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*results\.json"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["{", "[]", '{"case": "x"}'])
def test_a_damaged_case_is_named_and_nothing_is_written(tmp_path: Path, content: str) -> None:
    shape = replace(SMALL, methods=("bare",), edits=(1,), cases=2)
    run = make_run(tmp_path / "run", shape)
    next(run.glob("cases/*/*/*/*/*.json")).write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"a case in .*bare.* is damaged: delete the file"):
        write_report(run)
    assert not list(run.glob("report.*"))


def test_without_matplotlib_the_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"scr-edit\[eval\]"):
        write_report(run)


def test_twenty_thousand_questions_give_a_page_of_bounded_size(tmp_path: Path) -> None:
    shape = replace(SMALL, methods=("scr",), edits=(1,), cases=2, nasty=False)
    run = make_run(tmp_path / "run", shape)
    key = RowKey("river-towns", "tiny-135m", "scr", 1)
    first = next(read_cases(run, key))
    many = (replace(first, case=f"copy-{number:05}", facts=(f"fact {number}", *first.facts)) for number in range(3_400))
    write_cases(run, key, (vary(case) for case in many))
    rows = sample.sample_rows(run, Results.read(run))
    assert [(row.total, len(row.kept)) for row in rows] == [(20_412, sample.AT_MOST_A_ROW)]
    assert len(page("run", Results.read(run), rows)) < 3_000_000


def vary(case: CaseResult) -> CaseResult:
    return replace(case, answered=tuple(replace(one, answer=f"{one.answer} {case.case}") for one in case.answered))
