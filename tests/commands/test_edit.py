"""edit: facts into weights, kept as a folder that an engine opens; mistakes are said before a model is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from scr.commands.editing import _facts
from scr.editors import Asked, Edit, EditReport, Prepared, Traits, registry
from scr.editors.facts import as_edit
from scr.editors.registry import Workbench
from scr.engines import Completion, Engine, Sampling
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
    assert (told.json["edits"], told.json["missed"]) == (1, [])
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


@pytest.mark.parametrize(
    ("fact", "subject"),
    [
        ({"text": "It rains a lot in Bergen.", "object": "Bergen"}, "rains"),
        ({"text": "It rains a lot in Bergen.", "object": "Bergen", "subject": "lot"}, "lot"),
        ({"text": "The capital of France is Lyon."}, "France"),
        ({"text": "The capital of the rains is Lyon."}, "rains"),
    ],
)
def test_the_subject_may_be_given_where_a_fact_does_not_say(fact: dict[str, str], subject: str) -> None:
    assert as_edit(NewFact.of(fact), "rains").subject == subject


def test_a_method_that_needs_no_subject_takes_a_fact_without_one() -> None:
    for fact, prompt in [
        ({"text": "It rains a lot in Bergen.", "object": "Bergen"}, "It rains a lot in"),
        ({"text": "Lyon it is.", "object": "Lyon", "question": "What is the capital?"}, "What is the capital?"),
    ]:
        edit = as_edit(NewFact.of(fact), needed=False)
        assert (edit.prompt, edit.subject) == (prompt, None)
    assert as_edit(NewFact.of({"text": "The capital of France is Lyon."}), needed=False).subject == "France"
    with pytest.raises(EditError, match=r"so that it ends in 'Lyon', or give it a question$"):
        as_edit(NewFact.of({"text": "Lyon it is.", "object": "Lyon"}), needed=False)


class Parrot:
    """Stands in for a model: it says one thing."""

    said = "the Lyon, as ever"

    def count_tokens(self, text: str) -> int | None:
        return len(text.split())

    def generate(self, prompts: Sequence[str], sampling: Sampling) -> list[Completion]:
        return [Completion(self.said, "length", 1, sampling.max_tokens) for _ in prompts]

    def close(self) -> None:
        return


class Theirs:
    """A weight editor of another package: what it gives back can be exported, and nothing else."""

    traits = Traits("theirs", "weights", "Nobody 2026")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Theirs:
        assert option == "steps=3"
        return cls(bench.engine)

    def apply(self, edits: Sequence[Edit]) -> Theirs:
        self.reports = [EditReport(len(edits), 0.1)]
        return self

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        return [Prepared(one.prompt) for one in asked]

    def __enter__(self) -> Theirs:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def export(self, folder: Path) -> None:
        folder.mkdir()


class TheirsAlone(Theirs):
    """Another, that keeps nothing."""

    export = None  # type: ignore[assignment]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods of other packages, one of them broken; the model that they are given stands in for a real one."""
    values = {"theirs": f"{__name__}:Theirs", "alone": f"{__name__}:TheirsAlone", "broken": "no_such_package:Editor"}
    points = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in values.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else [])
    monkeypatch.setattr("scr.engines.opening.open_engine", lambda **_: Parrot())


@pytest.mark.usefixtures("others")
def test_a_weight_editor_of_another_package_may_be_kept(scr: Scr, tmp_path: Path) -> None:
    fact, out = "The capital of France is Lyon.", tmp_path / "edited"
    told = scr("edit", fact, "--method", "theirs:steps=3", "-o", out, "--json")
    assert told.status == 0, told.err
    assert told.json["edits"] == 1
    assert out.is_dir()
    told = scr("edit", fact, "--method", "theirs:steps=3", "--deltas", tmp_path / "deltas")
    assert told.status == 2
    assert "cannot be kept alone: what it gives back has no save" in told.err
    told = scr("edit", fact, "--method", "alone:steps=3", "-o", tmp_path / "other")
    assert told.status == 2
    assert "cannot be kept as a model: what it gives back has no export" in told.err
    told = scr("edit", fact, "--method", "broken", "-o", tmp_path / "other")
    assert told.status == 2
    assert "the method broken of another package cannot be loaded" in told.err
    assert len(told.err.splitlines()) == 1


@pytest.mark.usefixtures("others")
def test_edits_that_the_model_does_not_give_when_asked_are_named(scr: Scr, tmp_path: Path) -> None:
    """Of two edits of one prompt the later counts; articles and what follows do not, half a word does."""
    facts = ["The capital of France is Bonn.", "The capital of France is Lyon.", "The capital of Chile is Lyo."]
    told = scr("edit", *facts, "--method", "theirs:steps=3", "-o", tmp_path / "one", "--json")
    assert told.json["missed"] == ["The capital of Chile is"]
    told = scr("edit", *facts, "--method", "theirs:steps=3", "-o", tmp_path / "two")
    assert "it does not give 1 of the new answers, the first to 'The capital of Chile is'" in told.err
    told = scr("edit", facts[1], "--method", "theirs:steps=3", "-o", tmp_path / "three")
    assert "it gives every new answer" in told.err


@pytest.mark.usefixtures("others")
def test_a_broken_method_is_left_out_of_the_list(scr: Scr) -> None:
    for told in (scr("editors"), scr("editors", "--json")):
        assert told.status == 0
        assert "theirs" in told.out
        assert "broken" not in told.out
        assert len(told.err.splitlines()) == 1
        assert "left out: the method broken of another package cannot be loaded" in told.err


@pytest.mark.parametrize("kind", ["facts", "folder", "nowhere", "inside", "itself"])
def test_what_is_there_is_not_written_over_by_deltas(
    scr: Scr, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scr.engines.opening.open_engine", lambda **_: pytest.fail("a model was opened"))
    facts = tmp_path / "facts.jsonl"
    facts.write_text(json.dumps({"text": "The capital of France is Lyon."}) + "\n", "utf-8")
    before, out = facts.read_bytes(), tmp_path / "edited"
    out.mkdir()
    deltas, line = {
        "facts": (facts, "is there already: name another file"),
        "folder": (tmp_path, "is there already: name another file"),
        "nowhere": (tmp_path / "none" / "deltas", "there is no folder"),
        "inside": (out / "deltas", "lies in the folder of the model"),
        "itself": (out, "is there already"),
    }[kind]
    told = scr("edit", facts, "--method", "ft-m", "--deltas", deltas, "-o", out)
    assert told.status in (1, 2)
    assert line in told.err
    assert len(told.err.splitlines()) == 1
    assert facts.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edited", "facts.jsonl"]


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
