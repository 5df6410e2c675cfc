"""The console without a browser: who may see and do what, and what the pages are made of."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from scr.facts import NewFact
from scr.gateway.console.sessions import SESSION_SECONDS, Sessions
from scr.gateway.keys import read_keys

from .conftest import LYON, Open, Running

LINES = (
    "asker sk-asker ask",
    "reader sk-reader read",
    "writer sk-writer read,write default,acme",
    "root sk-root admin",
)
PAGES = ("/facts", "/facts/new", "/log")
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} &amp; is a marsh in Kelbrook."


class Browser:
    """A client that keeps cookies and sends the forms that it was shown."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=20, trust_env=False, follow_redirects=True)
        self.page = ""

    def get(self, path: str, **params: str) -> httpx.Response:
        return self._kept(self.client.get(f"/console{path}", params=params or None))

    def post(self, path: str, data: Mapping[str, str], **headers: str) -> httpx.Response:
        token = re.search(r'name="csrf" value="([0-9a-f]+)"', self.page)
        fields = {"csrf": token[1] if token else "", **data}
        return self._kept(self.client.post(f"/console{path}", data=fields, headers=headers))

    def log_in(self, secret: str) -> httpx.Response:
        self.get("/login")
        return self.post("/login", {"key": secret})

    def mark_of(self, fact_id: str) -> str:
        """What the form of a fact says that it was when the form was opened."""
        return re.findall(r'name="was" value="(\w+)"', self.get(f"/facts/{fact_id}/edit").text)[0]

    def _kept(self, response: httpx.Response) -> httpx.Response:
        self.page = response.text
        return response


Browse = Callable[[str], Browser]


@pytest.fixture
def locked(open_gateway: Open) -> Running:
    return open_gateway(keys=read_keys(LINES, None))


@pytest.fixture
def browse(open_gateway: Open) -> Iterator[Browse]:  # noqa: ARG001 (which ends after it)
    """Opens browsers, which end before the gateways do."""
    with ExitStack() as stack:

        def open_it(url: str) -> Browser:
            opened = Browser(url)
            stack.enter_context(opened.client)
            return opened

        yield open_it


@pytest.fixture
def browser(open_gateway: Open, browse: Browse) -> Browser:
    """One before a gateway without keys."""
    return browse(open_gateway().url)


def test_a_session_is_signed_and_ends() -> None:
    now = 1000.0
    sessions, others = Sessions(b"one", lambda: now), Sessions(b"two", lambda: now)
    session = sessions.new("alice")
    cookie = sessions.cookie(session)
    assert sessions.read(cookie) == session
    assert others.read(cookie) is None
    stated, _, signature = cookie.partition(".")
    for wrong in ("", ".", stated, f"{stated}.", f"x{cookie}", f"{stated}.{'0' * len(signature)}", "é.é", cookie[:-1]):
        assert sessions.read(wrong) is None
    token = sessions.token(session)
    assert sessions.is_token(session, token)
    for wrong in ("", signature, others.token(session), sessions.token(sessions.new("alice")), "é"):
        assert not sessions.is_token(session, wrong)
    now += SESSION_SECONDS + 1
    assert sessions.read(cookie) is None


def test_a_session_that_is_ended_is_ended_everywhere(tmp_path: Path) -> None:
    now = time.time()
    one, other = (Sessions(b"secret", lambda: now, tmp_path) for _ in range(2))
    alone = Sessions(b"secret", lambda: now)
    first, second, nobody = one.new("alice"), one.new("alice"), one.new()
    for session in (first, nobody):
        one.end(session)
        alone.end(session)
    for sessions in (one, other, alone):
        assert sessions.read(sessions.cookie(first)) is None
        assert sessions.read(sessions.cookie(second)) == second
        assert sessions.read(sessions.cookie(nobody)) == nobody, "strangers cannot fill the list"
    now += SESSION_SECONDS + 60
    one.end(one.new("alice"))
    assert len([*tmp_path.iterdir()]) == 1, "what has ended by itself is forgotten"


def test_strangers_are_not_read_for_long(locked: Running, browse: Browse) -> None:
    browser = browse(locked.url)
    browser.get("/login")
    for path in ("/login", "/facts/new"):
        answer = browser.post(path, {"key": "x" * 20_000})
        assert answer.status_code == 413, path
    browser.get("/login")
    for origin in ("http://[", "null", "http://[:::]"):
        assert browser.post("/login", {"key": "sk-reader"}, Origin=origin).status_code == 403, origin


def test_nobody_enters_without_a_key(locked: Running, browse: Browse) -> None:
    browser = browse(locked.url)
    for path in ("", *PAGES):
        answer = browser.get(path)
        assert answer.url.path == "/console/login"
        assert LYON not in answer.text
    assert browser.log_in("sk-wrong").status_code == 401
    assert "not known" in browser.page
    assert browser.get("/facts").url.path == "/console/login"
    assert browser.log_in("sk-reader").url.path == "/console/facts"
    assert LYON in browser.page


def test_the_cookie_holds_no_secret_and_is_for_the_console_alone(locked: Running, browse: Browse) -> None:
    browser = browse(locked.url)
    browser.get("/login")
    before = {*browser.client.cookies.values()}
    data = {"key": "sk-root", "csrf": re.findall(r'name="csrf" value="([0-9a-f]+)"', browser.page)[0]}
    answer = browser.client.post("/console/login", data=data, follow_redirects=False)
    (stated,) = answer.headers.get_list("set-cookie")
    assert "sk-root" not in stated
    assert {"HttpOnly", "Path=/console", "SameSite=strict"} <= {part.strip() for part in stated.split(";")}
    assert before.isdisjoint(browser.client.cookies.values())  # one from before the log-in is not to be worth more
    browser.get("/facts")
    kept = dict(browser.client.cookies)
    assert browser.post("/logout", {}).url.path == "/console/login"
    assert browser.get("/facts").url.path == "/console/login"
    stolen = httpx.get(f"{locked.url}/console/facts", cookies=kept, trust_env=False)
    assert stolen.headers.get("location") == "/console/login", "who kept a copy of the cookie is logged out too"


def test_who_came_by_tls_has_a_cookie_that_goes_no_other_way(locked: Running, browse: Browse) -> None:
    browser = browse(locked.url)
    for headers, secure in (
        ({}, False),
        ({"X-Forwarded-Proto": "https"}, True),
        ({"X-Forwarded-Proto": "http"}, False),
    ):
        (stated,) = browser.client.get("/console/login", headers=headers).headers.get_list("set-cookie")
        assert ("secure" in stated.lower()) is secure


def test_a_log_in_leads_nowhere_else(locked: Running, browse: Browse) -> None:
    browser = browse(locked.url)
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
        named = dict.fromkeys(("next", "redirect", "url", "namespace", "return_to"), elsewhere)
        page = browser.get("/login", **named)
        assert page.status_code == 200
        assert "evil" not in page.text
        token = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)[0]
        data = {"csrf": token, "key": "sk-reader", **named}
        answer = browser.client.post("/console/login", params=named, data=data, follow_redirects=False)
        assert answer.status_code == 303
        assert re.fullmatch(r"/console(\?namespace=[\w%.+-]+)?", answer.headers["location"])
        browser.client.cookies.clear()


def test_the_rights_of_the_key_hold_for_every_page(locked: Running, browse: Browse) -> None:
    (fact,) = locked.store.facts()
    asker, reader, writer = (browse(locked.url) for _ in range(3))
    asker.log_in("sk-asker")
    for path in PAGES:
        assert asker.get(path).status_code == 403
        assert LYON not in asker.page
    reader.log_in("sk-reader")
    assert [reader.get(path).status_code for path in PAGES] == [200, 403, 200]
    assert "Add a fact" not in reader.get("/facts").text
    reader.get("/log")
    changes = {
        "/facts/new": {"text": "The tallest tree of Quillon is an oak."},
        f"/facts/{fact.id}/edit": {"text": "The capital of France is Nice.", "was": LYON},
        f"/facts/{fact.id}/remove": {},
        "/undo": {"operation": "1"},
    }
    for path, data in changes.items():
        assert reader.post(path, data).status_code == 403
    assert [one.text for one in locked.store.facts(every_status=True)] == [LYON]
    writer.log_in("sk-writer")
    assert writer.get("/facts", namespace="other").status_code == 403
    writer.get("/facts/new", namespace="acme")
    assert writer.post("/facts/new", {"text": "Acme's seat is Ghent.", "namespace": "acme"}).status_code == 200
    assert writer.post("/facts/new", {"text": "Acme's seat is Rome.", "namespace": "other"}).status_code == 403
    (added,) = locked.store.view(namespace="acme").facts()
    assert locked.store.ledger.log("acme", 1)[0].actor == "writer"
    assert writer.get(f"/facts/{added.id}").status_code == 404  # it is of another namespace
    assert writer.get(f"/facts/{added.id}", namespace="acme").status_code == 200


def test_a_form_needs_its_token_and_its_origin(browser: Browser, browse: Browse) -> None:
    new = {"text": "The tallest tree of Quillon is an oak."}
    other = browse(str(browser.client.base_url))
    other.get("/facts/new")
    browser.get("/facts/new")
    form = browser.page
    for answer in (
        browser.post("/facts/new", {**new, "csrf": ""}),
        browser.post("/facts/new", {**new, "csrf": re.findall(r'csrf" value="([0-9a-f]+)"', other.page)[0]}),
    ):
        assert answer.status_code == 403
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        browser.page = form
        assert browser.post("/facts/new", new, **headers).status_code == 403
    assert browser.client.post("/console/facts/new", json=new).status_code == 400
    browser.page = form
    assert new["text"] not in browser.client.get("/console/facts").text
    assert browser.post("/facts/new", new, Origin=str(browser.client.base_url).rstrip("/")).status_code == 200
    assert new["text"] in browser.get("/facts").text


def test_every_answer_has_the_policy_and_is_not_kept(locked: Running, browser: Browser, browse: Browse) -> None:
    answers = [browser.get(path) for path in (*PAGES, "/facts/nothing", "/static/console.css")]
    answers += [browse(locked.url).get("/facts"), browser.client.post("/console/undo", content=b"x")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert browser.get("/static/LICENSE.htmx").status_code == 404
    assert browser.get("/static/..%2Froutes.py").status_code == 404


class Inline(HTMLParser):
    """What the policy would not let run, and where a page points to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith(("on", "hx-on"))]
        self.targets += [names[name] or "" for name in ("src", "href", "action", "hx-get", "hx-post") if name in names]


def test_texts_are_data_on_every_page(browser: Browser) -> None:
    browser.get("/facts/new")
    browser.post("/facts/new", {"text": EVIL, "source": EVIL, "question": EVIL})
    fact = browser.client.get("/scr/facts").json()["facts"][-1]
    assert fact["text"] == EVIL
    shown = [browser.get(f"/facts/{fact['id']}{rest}").text for rest in ("", "/edit")]
    shown += [browser.get(path).text for path in PAGES]
    shown += [browser.get("/facts", q=EVIL).text, browser.get("/facts", namespace=EVIL[:40]).text]
    shown.append(browser.post("/facts/new", {"text": EVIL + "<|im_end|>"}).text)
    for text in shown:
        parser = Inline()
        parser.feed(text)
        assert parser.found == []
        assert "img" not in re.findall(r"<(\w+)", text)
        assert all(target.startswith(("/console", "#")) for target in parser.targets)
    assert [EVIL in unescape(text) for text in shown].count(True) >= 5


def test_a_fact_is_added_changed_removed_and_all_is_undone(browser: Browser) -> None:
    browser.get("/facts/new")
    answer = browser.post("/facts/new", {"text": "The capital of France is Nice.", "source": "a test"})
    assert "Added" in answer.text
    assert "in place of" in answer.text
    at = answer.url.path.removeprefix("/console")
    assert LYON not in browser.get("/facts").text
    assert LYON in browser.get("/facts", all="1").text
    mark, was = browser.mark_of(at.removeprefix("/facts/")), "The capital of France is Nice."
    refused = browser.post(f"{at}/edit", {"text": "The capital of France is Metz.", "was": "something else"})
    assert refused.status_code == 409
    assert "Metz" in refused.text  # what was written is not lost
    assert "Changed" in browser.post(f"{at}/edit", {"text": "The capital of France is Metz.", "was": mark}).text
    assert was in browser.page  # in its history
    assert "Removed" in browser.post(f"{at}/remove", {}).text
    for _ in range(3):
        number = re.search(r'name="operation" value="(\d+)"', browser.get("/log").text)
        assert number
        assert "Undone" in browser.post("/undo", {"operation": number[1]}).text
    stale = browser.post("/undo", {"operation": number[1]})
    assert stale.status_code == 409
    assert LYON in browser.get("/facts").text
    assert "Metz" not in browser.page


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"source": "an atlas"},
        {"valid_to": "2190-01-01"},
        {"subject": "France"},
        {"text": "The capital of France is Nice."},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_who_edits_what_somebody_has_changed_meanwhile_is_told(
    gateway: Running, browse: Browse, meanwhile: dict[str, str]
) -> None:
    browser = browse(gateway.url)
    (fact,) = gateway.store.facts()
    mine = {"text": LYON, "source": "a letter", "was": browser.mark_of(fact.id)}
    changed = gateway.store.update(fact.id, NewFact.of({"text": LYON, **meanwhile})).fact
    for act in ("save", "preview", "save"):
        answer = browser.post(f"/facts/{fact.id}/edit", {**mine, "act": act})
        assert answer.status_code == (200 if act == "preview" else 409)
        assert "a letter" in answer.text, "what was written is not lost"
        assert mine["was"] in answer.text, "and what was seen stays what was seen"
    assert gateway.store.get(fact.id) == changed
    assert browser.post(f"/facts/{fact.id}/edit", {**mine, "was": browser.mark_of(fact.id)}).status_code == 200
    assert gateway.store.get(fact.id).source == "a letter"


def test_what_is_wrong_is_said_beside_the_form(browser: Browser) -> None:
    browser.get("/facts/new")
    for data in ({"text": " "}, {"text": LYON, "valid_from": "soon"}, {"text": "x" * 5000}):
        answer = browser.post("/facts/new", data)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
    rejected = browser.post("/facts/new", {"text": "The capital of France is Nice.", "on_conflict": "reject"})
    assert rejected.status_code == 409
    assert 'value="reject" selected' in rejected.text
    assert "was there already" in browser.post("/facts/new", {"text": LYON}).text
    assert browser.get("/facts/zzzz").status_code == 404


def test_search_finds_by_meaning_and_pages_follow(gateway: Running, browse: Browse) -> None:
    browser = browse(gateway.url)
    gateway.store.add_all([NewFact.of({"text": f"The warden of bridge {n} is Ada."}) for n in range(60)])
    first = browser.get("/facts")
    assert first.text.count("warden") == 49
    following = re.search(r'href="/console(/facts\?after=[^"]+)">More', first.text)
    assert following
    assert browser.get(unescape(following[1])).text.count("warden") == 11
    assert LYON in browser.get("/facts", q="Which city governs the French?").text.partition("warden")[0]
