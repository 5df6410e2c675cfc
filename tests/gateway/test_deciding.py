"""Decisions for many requests at once, and what happens where there is none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from scr.engines import Prompt
from scr.errors import StoreBusy
from scr.facts import NewFact
from scr.gateway.deciding import CannotDecide, Decider
from scr.pipeline import Decision
from scr.scope import Candidate, ScopeClassifier
from scr.store import FactStore

from .conftest import ASKED, LYON, Open, chat
from .recorder import Recorder

CHAT = "/v1/chat/completions"


class Watched:
    """The real classifier, which a test can hold up or have fail; it remembers what it was asked together."""

    def __init__(self, classifier: ScopeClassifier) -> None:
        self._classifier, self.name, self.threshold = classifier, classifier.name, classifier.threshold
        self.batches: list[set[str]] = []
        self.held: set[str] | None = None  # queries that are held up; None is all
        self.go_on = threading.Event()
        self.go_on.set()

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> Any:
        queries = {query for query, _ in pairs}
        self.batches.append(queries)
        assert (self.held is not None and not self.held & queries) or self.go_on.wait(20)
        if any("poison" in query for query in queries):
            raise StoreBusy("locked")
        return self._classifier.score(pairs) if pairs else np.zeros(0, np.float32)


@pytest.fixture
def watched(classifier: ScopeClassifier) -> Watched:
    return Watched(classifier)


def decide(store: FactStore, scope: ScopeClassifier, asks: list[tuple[Prompt, str]], **options: Any) -> list[Any]:
    """All at once; what fails is in the list as it was raised."""

    async def together() -> list[Any]:
        decider = Decider(store, scope, **options)
        try:
            found = await asyncio.gather(*(decider.decide([p], n) for p, n in asks), return_exceptions=True)
            return [one[0] if isinstance(one, list) else one for one in found]
        finally:
            await decider.aclose()

    return asyncio.run(together())


def test_concurrent_requests_are_decided_together_and_each_gets_its_own(store: FactStore, watched: Watched) -> None:
    store.add(NewFact.of({"text": LYON}))
    store.view(namespace="other").add(NewFact.of({"text": "The capital of France is Nice."}))
    asks = [(ASKED, "default"), ("Who wrote Hamlet?", "default"), (ASKED, "other"), (ASKED, "none"), (ASKED, "default")]
    sizes: list[int] = []

    async def together() -> list[Decision]:
        decider = Decider(store, watched, on_batch=lambda size, _: sizes.append(size))
        found = await asyncio.gather(*(decider.decide([query], namespace) for query, namespace in asks))
        async with asyncio.timeout(20):
            while not sizes:  # it is counted when the last has its answer
                await asyncio.sleep(0.01)
        await decider.aclose()
        return [one[0] for one in found]

    found = asyncio.run(together())
    texts = [[fact.text for fact in decision.applying] for decision in found]
    assert texts == [[LYON], [], ["The capital of France is Nice."], [], [LYON]]
    assert sizes == [5]
    assert watched.batches.count({ASKED}) == 3  # in two namespaces, each request by itself; the third has no facts
    assert {"Who wrote Hamlet?"} in watched.batches


def test_nobody_waits_for_the_last_of_a_batch(store: FactStore, watched: Watched) -> None:
    store.add(NewFact.of({"text": LYON}))

    async def one_after_the_other() -> None:
        decider = Decider(store, watched)
        watched.held = {"Who wrote Hamlet?"}
        first, second = (asyncio.create_task(decider.decide([q], "default")) for q in (ASKED, "Who wrote Hamlet?"))
        try:
            async with asyncio.timeout(20):
                assert (await first)[0].in_scope
            assert not second.done()
        finally:
            watched.go_on.set()
        assert not (await second)[0].in_scope
        await decider.aclose()

    watched.go_on.clear()
    asyncio.run(one_after_the_other())


def test_a_decision_does_not_depend_on_who_asks_beside(store: FactStore, classifier: ScopeClassifier) -> None:
    store.add_all([NewFact(f"The mayor of Town {number} is Ada Kov{number * 'a'}.") for number in range(1, 12)])
    asks = [(f"Who is the mayor of Town {number}, and why was that a surprise?", "default") for number in range(1, 7)]
    alone = [decide(store, classifier, [ask])[0] for ask in asks]
    together = decide(store, classifier, asks)
    assert [[judged.score for judged in one.facts] for one in together] == [
        [judged.score for judged in one.facts] for one in alone
    ]


def test_what_one_request_breaks_is_not_the_others_loss(store: FactStore, watched: Watched) -> None:
    store.add(NewFact.of({"text": LYON}))
    found = decide(store, watched, [(ASKED, "default"), ("poison", "default"), (ASKED, "default")])
    assert isinstance(found[1], CannotDecide)
    assert found[1].reason == "store"
    assert [isinstance(one, Decision) and one.in_scope for one in (found[0], found[2])] == [True, True]


def test_a_decision_has_its_time(store: FactStore, watched: Watched) -> None:
    store.add(NewFact.of({"text": LYON}))
    watched.go_on.clear()
    start = time.monotonic()
    try:
        found = decide(store, watched, [(ASKED, "default")] * 40, timeout=0.2)
    finally:
        watched.go_on.set()
    assert {one.reason for one in found if isinstance(one, CannotDecide)} == {"late"}
    assert time.monotonic() - start < 5


def test_more_than_can_wait_are_told_so(store: FactStore, watched: Watched) -> None:
    store.add(NewFact.of({"text": LYON}))

    async def crowd() -> None:
        decider = Decider(store, watched)
        with pytest.raises(CannotDecide, match="too many") as problem:
            await decider.decide([ASKED] * 5_000, "default")
        assert problem.value.reason == "busy"
        assert (await decider.decide([ASKED], "default"))[0].in_scope
        await decider.aclose()

    asyncio.run(crowd())


def test_on_failure_pass_and_refuse(
    open_gateway: Open, upstream: Recorder, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scr.gateway.service.open_scope", lambda *_: watched)
    passing, refusing = open_gateway(), open_gateway(on_failure="refuse")
    passed = passing.client.post(CHAT, json=chat("poison"))
    assert passed.status_code == 200
    assert passed.headers["x-scr-decision"] == "passed"
    assert upstream.last.json == chat("poison")
    refused = refusing.client.post(CHAT, json=chat("poison"))
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert refused.json()["error"]["code"] == "cannot_decide"
    assert len(upstream.sent) == 1
    for gateway, outcome in ((passing, "passed"), (refusing, "refused")):
        counted = f'scr_decision_failures_total{{outcome="{outcome}",reason="store"}} 1.0'
        assert counted in gateway.client.get("/metrics").text
        assert gateway.client.post(CHAT, json=chat()).headers["x-scr-decision"] == "edited"


def test_more_prompts_than_one_request_may_hold(open_gateway: Open, upstream: Recorder) -> None:
    body = {"prompt": ["x"] * 257}
    assert open_gateway().client.post("/v1/completions", json=body).headers["x-scr-decision"] == "passed"
    assert upstream.last.json == body
    refused = open_gateway(on_failure="refuse").client.post("/v1/completions", json=body)
    assert refused.status_code == 400


def test_many_clients_at_once_get_their_own_answers(open_gateway: Open, upstream: Recorder) -> None:
    gateway = open_gateway()
    upstream.answer = lambda handler: handler.say(200, handler.sent.body)

    def ask(number: int) -> bool:
        text = ASKED if number % 4 == 0 else f"Who wrote book number {number}?"
        answer = gateway.client.post(CHAT, json=chat(text, user=str(number)))
        edited = LYON in answer.json()["messages"][0]["content"]
        said = answer.headers["x-scr-decision"] == "edited"
        return answer.json()["user"] == str(number) and edited == said == (number % 4 == 0)

    with ThreadPoolExecutor(16) as clients:
        assert all(clients.map(ask, range(80)))
    assert len(upstream.sent) == 80
