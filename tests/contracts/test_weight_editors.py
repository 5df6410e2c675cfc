"""Every weight editor passes the same battery, on a tiny model; some of each kind do on every build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scr.editors import registry
from scr.editors.weights.alphaedit import AlphaEdit, AlphaEditConfig
from scr.editors.weights.come import Come, ComeConfig
from scr.editors.weights.editor import WeightEditor
from scr.editors.weights.ft import FtConfig, FtL, FtM
from scr.editors.weights.kn import Kn, KnConfig
from scr.editors.weights.lora import Lora, LoraConfig
from scr.editors.weights.memit import Memit, MemitConfig
from scr.editors.weights.moments import MomentsConfig
from scr.editors.weights.rome import Rome, RomeConfig, RRome
from scr.editors.weights.targets import TargetConfig

from ..editors.weights import tiny
from .editor_checks import CHECKS, Check, Subject

_MOMENTS = MomentsConfig(corpus=tiny.CORPUS, samples=8, length=64)
# A random model's states are no memory of anything, so more must change than in one that was trained.
_SEEK = TargetConfig(steps=40, rate=0.5, clamp=20.0, decay=0.0)
_TUNED = {"layers": (2,), "steps": 40, "rate": 2e-2}
_ROME = RomeConfig(layers=(1,), contexts=1, target=_SEEK, moments=_MOMENTS)
_MEMIT = {"layers": (0, 1), "contexts": 1, "target": _SEEK, "moments": _MOMENTS}

EDITORS: dict[str, Callable[[Any], WeightEditor[Any]]] = {
    "rome": lambda engine: Rome(engine, _ROME),
    "r-rome": lambda engine: RRome(engine, _ROME),
    "memit": lambda engine: Memit(engine, MemitConfig(**_MEMIT, weight=0.01)),
    "alphaedit": lambda engine: AlphaEdit(engine, AlphaEditConfig(**_MEMIT, threshold=1.0, ridge=0.01)),
    "come": lambda engine: Come(engine, ComeConfig(**_MEMIT, weight=0.01)),
    "ft-m": lambda engine: FtM(engine, FtConfig(**_TUNED)),
    "ft-l": lambda engine: FtL(engine, FtConfig(**_TUNED, bound=0.5)),
    "lora": lambda engine: Lora(engine, LoraConfig(rank=4, steps=40, rate=2e-2)),
    "kn": lambda engine: Kn(engine, KnConfig(contexts=1, steps=4)),
}
_OTHER_BUILDS = [
    *(
        (name, build)
        for build in ("qwen2", "gpt2", "gptj", "gpt_neox")
        for name in ("rome", "memit", "ft-m", "lora", "kn")
    ),
    ("memit", "phi"),
    ("memit", "phi3"),
    ("lora", "phi3"),
]


def test_every_weight_editor_is_under_the_contract() -> None:
    assert set(EDITORS) == {name for name in registry.names() if registry.traits(name).changes_weights}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", EDITORS)
def test_contract(name: str, check: Check, tmp_path: Path) -> None:
    check(Subject(EDITORS[name], "llama", decides=name != "kn"), tmp_path)


@pytest.mark.parametrize("check", CHECKS[:2] + CHECKS[4:5], ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "build"), _OTHER_BUILDS)
def test_contract_of_other_builds(name: str, build: str, check: Check, tmp_path: Path) -> None:
    check(Subject(EDITORS[name], build, decides=name != "kn"), tmp_path)


def test_what_a_method_is_called_is_what_its_traits_say() -> None:
    engine = tiny.engine()
    for name, make in EDITORS.items():
        traits = make(engine).traits
        assert (traits.name, traits.family) == (name, "weights")
        assert traits.changes_weights
        assert traits.paper
