"""The picture of sequences of edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib import pyplot

from benchmarks.editors.plot import plot

_LENGTH: dict[str, Any] = {
    name: {"value": 0.5} for name in ("efficacy_said", "paraphrase_said", "neighbourhood_said")
} | {"perplexity": 30.0}


@pytest.fixture
def panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws rows; the picture's axes."""

    def drawn(rows: dict[str, Any]) -> Any:
        kept: list[Any] = []
        monkeypatch.setattr(pyplot, "close", kept.append)
        plot(rows, tmp_path / "picture.png")
        assert (tmp_path / "picture.png").stat().st_size > 0
        return kept[0].axes

    return drawn


@pytest.fixture
def looks(panels: Any) -> Any:
    """Draws methods; by their names in the legend, their colour and marker."""

    def drawn(*methods: str) -> dict[str, tuple[Any, ...]]:
        lines = panels({method: {"1": _LENGTH, "10": _LENGTH} for method in methods})[0].get_lines()
        return {line.get_label(): (line.get_color(), line.get_marker()) for line in lines}

    return drawn


def test_a_method_looks_the_same_in_every_picture(looks: Any) -> None:
    one, other = looks("kn", "rome:steps=1", "scr"), looks("rome", "kn")
    assert list(one) == ["scr", "rome", "kn"]
    assert {name: one[name] for name in other} == other


def test_a_row_of_a_method_that_has_several_takes_no_other_methods_colour(looks: Any) -> None:
    drawn = looks("alphaedit", "memit:weight=1", "memit:weight=2", "memit:weight=3", "memit:weight=4", "mine")
    assert len({colour for colour, _ in drawn.values()}) == len(drawn) == 6


def test_no_two_methods_look_alike(looks: Any) -> None:
    drawn = looks("scr", "memit:weight=1", "memit:weight=2", "mine", *(f"their-{number}" for number in range(8)))
    assert {"memit:weight=1", "memit:weight=2", "mine"} < set(drawn)
    assert len(set(drawn.values())) == len(drawn) == 12


def test_the_perplexity_of_a_model_that_is_long_lost_is_drawn_on_the_edge(panels: Any) -> None:
    lost = panels({"scr": {"1": _LENGTH, "10": _LENGTH}, "kn": {"1": _LENGTH, "10": _LENGTH | {"perplexity": 1e54}}})
    kept = panels({"scr": {"1": _LENGTH, "10": _LENGTH | {"perplexity": 300.0}}})
    assert list(lost[-1].get_lines()[1].get_ydata()) == [30.0, 1e10]
    assert lost[-1].get_ylim()[1] == 1e10
    assert lost[-1].yaxis.get_major_formatter()(1e10) == "≥1e+10"
    assert list(kept[-1].get_lines()[0].get_ydata()) == [30.0, 300.0]
    assert kept[-1].get_ylim()[1] < 1e3
