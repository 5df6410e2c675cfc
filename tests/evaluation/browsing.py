"""What the tests of the report's page share: a browser, a run, and ways to read what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scr.evaluation.report.html import page as render
from scr.evaluation.report.sample import flags_of, sample_rows
from scr.evaluation.results import Answered, Results, Row, RowKey, read_cases

from .synthetic import Shape, make_run

SHAPE = Shape(methods=("bare", "oracle", "rag", "scr"), cases=12)
KEY = RowKey("river-towns", "tiny-135m", "scr", 100)
OURS = "#method=scr"
Open = Callable[..., Any]


def write_page(folder: Path, results: Results, run: Path) -> Path:
    """The page alone, without plots, which take seconds."""
    path = folder / "report.html"
    content = render(run.name, results, sample_rows(run, results))
    path.write_text(content, encoding="utf-8", errors="replace")
    return path


@pytest.fixture(scope="session")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its page."""
    run = make_run(tmp_path_factory.mktemp("runs") / "a run", SHAPE)
    write_page(run, Results.read(run), run)
    return run


@pytest.fixture
def open_page(chromium: Any, browsed: Path) -> Iterator[Open]:
    """Opens the report; at the end, nothing may have been asked of the network, and nothing complained of."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_it(anchor: str = "", path: Path | None = None, **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((path or browsed / "report.html").as_uri() + anchor)
        tab.wait_for_function("document.documentElement.dataset.ready === 'yes'")
        return tab

    yield open_it
    for context in contexts:
        context.close()
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert all(url.split("#")[0].endswith(".html") for url in asked if url.startswith("file"))


def row_of(run: Path, method: str, split: str = "raw", key: RowKey = KEY) -> Row:
    """The row of a method under a key whose own method does not matter."""
    wanted = (key.dataset, key.model, method, key.edits, split)
    found = [row for row in Results.read(run).rows
             if (row.dataset, row.model, row.method, row.edits, row.split) == wanted]  # fmt: skip
    assert len(found) == 1
    return found[0]


def column(tab: Any, name: str) -> dict[str, str]:
    """Values of the table's column by method, in the order that is shown."""
    script = """name => {
      const at = [...document.querySelectorAll('#table thead th')].findIndex(th => th.dataset.column === name);
      return [...document.querySelectorAll('#table tbody tr')].map(tr =>
        [tr.dataset.method, (tr.children[at].querySelector('.value') ?? tr.children[at]).textContent]);
    }"""
    return dict(tab.evaluate(script, name))


def shown_count(tab: Any) -> int:
    """How many questions pass the filters, as the page says it."""
    return int(tab.locator("#count").inner_text().split()[0].replace(",", ""))


def questions(run: Path, key: RowKey = KEY) -> list[tuple[Answered, frozenset[str]]]:
    """The questions of a row, each with what went wrong with its facts."""
    shows = bool(row_of(run, key.method, key=key).scope)
    return [(one, flags_of(case, one, shows)) for case in read_cases(run, key) for one in case.answered]
