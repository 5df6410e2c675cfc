"""The facts over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scr.commands import run
from scr.gateway.app import PASSED, make_app
from scr.gateway.editing import EDITED
from scr.gateway.openapi import openapi
from scr.gateway.settings import Settings

from .conftest import ASKED, LYON, Open, Running, chat

NICE = "The capital of France is Nice."


def add(gateway: Running, text: str, **fields: Any) -> Any:
    return gateway.client.post("/scr/facts", json={"text": text, **fields}).json()


def test_a_facts_life(gateway: Running) -> None:
    (lyon,) = gateway.client.get("/scr/facts").json()["facts"]
    assert lyon["text"] == LYON
    answer = gateway.client.post("/scr/facts", json={"text": NICE, "source": "a test"})
    assert answer.status_code == 201
    nice = answer.json()
    assert nice["superseded"] == [lyon["id"]]
    assert nice["source"] == "a test"
    again = gateway.client.post("/scr/facts", json={"text": NICE})
    assert (again.status_code, again.json()["duplicate"], again.json()["id"]) == (200, True, nice["id"])
    place = f"/scr/facts/{nice['id']}"
    assert gateway.client.get(place[:-6]).json()["text"] == NICE
    changed = gateway.client.patch(place, json={"text": "The capital of France is Lille."}).json()
    assert (changed["id"], changed["text"]) == (nice["id"], "The capital of France is Lille.")
    assert gateway.client.delete(place).json()["status"] == "removed"
    assert gateway.client.delete(place).status_code == 404
    steps = gateway.client.get(f"{place}/history").json()
    assert [step["event"] for step in steps] == ["added", "updated", "removed"]
    undone = gateway.client.post("/scr/undo", json={"count": 3}).json()
    assert [one["kind"] for one in undone] == ["remove", "update", "add"]
    assert [fact["id"] for fact in gateway.client.get("/scr/facts").json()["facts"]] == [lyon["id"]]
    assert len(gateway.client.get("/scr/facts?all=true").json()["facts"]) == 2
    log = gateway.client.get("/scr/log?limit=2").json()
    assert [one["kind"] for one in log] == ["undo", "undo"]
    assert gateway.client.post("/scr/undo", json={"count": 9}).status_code == 400


def test_what_is_added_is_decided_with_at_once(gateway: Running) -> None:
    question = "Who leads the Brisk company?"
    body = {"query": question}
    assert gateway.client.post("/scr/check", json=body).json()["in_scope"] is False
    fact = add(gateway, "The leader of the Brisk company is Ada Moss.")
    assert gateway.client.post("/scr/check", json=body).json()["facts"][0]["id"] == fact["id"]
    assert gateway.client.post("/v1/chat/completions", json=chat(question)).headers["x-scr-facts"] == fact["id"]
    found = gateway.client.post("/scr/search", json={"text": "Brisk", "k": 1}).json()
    assert [one["id"] for one in found] == [fact["id"]]
    gateway.client.delete(f"/scr/facts/{fact['id']}")
    assert gateway.client.post("/v1/chat/completions", json=chat(question)).headers["x-scr-decision"] == "passed"
    past = {"query": question, "as_of": fact["created_at"]}
    assert gateway.client.post("/scr/check", json=past).json()["in_scope"] is True


def test_a_conflict_in_other_words_is_found_as_on_the_command_line(gateway: Running) -> None:
    old = add(gateway, "Ghent is home to the head office of Quillon.")
    assert add(gateway, "The seat of Quillon has been moved to Lyon.")["superseded"] == [old["id"]]


def test_pages(gateway: Running) -> None:
    for number in range(6):
        add(gateway, f"Room {number} has a piano.")
    seen, after, pages = [], "", 0
    while after is not None:
        page = gateway.client.get("/scr/facts", params={"limit": 3, **({"after": after} if after else {})}).json()
        seen += [fact["text"] for fact in page["facts"]]
        after, pages = page["next"], pages + 1
    assert seen == [LYON, *(f"Room {number} has a piano." for number in range(6))]
    assert pages == 3
    last = gateway.client.get("/scr/facts").json()["facts"][4]
    past = {"as_of": last["created_at"], "after": gateway.client.get("/scr/facts").json()["facts"][2]["id"]}
    listed = gateway.client.get("/scr/facts", params=past).json()
    assert [fact["text"] for fact in listed["facts"]] == ["Room 2 has a piano.", "Room 3 has a piano."]
    assert listed["next"] is None
    assert gateway.client.get("/scr/facts?after=nothing").status_code == 404


def test_imports(gateway: Running) -> None:
    lines = b'{"text":"Mr Oak has a dog."}\n{"text":""}\n{"text":"Mr Elm has a cat.","source":"x"}\n'
    refused = gateway.client.post("/scr/facts/import", content=lines)
    assert refused.status_code == 422
    assert [one["line"] for one in refused.json()["errors"]] == [2]
    assert len(gateway.client.get("/scr/facts").json()["facts"]) == 1
    done = gateway.client.post("/scr/facts/import?skip_bad=true", content=lines).json()
    assert (done["added"], done["rejected"]) == (2, 1)
    table = b"text,source\nMs Ash has a cow.,farm\n"
    assert gateway.client.post("/scr/facts/import?format=csv", content=table).json()["added"] == 1
    assert gateway.client.post("/scr/facts/import?format=csv", content=b"a,b\n1,2\n").status_code == 400
    assert gateway.client.post("/scr/facts/import", content=b"").json()["added"] == 0
    assert gateway.client.post("/scr/undo").json()[0]["kind"] == "import"
    assert gateway.client.post("/scr/facts/import?on_conflict=reject", content=NICE.encode()).status_code == 409


def test_the_checks_are_the_command_lines(gateway: Running, open_gateway: Open) -> None:
    wrong: list[Any] = [{}, {"text": ""}, {"text": 7}, {"text": "<|im_start|>x"}, {"text": "x", "y": "z"}, [], None]
    wrong += [{"text": "x" * 4_001}, {"text": "x", "valid_from": "soon"}, {"text": "x", "on_conflict": "fight"}]
    wrong += [{"text": "a\x00b"}, {"text": "\ud800"}, {"text": "x", "namespace": " "}]
    for record in wrong:
        answer = gateway.client.post("/scr/facts", content=json.dumps(record))
        assert answer.status_code == 400, record
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert gateway.client.post("/scr/facts", json={"text": NICE, "on_conflict": "reject"}).status_code == 409
    for path in ("?limit=0", "?limit=x", "?limit=1e3", "?all=maybe", "?as_of=soon", "?sort=up", "?namespace=%00"):
        assert gateway.client.get(f"/scr/facts{path}").status_code == 400, path
    for path in ("/scr/facts/zzzzzzzzzzzz", "/scr/facts/z", "/scr/facts/%2e%2e", "/scr/facts/zzzz/history"):
        assert gateway.client.get(path).status_code == 404
    for path in ("/scr/search", "/scr/check"):
        assert gateway.client.post(path, json={}).status_code == 400
        assert gateway.client.post(path, content=b"\xff").status_code == 400
    short = open_gateway(max_fact=10)
    assert short.client.post("/scr/facts", json={"text": "x" * 11}).status_code == 400
    assert short.client.post("/scr/facts/import", content=b"x" * 11).status_code == 422
    assert len(gateway.client.get("/scr/facts?all=1").json()["facts"]) == 1


def test_the_shapes_are_the_command_lines(gateway: Running, capsys: pytest.CaptureFixture[str]) -> None:
    add(gateway, NICE)

    def scr(*arguments: str) -> Any:
        assert run([*arguments, "--store", str(gateway.store.path), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert gateway.client.get("/scr/facts").json()["facts"] == scr("list")
    assert gateway.client.get("/scr/log").json() == scr("log")
    found = gateway.client.post("/scr/search", json={"text": "France"}).json()
    assert found == scr("search", "France")
    said, told = gateway.client.post("/scr/check", json={"query": ASKED}).json(), scr("check", ASKED)
    assert {**said, "timings_ms": 0} == {**told, "timings_ms": 0}


def test_every_route_is_described(gateway: Running, tmp_path: Path) -> None:
    document = gateway.client.get("/scr/openapi.json").json()
    assert document == openapi()
    described = {(path, method.upper()) for path, routes in document["paths"].items() for method in routes}
    app = make_app(Settings("http://127.0.0.1:1", tmp_path / "other"))
    served = {(route.path, method) for route in app.routes for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    own = {one for one in served if one[0] not in {*EDITED, *PASSED} and not one[0].startswith("/console")}
    assert described == own
