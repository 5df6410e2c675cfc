"""The report's page in a real browser: that nothing in a run can break it, and how it looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scr.evaluation.report import sample
from scr.evaluation.report.html import page as render
from scr.evaluation.report.sample import failed, sample_rows
from scr.evaluation.results import Results, Row

from .browsing import OURS, Open, column, questions, shown_count, write_page
from .synthetic import NASTY

PHONE = {"width": 360, "height": 780}

# Safety.


def whole(text: str) -> str:
    """Without halves of pairs, which a browser may show as it likes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_nasty_texts_are_shown_as_text(open_page: Open, browsed: Path) -> None:
    tab = open_page(OURS)
    title = tab.title()
    found = [(at, one) for at, (one, _) in enumerate(questions(browsed))][:36]
    for at, one in found:
        tab.evaluate("at => go(at)", at)
        assert whole(tab.locator(".asked").evaluate("node => node.textContent"))[:2_000] == whole(one.prompt)[:2_000]
        answer = whole(tab.locator(".pair .text").first.evaluate("node => node.textContent"))
        assert answer.startswith(whole(one.answer)[:3_000])
    used = " ".join(one.prompt + one.answer for _, one in found)
    assert all(text[:100] in used for text in NASTY)
    assert tab.title() == title
    assert tab.locator("img, iframe, script[src], object, embed, link:not([rel=icon])").count() == 0


def test_text_from_right_to_left_runs_so(open_page: Open) -> None:
    tab = open_page()
    tab.locator("#search").fill(NASTY[3])
    assert shown_count(tab) > 0
    directions = "node => getComputedStyle(node).unicodeBidi + ' ' + node.getAttribute('dir')"
    assert tab.locator(".pair .text").first.evaluate(directions) == "plaintext auto"


def test_the_policy_stops_what_is_injected(chromium: Any, browsed: Path, tmp_path: Path) -> None:
    """Even if escaping failed: a script, a handler, an address in the network, a style."""
    content = (browsed / "report.html").read_text(encoding="utf-8")
    bad = ("<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
           "<script src='https://example.org/x.js'></script><iframe srcdoc='x'></iframe>"
           "<b id=bad style='color:red'>b</b><base href='https://example.org/'>")  # fmt: skip
    (tmp_path / "bad.html").write_text(content.replace("<main>", f"{bad}<main>", 1), encoding="utf-8")
    context = chromium.new_context()
    tab = context.new_page()
    answered: list[str] = []
    tab.on("response", lambda response: answered.append(response.url))
    tab.goto((tmp_path / "bad.html").as_uri())
    tab.wait_for_function("document.documentElement.dataset.ready === 'yes'")
    assert tab.title() == "a run · scr evaluation"
    assert [url for url in answered if not url.startswith(("file", "data"))] == []
    assert tab.locator("#bad").evaluate("node => getComputedStyle(node).color") != "rgb(255, 0, 0)"
    assert tab.evaluate("document.baseURI").startswith("file:")
    script = """() => {
      try { document.body.innerHTML = '<b>x</b>'; return 'done'; } catch (error) { return error.name; }
    }"""
    assert tab.evaluate(script) == "TypeError"
    with pytest.raises(Exception, match=r"Failed to fetch|Content Security Policy"):
        tab.evaluate("fetch('https://example.org/')")
    context.close()


# Looks.

OVERLAPS = """() => {
  const bad = [];
  for (const svg of document.querySelectorAll('.panels svg')) {
    const boxes = [...svg.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
    boxes.forEach(([one, a], at) => boxes.slice(at + 1).forEach(([other, b]) => {
      const apart = a.left >= b.right - 1 || b.left >= a.right - 1 || a.top >= b.bottom - 2 || b.top >= a.bottom - 2;
      if (!apart) bad.push([one, other]);
    }));
  }
  return bad;
}"""


@pytest.mark.parametrize("width", [320, 360, 768, 1280, 1920])
def test_no_page_scrolls_sideways_and_no_words_overlap(open_page: Open, width: int) -> None:
    tab = open_page(viewport={"width": width, "height": 800})
    fits = lambda: tab.evaluate("document.documentElement.scrollWidth <= innerWidth")  # noqa: E731
    assert fits()
    assert tab.locator(".panels svg").count() == 5 + 5 + 1
    assert tab.evaluate(OVERLAPS) == []
    for button in tab.locator("#views [data-switch=view] button").all():
        tab.locator(f'#views [data-value="{button.get_attribute("data-value")}"]').click()
        assert fits()
    tab.locator("#list li").nth(7).click()
    for _ in range(20):
        tab.keyboard.press("j")
        assert fits()


def test_on_a_phone_the_question_takes_the_place_of_the_list(open_page: Open) -> None:
    tab = open_page(viewport=PHONE, has_touch=True)
    assert not tab.locator("#detail").is_visible()
    tab.locator("#list li").nth(2).tap()
    assert tab.locator("#detail").is_visible()
    assert not tab.locator("#list").is_visible()
    assert tab.evaluate("document.getElementById('detail').getBoundingClientRect().top") < 200
    tab.locator("#on").tap()
    assert tab.locator(".position").inner_text() == "4 of 72"
    tab.locator(".back").tap()
    assert tab.locator("#list").is_visible()


def test_plots_follow_the_width(open_page: Open) -> None:
    tab = open_page()
    tab.set_viewport_size({"width": 420, "height": 800})
    tab.wait_for_function("[...document.querySelectorAll('.panels svg')].every(svg => svg.clientWidth <= 420)")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


CONTRAST = """() => {
  const channel = (value) => { const c = value / 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const bad = [];
  const leaves = [...document.querySelectorAll('body *')].filter(node => node.checkVisibility() && !node.disabled
    && !node.closest('svg') && [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()));
  for (const node of leaves) {
    const [own, behind] = [getComputedStyle(node).color, ground(node)];
    const [a, b] = [light(own), light(behind)].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push([node.className || node.tagName, own, behind]);
  }
  return [leaves.length, bad];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_are_readable_in_both_schemes(open_page: Open, scheme: str) -> None:
    tab = open_page(color_scheme=scheme)
    tab.locator("#filter-outcome").select_option("failed")
    number, bad = tab.evaluate(CONTRAST)
    assert number > 200
    assert bad == []
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(ground.split("(")[1].split(",")[0]) < 60) == (scheme == "dark")


def test_print_leaves_out_what_paper_cannot_do(open_page: Open) -> None:
    tab = open_page()
    tab.emulate_media(media="print")
    assert not tab.locator("#cases").is_visible()
    assert not tab.locator("#controls").is_visible()
    assert tab.locator("#table").is_visible()
    assert tab.pdf().startswith(b"%PDF")


def test_every_field_and_plot_has_a_name(open_page: Open) -> None:
    tab = open_page()
    names = """() => [...document.querySelectorAll('select, input')].filter(node => !node.labels?.length).length
      + [...document.querySelectorAll('.panels svg:not([aria-label]), [role=region]:not([aria-label])')].length
      + [...document.querySelectorAll('button')].filter(node => !node.textContent.trim()).length"""
    assert tab.evaluate(names) == 0
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
    assert len(ids) == len(set(ids))


# Size.


def test_a_page_that_leaves_questions_out_says_so(
    open_page: Open, browsed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "AT_MOST_A_ROW", 30)
    results = Results.read(browsed)
    path = write_page(tmp_path, results, browsed)
    tab = open_page(OURS, path=path)
    bad = sum(failed(*one) for one in questions(browsed))
    assert 0 < bad < 30
    said = tab.locator("#count").inner_text()
    assert said.startswith("30 questions. This page holds 30 of 72 of these rows")
    assert f"all {bad} failures among them; 42 are left out" in said
    tab.locator("#filter-outcome").select_option("failed")
    assert shown_count(tab) == bad


def test_a_run_without_cases_says_so(open_page: Open, tmp_path: Path) -> None:
    row = Row("d", "m", "scr", 1, "raw", {"reliability": {}})
    content = render("empty", Results({}, (row,)), sample_rows(tmp_path, Results({}, (row,))))
    (tmp_path / "empty.html").write_text(content, encoding="utf-8")
    tab = open_page(path=tmp_path / "empty.html")
    assert tab.locator("#count").inner_text() == "The run has no cases of these rows."
    assert column(tab, "reliability") == {"scr": "–"}
    assert "one number of edits" in tab.locator("#plot-retention").inner_text()
    nothing = tmp_path / "nothing.html"
    nothing.write_text(render("nothing", Results({}, ()), []), encoding="utf-8")
    assert open_page(path=nothing).locator("#table-note").inner_text() == "No row has these settings."


def test_the_data_is_json_that_a_program_can_read(open_page: Open, browsed: Path) -> None:
    data = json.loads(open_page().locator("#report-data").evaluate("node => node.textContent"))
    assert len(data["rows"]) == len(Results.read(browsed).rows)
