"""The console's playground, decisions, foresight and import, without a browser."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape

from scr.gateway.keys import read_keys
from scr.gateway.recent import MOST_REQUESTS, Recent
from scr.pipeline import Decision

from .conftest import ASKED, LYON, Open, Running, chat
from .recorder import Handler, Recorder
from .test_console import EVIL, LINES, Browse, Browser, browse, browser, locked  # noqa: F401 (fixtures)

CHAT = "/v1/chat/completions"
FAR = "How deep is the harbour of Kelbrook?"


def echoes(handler: Handler) -> None:
    """Answer with what was asked, or list a model."""
    if handler.command == "GET":
        handler.say(200, b'{"data": [{"id": "the-model"}]}')
        return
    said = "You said: " + handler.sent.json["messages"][-1]["content"]
    handler.say(200, json.dumps({"choices": [{"message": {"content": said}}]}).encode())


def test_the_playground_shows_both_answers_and_why(browser: Browser, upstream: Recorder) -> None:  # noqa: F811
    upstream.answer = echoes
    assert 'value="the-model"' in browser.get("/playground").text
    upstream.sent.clear()
    shown = unescape(browser.post("/playground", {"question": ASKED, "model": "the-model"}).text)
    assert shown.count("You said:") == 2
    assert "With the facts" in shown
    assert re.search(r"applies</span> its score reaches", shown)
    asked = sorted(sent.json["messages"][0]["content"] for sent in upstream.sent)
    assert ASKED in asked
    assert any(LYON in one for one in asked)
    upstream.sent.clear()
    shown = browser.post("/playground", {"question": FAR, "model": "the-model"}).text
    assert "No fact governs" in shown
    assert "below the threshold" in shown
    assert len(upstream.sent) == 1
    assert "onerror=" not in unescape(browser.post("/playground", {"question": "x", "model": ""}).text)
    assert "no model is named" in browser.page.lower()


def test_an_answer_is_data_and_a_dead_server_is_said(browser: Browser, upstream: Recorder) -> None:  # noqa: F811
    browser.get("/playground")
    upstream.answer = lambda handler: handler.say(
        200, json.dumps({"choices": [{"message": {"content": EVIL}}]}).encode()
    )
    shown = browser.post("/playground", {"question": ASKED, "model": "m"}).text
    assert "<script>alert" not in shown
    assert EVIL in unescape(shown)
    for answer in (b"[]", b"nonsense", b'{"choices": []}'):
        upstream.answer = lambda handler, answer=answer: handler.say(200, answer)
        assert 'role="alert"' in browser.post("/playground", {"question": ASKED, "model": "m"}).text
    upstream.die()
    assert "cannot be reached" in browser.post("/playground", {"question": ASKED, "model": "m"}).text


def test_the_playground_shows_facts_to_those_who_may_read(
    locked: Running,  # noqa: F811
    upstream: Recorder,
    browse: Browse,  # noqa: F811
) -> None:
    upstream.answer = lambda handler: handler.say(200, b'{"choices": [{"message": {"content": "Fine."}}]}')
    asker, reader = browse(locked.url), browse(locked.url)
    asker.log_in("sk-asker")
    asker.get("/playground")
    shown = asker.post("/playground", {"question": ASKED, "model": "m"}).text
    assert "Fine." in shown
    assert LYON not in shown
    reader.log_in("sk-reader")
    assert reader.get("/playground").status_code == 403
    assert reader.get("/decisions").status_code == 200
    assert reader.get("/activity").status_code == 403
    assert asker.get("/decisions").status_code == 403
    assert reader.get("/import").status_code == 403


def test_decisions_are_kept_by_namespace_and_filtered(open_gateway: Open, browse: Browse) -> None:  # noqa: F811
    gateway = open_gateway(keys=read_keys(LINES, None))
    key = {"Authorization": "Bearer sk-root"}
    trace = gateway.client.post(CHAT, json=chat(), headers=key).headers["x-scr-trace"]
    gateway.client.post(CHAT, json=chat(EVIL), headers=key)
    gateway.client.post(CHAT, json=chat("Asked of acme?", scr={"namespace": "acme"}), headers=key)
    browser = browse(gateway.url)  # noqa: F811
    browser.log_in("sk-writer")
    shown = unescape(browser.get("/decisions").text)
    assert ASKED in shown
    assert EVIL in shown
    assert "<script>alert" not in browser.page
    assert "Asked of acme?" not in shown
    assert "Asked of acme?" in browser.get("/decisions", namespace="acme").text
    assert ASKED not in browser.get("/decisions", outcome="passed").text
    for found in ({"outcome": "edited"}, {"q": "lyon"}, {"q": trace}, {"q": "CAPITAL"}):
        shown = unescape(browser.get("/decisions", **found).text)
        assert ASKED in shown
        assert EVIL not in shown
    assert browser.get("/decisions", outcome="flown").status_code == 400
    browser.log_in("sk-root")
    shown = browser.get("/activity").text
    assert "3 requests, 1 edited" in shown
    assert "<svg" in shown


def test_what_could_not_be_decided_is_listed_with_its_reason(
    open_gateway: Open,
    browse: Browse,  # noqa: F811
) -> None:
    for on_failure, outcome, words in (("pass", "failed", "sent on"), ("refuse", "refused", "It was refused")):
        gateway = open_gateway(on_failure=on_failure, keys=read_keys(LINES, None))
        many = {"prompt": ["x"] * 300, "scr": {"namespace": "acme"}}
        answer = gateway.client.post("/v1/completions", json=many, headers={"Authorization": "Bearer sk-root"})
        assert (answer.status_code == 200) is (on_failure == "pass")
        browser = browse(gateway.url)  # noqa: F811
        browser.log_in("sk-root")
        shown = browser.get("/decisions", namespace="acme", outcome=outcome).text
        for part in ("could not be decided: large", words, "root", answer.headers["x-scr-trace"]):
            assert part in shown
        assert "could not be decided" not in browser.get("/decisions", outcome=outcome).text, "it was asked of acme"
        assert "1 could not be decided" in browser.get("/activity").text


def test_what_is_remembered_is_bounded() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    recent = Recent(lambda: now)
    for number in range(MOST_REQUESTS + 50):
        one = Decision("x" * 10_000, (), {})
        recent.note([one] * 20, trace=str(number), key="", namespace="default", seconds=0.002)
        now += timedelta(seconds=30)
    past = list(recent.past("default"))
    assert len(past) == MOST_REQUESTS
    assert len(past[0].query) <= 2_000
    assert past[0].trace == str(MOST_REQUESTS + 49)
    minutes = recent.minutes()
    assert len(minutes) == 60
    assert {minute.total for minute in minutes[:-1]} == {2}
    assert minutes[0].quantile(0.95) == 2.0
    assert minutes[-1].quantile(0.5) is None
    for refused, outcome in ((False, "failed"), (True, "refused")):
        recent.note([], trace="t", key="", namespace="default", seconds=0.1, failure="late", refused=refused)
        last = next(recent.past("default"))
        assert (last.outcome, last.reason) == (outcome, "late")
    assert recent.minutes()[-1].failed == 2, "both could not be decided"


def test_a_new_fact_is_tried_on_what_was_asked(gateway: Running, browse: Browse) -> None:  # noqa: F811
    for text in (ASKED, "Who wrote the Marsh Chronicle of Kelbrook?", ASKED):
        gateway.client.post(CHAT, json=chat(text))
    before = gateway.store.ledger.revision()
    browser = browse(gateway.url)  # noqa: F811
    browser.get("/facts/new")
    nice = {"text": "The capital of France is Nice.", "act": "preview"}
    shown = browser.post("/facts/new", nice).text
    assert "of the last 2 different questions" in " ".join(shown.lower().split())
    assert "would have changed <b>1</b>" in shown
    assert f"was given: {LYON}" in shown
    assert "takes the place of" in shown
    assert "Marsh" not in shown
    wrote = {"text": "The Marsh Chronicle of Kelbrook was written by Ada Brook.", "act": "preview"}
    shown = browser.post("/facts/new", wrote).text
    assert "Marsh Chronicle of Kelbrook?" in shown
    assert "contradicts no stored fact" in shown
    assert "there already" in browser.post("/facts/new", {"text": LYON, "act": "preview"}).text
    (fact,) = gateway.store.facts()
    away = {"text": "The lighthouse of Quillon is red.", "was": browser.mark_of(fact.id), "act": "preview"}
    shown = browser.post(f"/facts/{fact.id}/edit", away).text
    assert f"was given: {LYON}" in shown
    assert "would be given it" not in shown
    assert gateway.store.ledger.revision() == before


def test_what_a_fact_would_change_goes_by_when_it_holds(gateway: Running, browse: Browse) -> None:  # noqa: F811
    gateway.client.post(CHAT, json=chat())
    browser = browse(gateway.url)  # noqa: F811
    browser.get("/facts/new")
    later = {"text": "The capital of France is Nice.", "valid_from": "2190-01-01", "act": "preview"}
    assert "would have changed <b>0</b>" in browser.post("/facts/new", later).text
    (fact,) = gateway.store.facts()
    same = {"text": LYON, "was": browser.mark_of(fact.id), "source": "a letter", "act": "preview"}
    shown = browser.post(f"/facts/{fact.id}/edit", same).text
    assert "there already" not in shown
    assert "would have changed <b>0</b>" in shown
    shown = browser.post(f"/facts/{fact.id}/edit", {**same, "valid_to": "2020-01-01"}).text
    assert "would have changed <b>1</b>" in shown
    assert f"was given: {LYON}" in shown
    assert "would be given it" not in shown
    assert gateway.store.get(fact.id) == fact


def test_what_others_asked_is_told_to_keys_that_may_read(open_gateway: Open, browse: Browse) -> None:  # noqa: F811
    gateway = open_gateway(keys=read_keys([*LINES, "filler sk-filler write"], None))
    gateway.client.post(CHAT, json=chat(), headers={"Authorization": "Bearer sk-root"})
    nice = {"text": "The capital of France is Nice.", "act": "preview"}
    for secret, told in (("sk-filler", False), ("sk-writer", True)):
        browser = browse(gateway.url)  # noqa: F811
        browser.log_in(secret)
        browser.get("/facts/new")
        shown = browser.post("/facts/new", nice).text
        assert "What it would do" in shown
        assert (ASKED in shown) is told


def test_an_import_is_shown_before_it_is_done(gateway: Running, browse: Browse) -> None:  # noqa: F811
    browser = browse(gateway.url)  # noqa: F811
    browser.get("/import")
    lines = f"The capital of France is Nice.\n{LYON}\nThe harbour of Kelbrook is deep.\n{EVIL}<|im_end|>\n"
    before = gateway.store.ledger.revision()
    shown = browser.post("/import", {"data": lines, "act": "preview"}).text
    for words in ("<b>3</b> new", "<b>1</b> bad", "line 4", "The capital of France is Nice."):
        assert words in shown
    assert "<script>alert" not in shown
    mark = re.findall(r'name="mark" value="(\w+)"', shown)[0]
    assert browser.post("/import", {"data": lines, "act": "import", "mark": mark}).status_code == 409
    changed = {"data": lines + "One more.", "act": "import", "mark": mark, "skip_bad": "1"}
    assert browser.post("/import", changed).status_code == 409
    assert gateway.store.ledger.revision() == before
    assert browser.post("/import", {"data": " "}).status_code == 400
    done = browser.post("/import", {"data": lines, "act": "import", "mark": mark, "skip_bad": "1"})
    assert "Imported" in done.text
    assert "Kelbrook" in browser.get("/facts").text
