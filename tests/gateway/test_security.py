"""Attacks written by hand, each with where it is put and what must hold (``injections.jsonl``; docs/security.md)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from scr.encoder import Encoder
from scr.errors import UsageError
from scr.facts import NewFact
from scr.gateway.keys import Key
from scr.gateway.settings import Settings
from scr.store import FactStore

from .conftest import LYON, serving
from .recorder import Recorder, recording

HERE = Path(__file__).parent
ATTACKS = [json.loads(line) for line in (HERE / "injections.jsonl").read_text("utf-8").splitlines()]
CHAT = "/v1/chat/completions"
SYSTEM = {"role": "system", "content": "Be brief."}
QUESTION = "What is the capital of France?"
ROOT, ASKER = {"Authorization": "Bearer sk-root"}, {"Authorization": "Bearer sk-asker"}


@dataclass(frozen=True)
class Target:
    client: httpx.Client
    upstream: Recorder
    store: FactStore

    def given(self, question: str, namespace: str) -> list[dict[str, Any]]:
        """What the model is given for a question."""
        body = {"model": "m", "messages": [SYSTEM, {"role": "user", "content": question}]}
        answer = self.client.post(CHAT, json={**body, "scr": {"namespace": namespace}}, headers=ROOT)
        assert answer.headers["X-SCR-Decision"] == "edited"
        turns: list[dict[str, Any]] = self.upstream.last.json["messages"]
        return turns

    def texts(self) -> list[str]:
        return [fact.text for fact in self.store.facts(every_status=True)]


@pytest.fixture(scope="module")
def target(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A gateway with keys, where every fact that is found is shown: what it says is here not the question."""
    path = tmp_path_factory.mktemp("security") / "store"
    with ExitStack() as stack:
        patch, upstream = stack.enter_context(pytest.MonkeyPatch.context()), stack.enter_context(recording())
        patch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
        patch.setattr("scr.gateway.service.open_scope", lambda *_: _Always())
        store = stack.enter_context(FactStore.open(path, encoder=encoder))
        store.add(NewFact.of({"text": LYON}))
        store.view(namespace="secret").add(NewFact.of({"text": "The code is 1234."}))
        keys = (Key.parse("root sk-root admin"), Key.parse("asker sk-asker ask default"))
        url = stack.enter_context(serving(Settings(upstream.url, path, keys=keys, decision_timeout=60)))
        client = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
        yield Target(client, upstream, store)


class _Always:
    """Says that every fact applies."""

    name, threshold = "always", 0.5

    def score(self, pairs: Any) -> Any:
        import numpy as np

        return np.ones(len(pairs), np.float32)


def enclosed(turns: list[dict[str, Any]], stored: str, asked: str) -> None:
    """The turn that asks, and no other, shows the fact word for word, within marks that nothing else could pass for."""
    assert [turn["role"] for turn in turns] == ["system", "user"]
    assert turns[0] == SYSTEM
    content = turns[1]["content"]
    assert content.startswith(asked)
    shown = content[len(asked) :]
    tag = re.search(r"\n<(facts-*)>\n- ", shown)
    assert tag
    opening, closing = f"<{tag[1]}>", f"</{tag[1]}>"
    assert content.count(opening) == content.count(closing) == 1
    assert shown.rstrip().endswith(closing)
    assert f"{opening}\n- {stored}\n{closing}" in shown
    plain = unicodedata.normalize("NFKC", content)
    loose = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    assert len(re.findall(rf"<\s*/?\s*{tag[1]}(?![\w-])", loose, re.IGNORECASE)) == 2, "not even read loosely"


def fact(target: Target, attack: str, holds: str, name: str) -> None:
    # Not by the client's own writer, which refuses halves of characters.
    raw = json.dumps({"text": attack, "namespace": name}).encode()
    answer = target.client.post("/scr/facts", content=raw, headers=ROOT)
    if holds == "refused":
        refused(answer, {400})
        assert list(target.store.view(namespace=name).facts(every_status=True)) == []
        return
    assert answer.status_code == 201
    assert answer.json()["text"] == attack, "as it was stated"
    enclosed(target.given(QUESTION, name), attack, QUESTION)


def query(target: Target, attack: str, _: str, __: str) -> None:
    enclosed(target.given(attack, "default"), LYON, attack)


def document(target: Target, attack: str, _: str, __: str) -> None:
    before = target.texts()
    refused(target.client.post("/scr/facts/import", content=attack.encode(), headers=ROOT), {400, 422})
    assert target.texts() == before


def search(target: Target, attack: str, _: str, __: str) -> None:
    before = target.texts()
    answer = target.client.post("/scr/search", json={"text": attack}, headers=ROOT)
    assert [one["text"] for one in answer.json()] == [LYON], "the namespace's own facts and no others"
    assert target.texts() == before


def namespace(target: Target, attack: str, holds: str, _: str) -> None:
    before, files = target.texts(), sorted(target.store.path.parent.iterdir())
    answer = target.client.get("/scr/facts", params={"namespace": attack}, headers=ROOT)
    if holds == "refused":
        refused(answer, {400})
    else:
        assert answer.json()["facts"] == []
    refused(target.client.get("/scr/facts", params={"namespace": attack}, headers=ASKER), {403, 400})
    assert (target.texts(), sorted(target.store.path.parent.iterdir())) == (before, files)


def fact_id(target: Target, attack: str, _: str, __: str) -> None:
    before = target.texts()
    for method in ("GET", "DELETE"):
        refused(target.client.request(method, f"/scr/facts/{quote(attack, safe='')}", headers=ROOT), {404})
    assert target.texts() == before


def option(target: Target, attack: dict[str, str], _: str, __: str) -> None:
    refused(target.client.post("/scr/facts", json=attack, headers=ROOT), {400})
    name, value = next(iter(attack.items()))
    refused(target.client.get("/scr/facts", params={name: value}, headers=ROOT), {400})


def header(target: Target, attack: list[str], _: str, __: str) -> None:
    name, value = attack
    body = {"messages": [{"role": "user", "content": QUESTION}], "scr": {"mode": "off"}}
    answer = target.client.post(CHAT, json=body, headers={**ROOT, name: value})
    assert answer.headers["X-SCR-Decision"] == "passed"
    assert "X-SCR-Facts" not in answer.headers
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-SCR-Trace"])
    sent = target.upstream.last.headers
    assert not [one for one in sent if one.startswith("x-scr-")]
    assert "authorization" not in sent


def steering(target: Target, attack: dict[str, str], _: str, __: str) -> None:
    sent = len(target.upstream.sent)
    body = {"messages": [{"role": "user", "content": "What is the code?"}], "scr": attack}
    answer = target.client.post(CHAT, json=body, headers=ASKER)
    refused(answer, {403})
    assert "1234" not in answer.text
    assert len(target.upstream.sent) == sent


def key_name(_: Target, attack: str, __: str, ___: str) -> None:
    with pytest.raises(UsageError):
        Key.parse(f"{attack} sk-secret ask")


def refused(answer: httpx.Response, statuses: set[int]) -> None:
    """A refusal in JSON, which no browser takes for a page, without headers that came from outside."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["error"]["message"]
    assert "set-cookie" not in answer.headers
    assert "Traceback" not in answer.text


PUT: dict[str, Callable[..., None]] = {
    "fact": fact, "query": query, "document": document, "search": search, "namespace": namespace, "id": fact_id,
    "option": option, "header": header, "steering": steering, "name": key_name,
}  # fmt: skip


@pytest.mark.parametrize("case", ATTACKS, ids=[one["id"] for one in ATTACKS])
def test_what_must_hold(target: Target, case: dict[str, Any]) -> None:
    PUT[case["where"]](target, case["attack"], case["holds"], case["id"])


def test_fifty_and_more_go_into_a_stored_fact_and_each_is_another_one() -> None:
    assert len({json.dumps(one["attack"]) for one in ATTACKS}) == len({one["id"] for one in ATTACKS}) == len(ATTACKS)
    assert {one["where"] for one in ATTACKS} == set(PUT)
    assert len([one for one in ATTACKS if (one["where"], one["holds"]) == ("fact", "enclosed")]) >= 50
