"""Settings from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from scr.editors.weights.come import ComeConfig
from scr.editors.weights.ft import FtConfig
from scr.editors.weights.memit import MemitConfig
from scr.editors.weights.options import configured
from scr.errors import UsageError


def test_settings_are_read_and_those_of_parts_too() -> None:
    config = configured(MemitConfig, "layers=3-5+8; weight=1e3;steps=7;corpus=a b.txt;dtype=float64", "memit")
    assert (config.layers, config.weight) == ((3, 4, 5, 8), 1000.0)
    assert (config.target.steps, config.moments.corpus, config.moments.dtype) == (7, Path("a b.txt"), "float64")
    assert config.contexts == MemitConfig().contexts
    assert configured(MemitConfig, "contexts=0;weight=0", "memit").contexts == 0
    assert configured(FtConfig, "bound=0.1", "ft-l").bound == 0.1


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("speed=9", "no setting 'speed': use one of layers, contexts, weight, steps"),
        ("target=3", "no setting 'target'"),
        ("layers", "has no value"),
        ("layers=a", "cannot be 'a'"),
        ("steps=1.5", "cannot be '1.5'"),
        ("dtype=int8", "cannot be 'int8'"),
        ("dtype=4", "cannot be '4'"),
        ("steps=0", "cannot be '0'"),
        ("length=0", "cannot be '0'"),
        ("samples=-5", "cannot be '-5'"),
        ("contexts=-1", "cannot be '-1'"),
        ("rate=nan", "cannot be 'nan'"),
        ("rate=0", "cannot be '0'"),
        ("weight=inf", "cannot be 'inf'"),
        ("decay=-1", "cannot be '-1'"),
    ],
)
def test_what_cannot_be_set_is_refused(option: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        configured(MemitConfig, option, "memit")


@pytest.mark.parametrize("option", ["share=1.5", "top=2"])
def test_a_share_is_one_at_most(option: str) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        configured(ComeConfig, option, "come")
