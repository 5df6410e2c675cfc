"""The pictures of the scope decision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scr.evaluation.scope_plots import Ranking, draw, precision_recall

SCORES = np.array([0.9, 0.8, 0.6, 0.1])


def test_precision_and_recall_at_each_rank() -> None:
    ranking = Ranking("any", SCORES, np.array([True, False, True, False]), ["a", "b", "a", "b"])
    recall, precision = precision_recall(ranking)
    assert recall == pytest.approx([0.5, 0.5, 1, 1])
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_a_panel_for_each_set_with_a_query_in_scope(tmp_path: Path) -> None:
    outside = Ranking("any", SCORES, np.zeros(4, dtype=bool), ["general"] * 4)
    assert draw({"general": [outside]}, tmp_path / "scope") == []
    inside = Ranking("any", SCORES, np.array([True, False, True, False]), ["$a$", "b", "$a$", "b"])
    written = draw({"general": [outside], "$towns$": [inside, inside]}, tmp_path / "scope")
    assert [path.name for path in written] == ["scope-precision.png", "scope-scores.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
