"""The console in a real browser, by clicks and keys; nothing may be complained of, nor asked of another host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scr.gateway.keys import read_keys

from .conftest import ASKED, LYON, Open, Running, chat
from .recorder import Recorder
from .test_console import LINES
from .test_console_answers import echoes

NICE = "The capital of France is Nice."


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the console in a fresh browser; at the end nothing may have been complained of."""
    said: list[str] = []
    asked: list[str] = []
    contexts, hosts = [], set()

    def open_it(url: str, path: str = "", **options: Any) -> Any:
        hosts.add(url)
        contexts.append(chromium.new_context(**options))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(15_000)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(f"{url}/console{path}")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert said == []
    assert all(any(one.startswith(f"{host}/console") for host in hosts) for one in asked)


def test_by_keys_alone_a_fact_is_found_tried_added_and_undone(gateway: Running, open_tab: Callable[..., Any]) -> None:
    gateway.client.post("/v1/chat/completions", json=chat())
    tab = open_tab(gateway.url, "/facts")
    tab.keyboard.press("/")
    tab.keyboard.type("Which city governs the French?")
    tab.wait_for_selector("#results >> text=similarity")
    assert LYON in tab.inner_text("#results")
    tab.focus("text=Add a fact")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#text:focus")
    tab.keyboard.type(NICE)
    tab.focus("text=What would it change?")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#results >> text=What it would do")
    assert ASKED in tab.inner_text("#results")
    assert tab.input_value("#text") == NICE
    assert [fact.text for fact in gateway.store.facts()] == [LYON]
    tab.focus("text=Add >> nth=-1")
    tab.press("button[value=save]", "Enter")
    tab.wait_for_selector("[role=status]")
    assert [fact.text for fact in gateway.store.facts()] == [NICE]
    tab.click("text=The whole log")
    tab.press("text=Undo >> nth=-1", "Enter")
    tab.wait_for_selector("[role=status]")
    assert [fact.text for fact in gateway.store.facts()] == [LYON]


def focused(tab: Any) -> str:
    """What has the focus: its text, or else its name; it must be seen to have it."""
    what, seen = tab.evaluate(
        """() => {
            const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
            return [one.innerText || one.name, one.matches(":focus-visible") && box.left >= 0 && box.top >= 0
                && (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)];
        }"""
    )
    assert seen, f"nobody sees that {what!r} has the focus"
    return str(what)


def test_tab_leads_through_the_page_from_its_top(gateway: Running, open_tab: Callable[..., Any]) -> None:
    tab = open_tab(gateway.url, "/facts")
    order = []
    while not order or (order[-1] != LYON and len(order) < 30):
        tab.keyboard.press("Tab")
        order.append(focused(tab))
    pages = ["Facts", "Import", "Log", "Playground", "Decisions", "Activity"]
    assert order == ["To the content", "scr", *pages, "Add a fact", "q", "all", "Search", LYON]
    tab.keyboard.press("Enter")
    tab.wait_for_selector("text=Edit")
    assert tab.inner_text("h1") == LYON
    tab.keyboard.press("Tab")
    assert focused(tab) == "To the content"
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert focused(tab) == "Edit", "the menu is passed over"
    tab.keyboard.press("Shift+Tab")
    assert focused(tab) == "Activity"


def test_the_charts_follow_what_is_asked(gateway: Running, open_tab: Callable[..., Any]) -> None:
    tab = open_tab(gateway.url, "/activity")
    assert "0 requests" in tab.inner_text("#live")
    assert tab.locator("#live rect.share").count() == 0
    tab.evaluate("document.body.dataset.stayed = 'yes'")
    gateway.client.post("/v1/chat/completions", json=chat())
    tab.wait_for_selector("#live >> text=1 request, 1 edited (100 %)", timeout=12_000)
    assert tab.locator("#live rect.share title").text_content().endswith(": 1 of 1")
    assert tab.locator("#live circle").count() == 2, "median and 95th percentile of one minute"
    gateway.client.post("/v1/chat/completions", json=chat("Who wrote Hamlet?"))
    tab.wait_for_selector("#live >> text=2 requests, 1 edited (50 %)", timeout=12_000)
    assert tab.evaluate("document.body.dataset.stayed") == "yes", "it was not loaded again"


def test_logged_in_on_a_phone_both_answers_fit(
    open_gateway: Open, upstream: Recorder, open_tab: Callable[..., Any]
) -> None:
    upstream.answer = echoes
    gateway = open_gateway(keys=read_keys(LINES, None))
    tab = open_tab(gateway.url, viewport={"width": 360, "height": 700}, is_mobile=True, color_scheme="dark")
    tab.fill("#key", "sk-root")
    tab.click("text=Log in >> nth=-1")
    tab.wait_for_url("**/console/facts")
    tab.click("nav >> text=Playground")
    tab.fill("#question", ASKED)
    tab.click("button.main")
    tab.wait_for_selector("#results table")
    assert tab.inner_text("#results").count("You said") == 2
    for path in ("/playground", "/facts", "/facts/new", "/decisions", "/activity", "/log", "/import"):
        tab.goto(f"{gateway.url}/console{path}")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.context.cookies()[0]["sameSite"] == "Strict"


def test_without_scripts_what_matters_works(gateway: Running, open_tab: Callable[..., Any]) -> None:
    tab = open_tab(gateway.url, "/import", java_script_enabled=False)
    tab.fill("#data", f"{NICE}\nThe harbour of Kelbrook is deep.")
    tab.click("text=Preview")
    assert "contradicts" in tab.inner_text("#results")
    tab.click("text=Import 2 facts")
    assert {fact.text for fact in gateway.store.facts()} == {NICE, "The harbour of Kelbrook is deep."}
    tab.goto(f"{gateway.url}/console/facts")
    tab.fill("#q", "harbour")
    tab.click("text=Search >> nth=-1")
    assert "Kelbrook" in tab.inner_text("#results li >> nth=0")
