"""docs/commands.md is what `--help` says."""

from __future__ import annotations

from pathlib import Path

from scr.commands.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "write it anew: python -m scr.commands.reference > docs/commands.md"
