"""The report's page in a real browser: its table and its cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scr.evaluation.report.sample import failed
from scr.evaluation.results import Answered, RowKey, read_cases

from .browsing import KEY, OURS, SHAPE, Open, column, questions, row_of, shown_count

# The table.


def test_the_table_shows_the_figures_of_the_results(open_page: Open, browsed: Path) -> None:
    shown = column(open_page(), "portability")
    wanted = {method: row_of(browsed, method).scores["portability"]["contains"].value for method in SHAPE.methods}
    assert {method: float(value) for method, value in shown.items()} == pytest.approx(
        {method: value * 100 for method, value in wanted.items()}, abs=0.051
    )


def test_sorting_by_pointer_and_by_keyboard(open_page: Open, browsed: Path) -> None:
    tab = open_page()
    heading = tab.locator('th[data-column="reliability"]')
    assert heading.get_attribute("aria-sort") == "none"
    values = {method: row_of(browsed, method).scores["reliability"]["contains"].value for method in SHAPE.methods}
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert [values[method] for method in column(tab, "reliability")] == sorted(values.values(), reverse=True)
    tab.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [values[method] for method in column(tab, "reliability")] == sorted(values.values())
    assert tab.evaluate("document.activeElement.closest('th').dataset.column") == "reliability"
    tab.locator('th[data-column="method"] button').focus()
    tab.keyboard.press("Space")
    assert list(column(tab, "reliability")) == sorted(SHAPE.methods)
    assert heading.get_attribute("aria-sort") == "none"


def test_what_was_not_measured_stands_last_either_way(open_page: Open) -> None:
    tab = open_page()
    tab.get_by_role("button", name="Cost").click()
    for _ in range(2):
        tab.locator('th[data-column="seconds_per_edit"] button').click()
        assert list(column(tab, "seconds_per_edit"))[-1] == "bare"
        assert column(tab, "seconds_per_edit")["bare"] == "–"


def test_the_scope_table_has_cosine_beside_the_methods(open_page: Open, browsed: Path) -> None:
    tab = open_page()
    tab.get_by_role("button", name="Scope", exact=True).click()
    shown = column(tab, "auroc")
    assert list(shown) == ["oracle", "rag", "scr", "cosine at its best"]
    assert shown["oracle"] == "–"
    wanted = row_of(browsed, "rag").scope
    assert float(shown["cosine at its best"]) == pytest.approx(wanted["auroc"].value * 100, abs=0.051)
    fires = column(tab, "false_fire")["cosine at its best"]
    assert float(fires) == pytest.approx(wanted["at_best_false_fire"].value * 100, abs=0.051)
    assert tab.locator('#table tr[data-method="cosine at its best"] button').count() == 0, "it has no cases"
    assert tab.locator("#table-note").inner_text().endswith("flatters it.")
    tab.locator('th[data-column="auroc"] button').click()
    assert list(column(tab, "auroc"))[-1] == "oracle"


def test_preservation_says_which_one_it_is(open_page: Open) -> None:
    tab = open_page()
    for score, words in (("contains", "normalised"), ("exact", "byte for byte")):
        tab.locator(f'#controls [data-value="{score}"]').click()
        head = f"Preservation ({words})"
        assert head in tab.locator('th[data-column="locality_preservation"]').inner_text()
        assert head in tab.locator("#plot-scores").inner_text()
        assert head in tab.locator("#quality").inner_text()


SWITCHES = (
    ("dataset", "guild masters"),
    ("model", "coder/0.5b"),
    ("edits", "10"),
    ("split", "clean"),
    ("score", "exact"),
)


def test_switches(open_page: Open, browsed: Path) -> None:
    tab = open_page()
    now: dict[str, Any] = {
        "dataset": KEY.dataset,
        "model": KEY.model,
        "edits": "100",
        "split": "raw",
        "score": "contains",
    }
    for switch, value in SWITCHES:
        before = column(tab, "generalization")
        if switch in ("split", "score"):
            tab.locator(f'#controls [data-value="{value}"]').click()
            assert tab.locator(f'#controls [data-value="{value}"]').get_attribute("aria-pressed") == "true"
        else:
            tab.locator(f"#control-{switch}").select_option(value)
        now[switch] = value
        key = RowKey(now["dataset"], now["model"], "rag", int(now["edits"]))
        one = row_of(browsed, "rag", now["split"], key).scores["generalization"][now["score"]]
        shown = column(tab, "generalization")
        assert float(shown["rag"]) == pytest.approx(one.value * 100, abs=0.051)
        assert shown != before, f"{switch} changes nothing, so that this test cannot see it work"


def test_all_data_sets_stand_in_one_table(open_page: Open) -> None:
    tab = open_page()
    for name in ("dataset", "model", "edits"):
        tab.locator(f"#control-{name}").select_option("")
    assert tab.locator("#table tbody tr").count() == 2 * 2 * 3 * 4
    assert {"dataset", "model", "edits"} <= {
        *tab.locator("#table th[data-column]").evaluate_all("all => all.map(one => one.dataset.column)")
    }


def test_the_share_of_the_oracle(open_page: Open, browsed: Path) -> None:
    tab = open_page()
    tab.get_by_role("button", name="Share of oracle").click()
    scores = [row_of(browsed, method).scores["reliability"]["contains"].value for method in ("scr", "oracle")]
    assert float(column(tab, "reliability")["scr"]) == pytest.approx(100 * scores[0] / scores[1], abs=0.051)
    assert column(tab, "reliability")["oracle"] == "100.0"


# The cases.

FILTERS: dict[str, Callable[[Answered, frozenset[str]], bool]] = {
    "failed": failed,
    "false_fire": lambda _, flags: "false_fire" in flags,
    "wrong_fact": lambda _, flags: "wrong_fact" in flags,
    "no_fact": lambda _, flags: "no_fact" in flags,
    "not_preserved": lambda one, _: one.preserved is False,
    "not_right": lambda one, _: one.contains is False,
    "flawed": lambda one, _: bool(one.flaws),
    "cut": lambda one, _: one.finish_reason == "length",
}


def test_outcomes(open_page: Open, browsed: Path) -> None:
    tab = open_page()
    for method in ("scr", "rag"):
        tab.locator("#filter-method").select_option(method)
        found = questions(browsed, RowKey(KEY.dataset, KEY.model, method, KEY.edits))
        for name, fits in FILTERS.items():
            tab.locator("#filter-outcome").select_option(name)
            assert (name, shown_count(tab)) == (name, sum(fits(*one) for one in found))


def test_filters_that_find_something_and_leave_something_out(browsed: Path) -> None:
    """Without this the test above could pass on nothing."""
    every = [
        one for method in ("scr", "rag") for one in questions(browsed, RowKey(KEY.dataset, KEY.model, method, 100))
    ]
    assert all(0 < sum(fits(*one) for one in every) < len(every) for fits in FILTERS.values())


def test_kind_and_search(open_page: Open, browsed: Path) -> None:
    tab = open_page(OURS)
    assert shown_count(tab) == len(questions(browsed))
    tab.locator("#filter-kind").select_option("portability")
    assert shown_count(tab) == 24
    tab.locator("#search").fill("varnhem 6?")
    assert shown_count(tab) == 2
    assert "Varnhem 6?" in tab.locator("#list li").first.inner_text()
    tab.locator("#search").fill("no such thing anywhere")
    assert shown_count(tab) == 0
    assert tab.locator("#list").inner_text() == "No question passes these filters."
    assert tab.locator("#detail").inner_text() == "No question is open."


def test_the_clean_split_hides_flawed_questions(open_page: Open, browsed: Path) -> None:
    tab = open_page(OURS)
    tab.locator('#controls [data-value="clean"]').click()
    assert shown_count(tab) == sum(not one.flaws for one, _ in questions(browsed))


def test_paging_by_buttons_and_by_keyboard(open_page: Open) -> None:
    tab = open_page()
    place = lambda: tab.locator(".position").inner_text()  # noqa: E731
    assert place() == "1 of 72"
    assert tab.locator("#back").is_disabled()
    tab.locator("#on").click()
    assert place() == "2 of 72"
    for key, wanted in (("j", 3), ("ArrowRight", 4), ("k", 3), ("ArrowLeft", 2)):
        tab.keyboard.press(key)
        assert place() == f"{wanted} of 72"
    tab.locator("#list").focus()
    for key, wanted in (("ArrowDown", 3), ("End", 72), ("j", 72), ("Home", 1), ("ArrowUp", 1), ("PageDown", 11)):
        tab.keyboard.press(key)
        assert place() == f"{wanted} of 72"
        assert tab.locator('#list [aria-selected="true"]').get_attribute("data-place") == str(wanted - 1)
    tab.locator("#page-on").click()
    assert place() == "51 of 72"
    assert tab.locator("#list li").count() == 22
    assert tab.locator("#page-on").is_disabled()
    tab.keyboard.press("k")
    assert tab.locator("#list li").count() == 50


def test_letters_typed_into_the_search_do_not_turn_pages(open_page: Open) -> None:
    tab = open_page()
    tab.keyboard.press("/")
    tab.keyboard.type("j")
    assert tab.locator("#search").input_value() == "j"
    tab.locator("#search").fill("")
    assert tab.locator(".position").inner_text() == "1 of 72"


def test_a_question_shows_all_there_is(open_page: Open, browsed: Path) -> None:
    tab = open_page(OURS)
    case = next(read_cases(browsed, KEY))
    tab.locator("#list li").nth(1).click()
    one = case.answered[1]
    detail = tab.locator("#detail").inner_text()
    for wanted in (one.prompt.split(" <")[0], *one.answers, one.bare, *case.facts, *one.shown,
                   "Facts considered (2)", "0.970", "0.500", "What the model was given", "system",
                   "Bare answer", "The same question under other methods"):  # fmt: skip
        assert wanted in detail
    assert [*tab.locator("#detail mark").all_inner_texts()][:1] == [one.answers[0]]


def test_from_one_method_to_another(open_page: Open) -> None:
    tab = open_page()
    before = tab.locator(".asked").inner_text()
    tab.locator(".others button", has_text="oracle").click()
    assert tab.locator("#filter-method").input_value() == "oracle"
    assert tab.locator(".asked").inner_text() == before
    assert "oracle" in tab.locator(".about").inner_text()


def test_from_the_table_to_the_cases(open_page: Open) -> None:
    tab = open_page()
    tab.locator("#table tr[data-method=rag] .method").click()
    assert tab.locator("#filter-method").input_value() == "rag"
    assert tab.evaluate("document.getElementById('cases').getBoundingClientRect().top") < 300


def test_a_link_to_a_case(open_page: Open) -> None:
    tab = open_page()
    tab.locator("#control-dataset").select_option("guild masters")
    tab.locator("#filter-method").select_option("rag")
    tab.locator("#filter-outcome").select_option("false_fire")
    for _ in range(5):
        tab.keyboard.press("Escape")
        tab.keyboard.press("j")
    anchor = "#" + tab.url.partition("#")[2]
    again = open_page(anchor)
    for selector in (".asked", ".about", ".position", "#count"):
        assert again.locator(selector).inner_text() == tab.locator(selector).inner_text()
    assert "6 of" in again.locator(".position").inner_text()
    assert again.evaluate("document.querySelector('.asked').getBoundingClientRect().top") < 900


@pytest.mark.parametrize(
    "anchor", ["#method=gone&dataset=gone&case=gone&q=9&page=-3&view=gone&sort=gone", "#%", "#&&==<x>"]
)
def test_a_link_that_leads_nowhere_still_opens_the_page(open_page: Open, anchor: str) -> None:
    tab = open_page(anchor)
    assert shown_count(tab) >= 72
    assert tab.locator("#table tbody tr").count() >= 4
