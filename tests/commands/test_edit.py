"""edit: facts into weights, kept as a folder that an engine opens; mistakes are said before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scr.commands.editing import _facts
from scr.editors.facts import as_edit
from scr.engines import Sampling
from scr.engines.opening import open_engine
from scr.errors import EditError, UsageError
from scr.facts import NewFact

from .conftest import Scr


@pytest.mark.llm
@pytest.mark.slow
def test_an_edited_model_is_a_folder_that_answers_otherwise(scr: Scr, tmp_path: Path) -> None:
    out = tmp_path / "edited"
    told = scr("edit", "The capital of France is Lyon.", "--method", "ft-m", "-o", out, "--json")
    assert told.status == 0, told.err
    assert told.json["edits"] == 1
    assert told.json["changed"]
    assert len({path.stat().st_mode for path in (out / "config.json", out / "model.safetensors")}) == 1
    prompt, sampling = "The capital of France is", Sampling(max_tokens=4)
    bare, edited = open_engine(), open_engine(model=str(out))
    assert "Lyon" not in bare.generate([prompt], sampling)[0].text
    assert "Lyon" in edited.generate([prompt], sampling)[0].text
    bare.close()
    edited.close()
    again = scr("edit", "The capital of France is Lyon.", "--method", "ft-m", "-o", out)
    assert again.status == 1
    assert "not empty" in again.err


@pytest.mark.parametrize(
    ("fact", "prompt", "target", "subject"),
    [
        ({"text": "The capital of France is Lyon."}, "The capital of France is", "Lyon", "France"),
        ({"text": "Lyon is the capital of France."}, "The capital of France is", "Lyon", "France"),
        ({"text": "Mount Harrow is located in Chile."}, "Mount Harrow is located in", "Chile", "Mount Harrow"),
        (
            {"text": "Tilda plays the cello.", "subject": "Tilda", "object": "cello"},
            "Tilda plays the",
            "cello",
            "Tilda",
        ),
        (
            {"text": "Lyon it is.", "subject": "France", "object": "Lyon", "question": "What is France's capital?"},
            "What is France's capital?",
            "Lyon",
            "France",
        ),
    ],
)
def test_a_fact_is_read_as_an_edit(fact: dict[str, str], prompt: str, target: str, subject: str) -> None:
    edit = as_edit(NewFact.of(fact))
    assert (edit.fact, edit.prompt, edit.target, edit.subject) == (fact["text"], prompt, target, subject)


@pytest.mark.parametrize(
    ("fact", "line"),
    [
        ({"text": "It rains a lot in Bergen these days, they say."}, "does not give away its new answer"),
        ({"text": "It rains a lot in Bergen.", "object": "Bergen"}, "does not give away what it is about"),
        ({"text": "Lyon it is.", "subject": "France", "object": "Lyon"}, "cannot be asked for"),
    ],
)
def test_a_fact_that_cannot_be_an_edit_is_refused(fact: dict[str, str], line: str) -> None:
    with pytest.raises(EditError, match=line):
        as_edit(NewFact.of(fact))


def test_facts_may_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record = {"text": "It rains a lot in Bergen.", "subject": "rains", "object": "Bergen"}
    Path("some facts.jsonl").write_text(json.dumps(record), "utf-8")
    Path("facts.csv").write_text("text,object\nThe capital of France is Lyon.,Lyon\n", "utf-8")
    Path("facts.txt").write_text("Mount Harrow is located in Chile.\n\nAda's mother is Eve.\n", "utf-8")
    given = ["some facts.jsonl", "facts.csv", "facts.txt", "The pet of A.txt is Rex."]
    edits = [as_edit(fact) for one in given for fact in _facts(one)]
    assert [edit.target for edit in edits] == ["Bergen", "Lyon", "Chile", "Eve", "Rex"]
    assert edits[0].subject == "rains"
    Path("facts.txt").write_bytes(b"Lyon is big.\n\xff\n")
    with pytest.raises(UsageError, match=r"facts\.txt line 2: not UTF-8.*nothing was edited: mend it"):
        _facts("facts.txt")


def test_the_subject_may_be_given() -> None:
    fact = NewFact.of({"text": "It rains a lot in Bergen.", "object": "Bergen"})
    assert as_edit(fact, "rains").subject == "rains"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("The capital of France is Lyon.",), "-o FOLDER"),
        (("A is B.", "--method", "scr", "-o", "x"), "scr does not change weights"),
        (("A is B.", "--method", "magic", "-o", "x"), "no method is called 'magic'"),
        (("A is B.", "--dataset", "zsre", "-o", "x"), "not both"),
        (("Words that say little.", "-o", "x"), "does not give away"),
        (("-o", "x"), "the store holds no fact"),
        (("nothing.jsonl", "-o", "x"), "cannot read nothing.jsonl (no such file or directory): correct the path"),
        (("-", "-o", "x"), "standard input holds no fact"),
        (("A is B.", "--limit", "3", "-o", "x"), "--limit is of a data set"),
        (("A is B.", "-o", Path(__file__).parent), "not empty"),
    ],
)
def test_a_mistake_is_one_line(scr: Scr, arguments: tuple[str, ...], line: str) -> None:
    told = scr("edit", *arguments)
    assert told.status in (1, 2)
    assert line in told.err
    assert len(told.err.splitlines()) == 1
