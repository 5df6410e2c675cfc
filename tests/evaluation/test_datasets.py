"""Every layout of a data set, and every way that a file can be wrong; the records here are invented."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scr.errors import MissingExtra, UsageError
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets import load, names, reading
from scr.evaluation.datasets.hub import fetch
from scr.evaluation.datasets.registry import KNOWN

from .records import (
    DOCMEDIT,
    EREN,
    FEVER,
    FLAT,
    HALLU,
    KNOWEDIT,
    MEND,
    MLAKE,
    MLAKE_CHAIN,
    MQUAKE,
    OWN,
    QAEDIT,
    RECORDS,
    RIPPLE,
    ROME,
    UNKE,
    WIKIFACTDIFF,
    query,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes records as a JSON array, or as lines where the name says so."""

    def write_it(*records: Any, name: str = "data.json") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".jsonl"):
            path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
        else:
            path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
        return path

    return write_it


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SCR_DATA", str(tmp_path / "empty"))


def only(path: Path | str) -> Case:
    (case,) = load(str(path)).cases
    return case


def of(case: Case, kind: str, sub: str | None = None) -> list[Question]:
    return [one for one in case.questions if one.kind == kind and sub in (None, one.sub)]


@pytest.mark.parametrize("name", RECORDS)
def test_every_layout_makes_whole_cases_and_is_recognised_by_its_keys(name: str, write: Write) -> None:
    path = write(RECORDS[name])
    told, seen = load(f"{name}={path}"), load(str(path))
    assert told.cases == seen.cases
    assert (told.name, seen.name, told.source) == (name, "data", str(path))
    (case,) = told.cases
    first = case.questions[0]
    assert first.kind == "reliability"
    assert (first.prompt, first.answers[0], first.old) == (
        case.edits[0].prompt,
        case.edits[0].target,
        case.edits[0].old,
    )
    assert all(one.fact.strip() and one.target.strip() for one in case.edits)
    assert all(one.answers for one in case.questions if one.in_scope)


def test_knowedit(write: Write) -> None:
    case = only(write(KNOWEDIT))
    (edit,) = case.edits
    assert edit.fact == "The mother tongue of Nilo Fenn is Welsh."
    assert (edit.subject, edit.old) == ("Nilo Fenn", "Danish")
    (rephrased,) = of(case, "generalization")
    assert (rephrased.prompt, rephrased.answers, rephrased.old) == ("Nilo Fenn grew up speaking", ("Welsh",), "Danish")
    (reasoning,) = of(case, "portability", "reasoning")
    assert (reasoning.answers, reasoning.old) == (("Wales", "Cymru"), None)
    assert of(case, "portability", "subject_aliasing")[0].old == "Danish"
    assert of(case, "locality", "relation_specificity")[0].answers == ("Ada Fenn",)
    assert of(case, "locality", "forgetfulness")[0].answers == ()


def test_knowedit_zsre_has_lists_and_another_name_for_the_rephrasing(write: Write) -> None:
    record = {
        **KNOWEDIT,
        "prompt": "What is Nilo's tongue?",
        "ground_truth": ["Danish"],
        "rephrase_prompt": "His tongue?",
    }
    del record["rephrase"]
    case = only(write(record))
    assert case.edits[0].fact == "What is Nilo's tongue? Welsh."
    assert case.edits[0].old == "Danish"
    assert of(case, "generalization")[0].prompt == "His tongue?"


def test_sentences_beside_a_knowedit_file_are_the_facts(write: Write) -> None:
    line = {"question": KNOWEDIT["prompt"], "answer": "Welsh", "sentence": "Nilo Fenn speaks Welsh from birth."}
    write(line, name="data.sentences.jsonl")
    assert only(write(KNOWEDIT)).edits[0].fact == "Nilo Fenn speaks Welsh from birth."
    with pytest.raises(UsageError, match=r'record 2: "prompt" has no line in the file of sentences'):
        load(str(write(KNOWEDIT, KNOWEDIT)))
    write({**line, "answer": "Irish"}, name="data.sentences.jsonl")
    with pytest.raises(UsageError, match=r'sentences\.jsonl, line 1: "question" and the answer are not those of'):
        load(str(write(KNOWEDIT)))


def test_counterfact_flat(write: Write) -> None:
    case = only(write(FLAT))
    assert case.edits[0].fact == "Lake Orro lies in Peru."
    assert of(case, "generalization")[0].sub == "generation_prompt"
    assert of(case, "locality", "neighborhood")[0].answers == ("Chad",)


def test_counterfact_as_published(write: Write) -> None:
    case = only(write(ROME))
    assert case.edits[0].prompt == "Lake {0.__class__} lies in", "the template is filled, never evaluated"
    assert [one.old for one in of(case, "generalization")] == ["Chad", "Chad"]
    assert [one.prompt for one in of(case, "locality")] == ["Lake Imm lies in"], "a repeated prompt is asked once"
    assert case.generations == ("Lake Orro is known for", "Around Lake Orro")


def test_zsre_of_mend(write: Write) -> None:
    case = only(write(MEND))
    assert case.edits[0].old == "Chad"
    (unrelated,) = of(case, "locality", "unrelated")
    assert (unrelated.prompt, unrelated.answers) == ("who wrote the nilo songs", ("Ann Lee",))


def test_mquake(write: Write) -> None:
    case = only(write(MQUAKE))
    assert [edit.fact for edit in case.edits] == ["Nilo Fenn is employed by Acme.", "Acme has its seat in Lima."]
    assert [edit.old for edit in case.edits] == ["Bolt", "Oslo"]
    assert [one.answers for one in of(case, "reliability")] == [("Acme", "Acme Inc."), ("Lima",)]
    assert [one.prompt for one in of(case, "generalization")] == ["Who employs Nilo Fenn?"]
    chain = of(case, "portability", "multi_hop")
    assert [(one.answers, one.old) for one in chain] == [(("Lima", "City of Kings"), "Rome")] * 2


def test_rippleedits_as_published(write: Write) -> None:
    case = only(write(RIPPLE))
    (edit,) = case.edits
    assert (edit.prompt, edit.target) == ("The name of the author of What Is Orro is", "Ann Is Lee")
    assert (edit.fact, edit.old) == ("The name of the author of What Is Orro is Ann Is Lee.", "Bo Ray")
    assert of(case, "portability", "subject_aliasing")[0].answers == ("Ann Is Lee", "A. Lee")
    assert of(case, "portability", "compositionality_i")
    assert of(case, "locality", "relation_specificity")


@pytest.mark.parametrize(
    ("previous", "value", "target"),
    [
        ("Song B is followed by Song A.", "-", "Song C"),  # the end that the fact before shares
        (None, "Song C", "Song C"),  # the end that a known answer follows
        (None, "-", "Song C"),  # the last end
    ],
)
def test_rippleedits_finds_where_the_target_begins(previous: str | None, value: str, target: str, write: Write) -> None:
    edit: dict[str, Any] = {"prompt": "Song B is followed by Song C."}
    if previous:
        edit["previous_fact"] = {"prompt": previous}
    aliased = [{"test_queries": [query("B is followed by", value)]}]
    assert only(write({**RIPPLE, "edit": edit, "Subject_Aliasing": aliased})).edits[0].target == target


def test_rippleedits_in_the_layout_of_mquake(write: Write) -> None:
    record = json.loads(json.dumps(MQUAKE))
    record["requested_rewrite"] = [
        {**record["requested_rewrite"][0], "prompt": "The boss of  {}  is", "question": None}
    ]
    record |= {"answer": None, "new_answer": "", "new_answer_alias": []}
    case = only(f"rippleedits={write(record)}")
    assert case.edits[0].prompt == "The boss of Nilo Fenn is"
    assert of(case, "portability") == [], "nothing is known to be right"


def test_eren(write: Write) -> None:
    loaded = load(str(write(EREN, {**EREN, "edit_scope": [], "edit_scope_true_ans": []})))
    (case,) = loaded.cases
    assert loaded.skipped == 1
    assert case.edits[0].fact == "Nilo Fenn's mother tongue is Welsh."
    assert [one.old for one in case.questions[:2]] == ["Danish", "Danish"]
    assert of(case, "locality", "neighborhood")[0].answers == ("Danish",)
    assert of(case, "locality", "same_subject")[0].answers == (), "two answers to one question are not aligned"


def test_fever(write: Write) -> None:
    case = only(write(FEVER))
    assert case.edits[0].fact == "Orro is a lake."
    assert [(one.prompt, one.answers, one.old) for one in case.questions] == [
        ("Is this true? Orro is a lake.", ("yes",), None),
        ("Is this true? Orro is a hill.", ("no",), None),
    ]


def test_unke(write: Write) -> None:
    case = only(write(UNKE))
    assert case.edits[0].fact == "How do lakes freeze? From the top. Ice floats."
    assert of(case, "portability", "sub_question")[0].answers == ("Ice.",)
    with pytest.raises(UsageError, match=r'"sub_answer" has 0 answers to 1 sub-questions'):
        load(str(write({**UNKE, "sub_answer": []})))


def test_qaedit(write: Write) -> None:
    case = only(write(QAEDIT))
    assert [one.answers for one in of(case, "locality", "unrelated")] == [("1804",), ("Bo Ray",)]


def test_mlake_joins_the_multi_hop_questions_of_its_language(write: Write) -> None:
    path = write(MLAKE, name="dataset/single_hop/qa/en_qa.json")
    chains = write(MLAKE_CHAIN, name="dataset/multi_hop/qa/new_en_qa.json")
    case = only(path)
    assert case.edits[0].fact == "Nilo Fenn worked at Acme."
    (chain,) = of(case, "portability", "multi_hop")
    assert (chain.answers, chain.old) == (("Ann Lee",), "Bo Ray")
    with pytest.raises(UsageError, match=r'"o_prompt" is missing: give the file of single hops'):
        load(f"mlake={chains}")


def test_hallueditbench_reads_a_file_or_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text(HALLU.replace("Orro", f"Orro {name}"), encoding="utf-8")
    case = only(tmp_path / "a.csv")
    assert case.edits[0].old == "Chad, perhaps"
    asked = {one.sub: one for one in case.questions}
    assert asked["multiple_choice"].prompt == "What is the country of Orro a? A. Chad  B. Peru"
    assert asked["multiple_choice"].answers == ("B", "Peru")
    assert [asked[sub].answers for sub in ("yes", "no", "reversed_relation", "2_hop")] == [
        ("Yes",), ("No",), ("Orro a",), ("Lima",)]  # fmt: skip
    assert asked["same_subject"].answers == ()
    assert [one.edits[0].subject for one in load(f"hallueditbench={tmp_path}").cases] == ["Orro a", "Orro b"]


def test_docmedit(write: Write) -> None:
    case = only(write(DOCMEDIT, name="data.jsonl"))
    (edit,) = case.edits
    assert (edit.fact, edit.subject, edit.old) == ("Orro lies in Peru.", "Lake Orro", "Orro is a lake.")
    assert "about Lake Orro" in edit.prompt
    two = only(write({**DOCMEDIT, "r_evidence": None}))
    assert [one.fact for one in two.edits] == DOCMEDIT["evidence"]


def test_wikifactdiff_leaves_empty_questions_out(write: Write) -> None:
    assert of(only(write(WIKIFACTDIFF)), "locality") == []
    welsh = {"cy": {**WIKIFACTDIFF["en"], "loc": "Bo Ray held", "loc_ans": "nothing"}}
    assert of(only(f"wikifactdiff={write(welsh)}"), "locality", "neighborhood")[0].answers == ("nothing",)


def test_a_users_own_lines(write: Write) -> None:
    other = {
        **OWN,
        "id": None,
        "questions": [{"prompt": OWN["prompt"], "kind": "reliability", "answers": ["Welsh", "Cymraeg"]}],
    }
    first, second = load(str(write(OWN, other, name="mine.jsonl"))).cases
    assert (first.id, second.id) == ("fenn-1", "00002")
    assert [(one.kind, one.sub, one.answers) for one in first.questions] == [
        ("reliability", "", ("Welsh",)),
        ("generalization", "", ("Welsh",)),
        ("portability", "reasoning", ("Wales",)),
        ("locality", "same_subject", ()),
    ]
    assert [one.answers for one in second.questions] == [("Welsh", "Cymraeg")], "its own prompt is not asked twice"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "a/b"}, r'line 1: "id" names a file'),
        ({"questions": [{"prompt": "Why?", "kind": "scope"}]}, r'"questions\[0\]\.kind" has to be one of reliability'),
        ({"questions": [{"prompt": "Why?", "kind": "portability"}]}, r'"questions\[0\]\.answers" is missing or empty'),
        ({"questions": [{"kind": "locality"}]}, r'"questions\[0\]\.prompt" is missing or empty'),
        ({"questions": ["Why?"]}, r'"questions\[0\]" has to be an object, not text'),
        ({"questions": {"prompt": "Why?"}}, r'"questions" has to be a list, not an object'),
        ({"target": True}, r'"target" has to be text, not true or false'),
        ({"target": " "}, r'"target" is missing or empty'),
        ({"prompt": None}, r'"prompt" is missing or empty'),
        ({"fact": "half a pair \ud800"}, r'"fact" holds half a surrogate pair'),
        (
            {"questions": [{"prompt": "Why?", "kind": "locality", "answers": [{"a": 1}]}]},
            r"has to be text, not an object",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_said(change: dict[str, Any], message: str, write: Write) -> None:
    with pytest.raises(UsageError, match=message) as failed:
        load(f"jsonl={write({**OWN, **change}, name='mine.jsonl')}")
    assert "mine.jsonl, line 1" in str(failed.value)
    assert "\n" not in str(failed.value)


NEEDED = {
    "zsre": ("prompt", "target_new"),
    "counterfact": ("prompt", "target_new", "ground_truth"),
    "counterfact-rome": ("requested_rewrite",),
    "zsre-mend": ("src", "alt"),
    "mquake": ("requested_rewrite",),
    "rippleedits": ("edit",),
    "eren": ("edit_statement",),
    "fever": ("edit_statement",),
    "unke": ("question", "answer"),
    "qaedit": ("prompt", "target"),
    "mlake": ("question", "e_prompt", "e_answer", "o_prompt"),
    "docmedit": ("normalized_inputs", "normalized_targets"),
    "wikifactdiff": ("en",),
    "jsonl": ("fact", "prompt", "target"),
}


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, keys in NEEDED.items() for key in keys])
def test_a_missing_key_is_told_with_its_record(name: str, key: str, write: Write) -> None:
    good = {**RECORDS, "zsre": KNOWEDIT}[name]
    path = write(good, {one: value for one, value in good.items() if one != key})
    with pytest.raises(UsageError) as failed:
        load(f"{name}={path}")
    # CounterFact's layouts are told apart by a key; without it the other one's keys are missing.
    missing = "ground_truth" if name == "counterfact-rome" else key
    assert str(failed.value).startswith(f'{path}, record 2: "{missing}" is missing')


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("zsre", {"locality": []}, r'"locality" has to be an object, not a list'),
        ("zsre", {"locality": {"X": {}}}, r'"locality\.X" has to be a list, not an object'),
        ("zsre", {"locality": {"X": [{"ground_truth": "a"}]}}, r'"locality\.X\[0\]\.prompt" is missing'),
        ("zsre", {"portability": {"X": [{"prompt": "a", "ground_truth": [[{}]]}]}}, r"ground_truth\" has to be text"),
        ("counterfact", {"locality_ground_truth": {"a": 1}}, r'"locality_ground_truth" has to be text, not an object'),
        ("counterfact-rome", {"neighborhood_prompts": "Imm"}, r'"neighborhood_prompts" has to be a list, not text'),
        (
            "counterfact-rome",
            {"requested_rewrite": {"subject": "a", "target_true": {}}},
            r"target_true\.str\" is missing",
        ),
        ("zsre-mend", {"alt": ["Peru"]}, r'"alt" has to be text, not a list'),
        ("mquake", {"requested_rewrite": []}, r'"requested_rewrite" is missing or empty'),
        ("mquake", {"requested_rewrite": [{"subject": "a"}]}, r'"requested_rewrite\[0\]\.prompt" is missing'),
        ("mquake", {"questions": [None]}, r'"questions" has to be text, not null'),
        ("rippleedits", {"edit": {"prompt": "Orro."}}, r'"edit\.prompt" has to be a sentence such as'),
        ("rippleedits", {"Forgetfulness": [{"test_queries": [3]}]}, r"test_queries\[0\]\" has to be an object"),
        ("eren", {"edit_scope": {"a": 1}}, r'"edit_scope" has to be a list, not an object'),
        ("fever", {"edit_scope": [["Orro is a lake."]]}, r'"edit_scope\[0\]" has to be a list of a question and its'),
        ("qaedit", {"locality": [{"loc_ans": "a"}]}, r'"locality\[0\]\.loc" is missing'),
        ("docmedit", {"evidence": [], "r_evidence": []}, r'"evidence" is missing or empty'),
        ("wikifactdiff", {"en": "a"}, r'"en" has to be an object, not text'),
    ],
)
def test_a_wrong_value_is_told_with_its_record(name: str, change: dict[str, Any], message: str, write: Write) -> None:
    good = {**RECORDS, "zsre": KNOWEDIT}[name]
    with pytest.raises(UsageError, match=f"record 2: .*{message}"):
        load(f"{name}={write(good, {**good, **change})}")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "data.json", "holds no records"),
        (b"[]", "data.json", "holds no records"),
        (b"[{", "data.json", r"data\.json: not JSON"),
        (b"[1]", "data.json", "record 1: not a JSON object"),
        (b'{"a": 1}\n{', "data.jsonl", "line 2: not JSON"),
        (b'{"a": NaN}\n', "data.jsonl", "NaN is no JSON"),
        (b"[" * 100_000, "data.json", "not JSON"),
        (b'{"a": 1}\n', "data.jsonl", "no known layout has the keys a"),
        (b"\xff\xfe", "data.json", "not UTF-8"),
        (b"question,object\na,b,c\n", "data.csv", "record 1: more cells than the header has"),
        (b'question,object\n"a"x,b\n', "data.csv", "not CSV"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told_in_one_line(content: bytes, name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message) as failed:
        load(str(tmp_path / name))
    assert "\n" not in str(failed.value)


def test_a_file_that_is_too_long_is_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(OWN, name="mine.jsonl")
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="at most 10 are read: split it"):
        load(str(path))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no-such-set", "is neither a data set nor a file; there are knowedit-wiki_counterfact"),
        ("no-such-set=data.json", "no-such-set is neither"),
        ("zsre=missing.json", "cannot read missing.json"),
        ("jsonl", "jsonl has no file of its own: give yours as jsonl=PATH"),
        ("unke", r"unke has no unke/unke_v2\.json in the folder of data \(SCR_DATA\)"),
        ("hf:zjunlp/KnowEdit", "holds several data sets: ask for one by name: knowedit-wiki_counterfact"),
    ],
)
def test_what_cannot_be_found(what: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(what)


def test_the_folder_of_data_has_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCR_DATA", "no/such/folder")
    with pytest.raises(UsageError, match="SCR_DATA is no/such/folder, which is no folder"):
        load("unke")


@pytest.mark.parametrize("name", ["zsre", "ZsRE", "knowedit_zsre", "Knowedit-ZsRE"])
@pytest.mark.parametrize("file", ["knowedit/zsre_test.json", "ZsRE/ZsRE-test-all.json"])
def test_a_name_is_found_in_the_folder_of_data(
    name: str, file: str, write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(KNOWEDIT, name=f"given/{'knowedit/' if file.startswith('Z') else ''}{file}")
    monkeypatch.setenv("SCR_DATA", str(tmp_path / "given"))
    loaded = load(name)
    assert (loaded.name, loaded.source) == (name, str(path))


def test_a_file_that_stands_in_for_another_gives_the_rows_its_name(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCR_DATA", str(tmp_path / "given"))
    path = write(KNOWEDIT, name="given/knowedit/wiki_recent_train.json")
    loaded = load("wiki_recent")
    assert (loaded.name, loaded.stand_in) == ("wiki_recent (wiki_recent_train)", True)
    assert loaded.provenance() == {
        "file": "wiki_recent_train.json",
        "digest": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "records": 1,
        "drawn": 1,
        "skipped": 0,
    }
    assert (load("knowedit-wiki_recent-train").stand_in, load(f"wiki_recent={path}").name) == (False, "wiki_recent")
    write(KNOWEDIT, name="given/knowedit/wiki_recent_test.json")
    assert (load("wiki_recent").name, load("wiki_recent").stand_in) == ("wiki_recent", False)


def test_a_sample_is_the_seeds_and_keeps_the_order(write: Write) -> None:
    path = str(write(*({**OWN, "id": f"case-{number}"} for number in range(50)), name="mine.jsonl"))

    def ids(**options: int) -> list[str]:
        return [case.id for case in load(path, **options).cases]

    everything = ids()
    assert ids(limit=10, seed=1) == ids(limit=10, seed=1)
    assert ids(limit=10, seed=1) != ids(limit=10, seed=2)
    assert sorted(ids(limit=10), key=everything.index) == ids(limit=10)
    assert {*ids(limit=10)} < {*ids(limit=20)}
    assert ids(limit=99) == everything
    with pytest.raises(UsageError, match="a sample of 0 cases"):
        load(path, limit=0)


def test_two_cases_of_one_id_are_refused(write: Write) -> None:
    with pytest.raises(UsageError, match='two records have the "id" Fenn-1'):
        load(str(write(OWN, {**OWN, "id": "Fenn-1"}, name="mine.jsonl")))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the real library reads, with its cache beside it."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return tmp_path / "published"


def test_the_datasets_library_gives_the_same_cases(hub: Path, write: Write) -> None:
    records = (KNOWEDIT, {**KNOWEDIT, "portability": {}, "rephrase": None})
    path = write(*records, name="published/train.json")
    fetched = load(f"hf:{hub}:train")
    assert fetched.cases == load(str(path)).cases, "the nulls that the library fills in are as good as missing keys"
    assert fetched.source == f"hf:{hub}:train"
    assert fetched.file == hub.name, "nothing of where it lies"
    assert load(f"wiki_counterfact=hf:{hub}").cases == fetched.cases
    with pytest.raises(
        UsageError, match=r"cannot load hf:.*:other through the datasets library .*check id, split"
    ) as failed:
        load(f"hf:{hub}:other")
    assert "\n" not in str(failed.value)


def test_a_name_without_a_file_is_fetched_by_its_public_name(
    hub: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(KNOWEDIT, name="published/benchmark/ZsRE/ZsRE-test-all.json")
    write(FLAT, name="published/benchmark/other.json")
    monkeypatch.setitem(KNOWN, "knowedit-zsre", replace(KNOWN["knowedit-zsre"], hub=str(hub)))  # type: ignore[arg-type]
    loaded = load("zsre")
    assert loaded.source == f"hf:{hub}:train"
    assert loaded.cases[0].edits[0].target == "Welsh"


def test_without_the_datasets_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"scr-edit\[eval\]"):
        fetch("zjunlp/KnowEdit", "train")


def _shared() -> Path | None:
    given = os.environ.get("SCR_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if (folder / "knowedit").is_dir() else None


SHARED = _shared()
COUNTS = {
    "wiki_counterfact": ("knowedit/wiki_counterfact_test.json", 0),
    "knowedit-wiki_counterfact-train": ("knowedit/wiki_counterfact_train.json", 0),
    "knowedit-wiki_recent-train": ("knowedit/wiki_recent_train.json", 0),
    "zsre": ("knowedit/zsre_test.json", 0),
    "counterfact": ("counterfact/counterfact.json", 0),
    "counterfact-rome": ("counterfact/counterfact_rome_format.json", 0),
    "zsre-mend": ("zsre/zsre_train_10000.json", 0),
    "mquake": ("mquake/MQuAKE-CF-300-v2.json", 0),
    "rippleedits": ("rippleedits/random.json", 0),
    "eren": ("eren/counterfact_hard.json", 6),
    "fever": ("eren/fever.json", 0),
    "unke": ("unke/unke_v2.json", 0),
    "wikifactdiff": ("wikifactdiff/train.json", 0),
}


@pytest.mark.skipif(SHARED is None, reason="the public data sets are not here")
@pytest.mark.parametrize("name", COUNTS)
def test_the_public_files_load_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHARED
    file, skipped = COUNTS[name]
    if not (SHARED / file).exists():
        pytest.skip(f"{file} is not here")
    monkeypatch.setenv("SCR_DATA", str(SHARED))
    loaded = load(name)
    records = json.loads((SHARED / file).read_text(encoding="utf-8"))
    if Path(loaded.source) == SHARED / file:
        assert (len(loaded.cases), loaded.skipped) == (len(records) - skipped, skipped)
    assert len({case.id for case in loaded.cases}) == len(loaded.cases)
    for case in loaded.cases:
        assert case.questions[0].kind == "reliability"
        assert case.questions[0].prompt == case.edits[0].prompt
        assert all(edit.fact and edit.target for edit in case.edits)
        assert all(one.prompt and (one.answers or not one.in_scope) for one in case.questions)


def test_every_name_has_a_layout() -> None:
    assert {"knowedit-zsre", "counterfact", "mquake-hard", "jsonl"} <= {*names()}
    for known in KNOWN.values():
        assert known.open().keys
