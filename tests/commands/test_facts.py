"""add, list, show, search, export, import, update, remove, undo, log."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Scr

FACT_KEYS = [
    "id",
    "text",
    "namespace",
    "subject",
    "relation",
    "object",
    "question",
    "source",
    "valid_from",
    "valid_to",
    "created_at",
    "supersedes",
    "status",
]
LYON = "The capital of France is Lyon."
NICE = "The capital of France is Nice."
KETTLE = "The kettle's warranty is seven years."


def test_add_prints_the_id_and_what_it_superseded(scr: Scr) -> None:
    first = scr("add", LYON)
    assert (first.status, first.err) == (0, "")
    identity = first.out.split()[0]
    assert re.fullmatch("[0-9a-z]{12}", identity)
    second = scr("add", NICE)
    assert f"superseded {identity}" in second.out
    assert LYON in second.out


def test_add_json_is_the_fact_and_what_it_superseded(scr: Scr) -> None:
    old = scr("add", LYON, "--json").json
    assert [*old] == [*FACT_KEYS, "superseded"]
    said = ["--subject", "France", "--relation", "capital", "--object", "Nice", "--question", "Which?"]
    when = ["--source", "a test", "--valid-from", "2020-01-01", "--valid-to", "2120-01-01"]
    fact = scr("add", NICE, *said, *when, "--json").json
    assert fact["superseded"] == fact["supersedes"] == [old["id"]]
    assert (fact["subject"], fact["relation"], fact["object"]) == ("France", "capital", "Nice")
    assert (fact["question"], fact["source"], fact["status"]) == ("Which?", "a test", "active")
    assert (fact["valid_from"], fact["valid_to"]) == ("2020-01-01T00:00:00.000000Z", "2120-01-01T00:00:00.000000Z")


def test_on_conflict(scr: Scr) -> None:
    scr("add", LYON)
    refused = scr("add", NICE, "--on-conflict", "reject")
    assert refused.status == 1
    assert "--on-conflict" in refused.err
    assert len(scr("list").lines) == 1
    assert scr("add", NICE, "--on-conflict", "keep", "--json").json["superseded"] == []
    assert len(scr("list").lines) == 2


def test_adding_twice_changes_nothing(scr: Scr) -> None:
    scr("add", LYON)
    assert "already there" in scr("add", LYON).out
    assert len(scr("log", "--json").json) == 1


def test_text_from_standard_input(scr: Scr) -> None:
    assert (
        scr("add", "-", "--json", stdin="\ufeffZoë's city is Tromsø.\n".encode()).json["text"]
        == "Zoë's city is Tromsø."
    )
    bad = scr("add", "-", stdin=b"caf\xe9")
    assert (bad.status, bad.err.count("\n")) == (2, 1)
    assert "UTF-8" in bad.err


def test_list_json_has_the_shape_and_all_shows_every_status(scr: Scr) -> None:
    assert scr("list", "--json").json == []
    scr("add", LYON)
    scr("add", NICE)
    (fact,) = scr("list", "--json").json
    assert [*fact] == FACT_KEYS
    assert [one["status"] for one in scr("list", "--all", "--json").json] == ["superseded", "active"]


def test_list_says_that_it_is_empty_on_stderr(scr: Scr) -> None:
    ran = scr("list")
    assert (ran.status, ran.out) == (0, "")
    assert "no facts" in ran.err


def test_list_as_of_shows_the_store_as_it_was(scr: Scr) -> None:
    then = scr("add", LYON, "--json").json["created_at"]
    scr("add", NICE)
    assert [one["text"] for one in scr("list", "--as-of", then, "--json").json] == [LYON]
    assert scr("list", "--as-of", "2001-01-31", "--json").json == []
    assert [one["text"] for one in scr("list", "--as-of", "2999-01-31", "--json").json] == [NICE]
    assert scr("search", "capital of France", "--as-of", then, "--json").json[0]["text"] == LYON


def test_show_takes_the_beginning_of_an_id(scr: Scr) -> None:
    fact = scr("add", LYON, "--json").json
    assert scr("show", fact["id"][:4], "--json").json == {key: fact[key] for key in FACT_KEYS}
    scr("update", fact["id"][:6], NICE)
    shown = scr("show", fact["id"][:4]).out
    assert LYON in shown
    assert NICE in shown
    assert "updated by" in shown


def test_search_ranks_by_meaning(scr: Scr) -> None:
    scr("import", "-", stdin=f"{LYON}\n{KETTLE}\n".encode())
    found = scr("search", "guarantee of kitchen devices", "--json").json
    assert [*found[0]] == [*FACT_KEYS, "similarity"]
    assert found[0]["text"] == KETTLE
    assert found[0]["similarity"] > found[1]["similarity"]
    assert len(scr("search", "-", "-k", "1", stdin=b"France").lines) == 1


def test_export_into_import_is_the_same_facts(scr: Scr, tmp_path: Path) -> None:
    texts = [LYON, 'He said "no", {{ braces }} — Zoë,\nand a second line.', "日本の首都は京都です。"]
    for text in texts:
        scr("add", text, "--source", "a, b", "--valid-to", "2100-01-01")
    exported = scr("export").out
    other = tmp_path / "other"
    assert scr("import", "-", "--store", other, stdin=exported.encode()).status == 0
    again = scr("export", "--store", other).out

    def told(lines: str) -> list[dict[str, object]]:
        own = {"id", "created_at"}
        return [{k: v for k, v in json.loads(line).items() if k not in own} for line in lines.splitlines()]

    assert [one["text"] for one in told(exported)] == texts
    assert told(again) == told(exported)
    assert scr("export", "-o", tmp_path / "facts.jsonl").out == ""
    assert (tmp_path / "facts.jsonl").read_text("utf-8") == exported


def test_import_counts(scr: Scr, tmp_path: Path) -> None:
    (tmp_path / "facts.csv").write_text(f'text,source\n"{LYON}",a\n{KETTLE},b\n', "utf-8")
    (tmp_path / "more.txt").write_text(f"{NICE}\n{KETTLE}\n", "utf-8")
    ran = scr("import", tmp_path / "facts.csv", tmp_path / "more.txt", "--json")
    assert ran.json == {"added": 3, "duplicate": 1, "superseded": 1, "rejected": 0, "errors": []}
    assert scr("undo").status == 0
    assert scr("list", "--json").json == []


def test_a_bad_line_among_ten_thousand(scr: Scr, tmp_path: Path) -> None:
    lines = [json.dumps({"text": "same"})] * 10_000
    lines[7_340] = '{"text": "cut off'
    path = tmp_path / "facts.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    ran = scr("import", path)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.count("\n") == 1
    assert "line 7,341" in ran.err
    assert "--skip-bad" in ran.err
    assert scr("log", "--json").json == []
    skipped = scr("import", path, "--skip-bad", "--json").json
    assert (skipped["added"], skipped["duplicate"], skipped["rejected"]) == (1, 9_998, 1)
    assert skipped["errors"][0]["line"] == 7_341


def test_update_keeps_the_id(scr: Scr) -> None:
    fact = scr("add", LYON, "--source", "first", "--json").json
    changed = scr("update", fact["id"][:5], NICE, "--json").json
    assert [*changed] == [*FACT_KEYS, "superseded"]
    assert (changed["id"], changed["text"], changed["source"]) == (fact["id"], NICE, "first")
    assert [one["text"] for one in scr("list", "--json").json] == [NICE]


def test_remove_and_undo(scr: Scr) -> None:
    ids = [scr("add", text, "--json").json["id"] for text in (LYON, KETTLE)]
    refused = scr("remove", ids[0], "zzzzzz")
    assert refused.status == 2
    assert len(scr("list", "--json").json) == 2, "one unknown id, and none is removed"
    assert [one["status"] for one in scr("remove", *ids, "--json").json] == ["removed", "removed"]
    assert scr("list", "--json").json == []
    (undone,) = scr("undo", "--json").json
    assert undone["kind"] == "remove"
    assert [one["id"] for one in scr("list", "--json").json] == ids
    assert "took back add" in scr("undo", 2).out
    assert scr("list", "--json").json == []
    nothing = scr("undo")
    assert nothing.status == 2
    assert "scr log" in nothing.err


def test_log(scr: Scr) -> None:
    scr("add", LYON)
    scr("add", NICE)
    scr("undo")
    kinds = [(one["number"], one["kind"], one["reverts"]) for one in scr("log", "--json").json]
    assert kinds == [(3, "undo", 2), (2, "add", None), (1, "add", None)]
    told = scr("log", "-n", 2).out
    assert "undo (takes back 2)" in told
    assert "add (undone)" in told


def test_namespaces_never_meet(scr: Scr) -> None:
    one = scr("add", LYON, "--namespace", "one", "--json").json
    scr("add", NICE, "--namespace", "two")
    assert [fact["text"] for fact in scr("list", "--namespace", "one", "--json").json] == [LYON]
    assert scr("check", "What is the capital of France?", "--json").json["facts"] == []
    (judged,) = scr("check", "What is the capital of France?", "--namespace", "two", "--json").json["facts"]
    assert judged["text"] == NICE
    assert scr("remove", one["id"], "--namespace", "two").status == 2
    assert scr("undo", "--namespace", "three").status == 2


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["add", ""], 2, "empty"),
        (["add", "x" * 4_001], 2, "limit"),
        (["add", "a\x00b"], 2, "U+0000"),
        (["add", "a <|im_start|>system b"], 2, "<|im_start|>"),
        (["add", LYON, "--valid-from", "soon"], 2, "2026-01-31"),
        (["show", "zzzzzz"], 2, "scr list"),
        (["show", "ab"], 2, "at least 4"),
        (["update", "zzzzzz", LYON], 2, "scr list"),
        (["remove", "zzzzzz"], 2, "scr list"),
        (["list", "--as-of", "yesterday"], 2, "2026-01-31"),
        (["list", "--namespace", ""], 2, "namespace"),
        (["import", "/does/not/exist"], 2, "cannot read"),
        (["export", "-o", "/does/not/exist"], 1, "--output"),
        (["search", " "], 2, "empty"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(scr: Scr, arguments: list[str], status: int, said: str) -> None:
    ran = scr(*arguments)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert scr("log", "--json").json == []


def test_a_store_that_is_a_file(scr: Scr, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    for given in (path, path / "below"):
        ran = scr("list", "--store", given)
        assert (ran.status, ran.err.count("\n")) == (2, 1)
        assert "--store" in ran.err
    assert path.read_text() == "mine"


READING = ["list", "show abcd", "search x", "export", "log", "check x", "ask x", "ask x --bare", "batch IN -o OUT"]
OTHERS = ["update abcd x", "remove abcd", "undo", "store info", "store verify", "store rebuild"]


@pytest.mark.parametrize("command", [*READING, *OTHERS])
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_store_that_is_not_there_is_made_by_those_that_fill_it(
    scr: Scr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, by_variable: bool
) -> None:
    (tmp_path / "IN").write_text('{"query": "Who?"}\n')
    monkeypatch.chdir(tmp_path)
    if by_variable:
        monkeypatch.setenv("SCR_STORE", "slip")
    ran = scr(*command.split(), *([] if by_variable else ["--store", "slip"]))
    assert (ran.status, ran.out) == (2, "")
    assert (
        ran.err == f"error: there is no store in {tmp_path / 'slip'}: give another --store, or make it with `scr add`\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"IN"}


def test_the_default_store_is_there_from_the_start(scr: Scr, tmp_path: Path) -> None:
    assert scr("list", "--json").json == []
    assert scr("store", "verify").status == 0
    scr("import", "-", "--store", tmp_path / "new", stdin=LYON.encode())
    assert scr("list", "--store", tmp_path / "new").out.count("Lyon") == 1


def test_a_store_that_is_no_ledger(scr: Scr, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "ledger.sqlite").write_bytes(b"no database" * 1000)
    ran = scr("list", "--store", tmp_path / "bad")
    assert (ran.status, ran.err.count("\n")) == (1, 1)
    assert "backup" in ran.err


@pytest.fixture
def no_root() -> Iterator[Callable[[], None]]:
    """Gives up root's right to write everything, until the end of the test."""
    root = os.geteuid() == 0
    yield lambda: os.seteuid(65_534) if root else None
    if root:
        os.seteuid(0)


def test_a_store_that_cannot_be_written(scr: Scr, no_root: Callable[[], None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "store"
        Path(name).chmod(0o755)
        identity = scr("add", LYON, "--store", folder, "--json").json["id"]
        for path in (*folder.rglob("*"), folder):
            path.chmod(0o555 if path.is_dir() else 0o444)
        no_root()
        assert [one["text"] for one in scr("list", "--json", "--store", folder).json] == [LYON]
        ran = scr("remove", identity, "--store", folder)
        assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "permissions" in ran.err or "--store" in ran.err
        assert [one["text"] for one in scr("list", "--json", "--store", folder).json] == [LYON]
        if os.geteuid() != os.getuid():
            os.seteuid(os.getuid())
        folder.chmod(0o755)
