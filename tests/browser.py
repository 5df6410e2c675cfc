"""A real browser without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture
def chromium() -> Iterator[Any]:
    """A fresh browser for each test: while Playwright is open it holds its thread's event loop, which others need."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    with api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = found or (own if Path(own).exists() else None)
        if path is None:
            pytest.skip("no Chromium was found: apt-get install chromium, or name one in CHROMIUM")
        # Without its own sandbox, which needs rights that a container does not have; the pages are ours.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
