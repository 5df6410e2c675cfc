"""Where a method's or a model's limits are, and that an update that is cut short leaves no trace there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scr.editors import Edit
from scr.editors.weights import alphaedit
from scr.editors.weights.alphaedit import AlphaEdit, AlphaEditConfig, joined
from scr.editors.weights.editor import WeightEditor
from scr.editors.weights.ft import FtConfig, FtM
from scr.editors.weights.host import Host
from scr.editors.weights.lora import Lora, LoraConfig
from scr.editors.weights.memit import Memit, MemitConfig
from scr.editors.weights.moments import MomentsConfig
from scr.editors.weights.rome import Rome, RomeConfig
from scr.editors.weights.targets import TargetConfig
from scr.engines.transformers import TransformersEngine
from scr.errors import EditError

from . import tiny

_MOMENTS = MomentsConfig(corpus=tiny.CORPUS, samples=8, length=64)
_SEEK = TargetConfig(steps=3)
_SPREAD = {"layers": (0, 1), "contexts": 0, "target": _SEEK, "moments": _MOMENTS}


@pytest.mark.parametrize("build", ["gemma2", "granite"])
@pytest.mark.parametrize("method", ["memit", "alphaedit"])
def test_a_model_that_bends_what_its_mlps_give_is_refused(method: str, build: str) -> None:
    """Δ K₁ = R is of the residual stream (Meng et al. 2023, eq. 14): behind a norm or a scale it would be missed."""
    engine = tiny.engine(build)
    editor: WeightEditor[Any] = (
        Memit(engine, MemitConfig(**_SPREAD)) if method == "memit" else AlphaEdit(engine, AlphaEditConfig(**_SPREAD))
    )
    before = tiny.weights(engine.network)
    with pytest.raises(EditError, match="use rome, ft-m or lora") as raised:
        editor.apply(tiny.EDITS[:1])
    assert "\n" not in str(raised.value)
    assert all(tensor.equal(before[name]) for name, tensor in tiny.weights(engine.network).items())
    with Rome(engine, RomeConfig(layers=(1,), contexts=0, target=_SEEK, moments=_MOMENTS)).apply(tiny.EDITS[:1]):
        assert not all(tensor.equal(before[name]) for name, tensor in tiny.weights(engine.network).items())


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_lora_learns_in_half_precision(kind: str) -> None:
    import torch

    (edit, *_) = tiny.EDITS
    network = tiny.network().to(getattr(torch, kind))
    engine = TransformersEngine(network, tiny.tokenizer(), f"tiny-{kind}")
    before, odds = tiny.weights(network), tiny.says(network, edit.prompt, edit.target)
    with Lora(engine, LoraConfig(rank=4, steps=15, rate=2e-2)).apply([edit]):
        assert tiny.says(network, edit.prompt, edit.target) > max(10 * odds, 0.1)
        assert {tensor.dtype for tensor in network.state_dict().values()} == {getattr(torch, kind)}
    assert all(tensor.equal(before[name]) for name, tensor in tiny.weights(network).items())


@pytest.mark.parametrize(
    "make",
    [lambda engine: Rome(engine, RomeConfig(layers=(0, 1))), lambda engine: FtM(engine, FtConfig(layers=(0, 1)))],
    ids=["rome", "ft-m"],
)
def test_a_method_of_one_layer_does_not_choose_among_several(make: Any) -> None:
    with pytest.raises(EditError, match="edits one layer and 2 are named"):
        make(tiny.engine()).apply(tiny.EDITS[:1])


def test_alphaedit_keeps_no_keys_of_an_update_that_was_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    editor = AlphaEdit(tiny.engine(), AlphaEditConfig(**_SPREAD, threshold=1e9, ridge=1e-3))
    ends: list[Any] = []
    for cut in (False, True):
        with editor.apply(tiny.EDITS[:1]) as edited:
            if cut:
                calls: list[int] = []

                def interrupted(kept: Any, keys: Any, calls: list[int] = calls) -> Any:
                    calls.append(1)
                    if len(calls) == 2:
                        raise KeyboardInterrupt
                    return joined(kept, keys)

                monkeypatch.setattr(alphaedit, "joined", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    edited.add(tiny.EDITS[1:2])
                monkeypatch.undo()
            edited.add(tiny.EDITS[2:])
            ends.append(tiny.weights(editor.host.network))
    assert all(tensor.equal(ends[1][name]) for name, tensor in ends[0].items())


def test_many_keys_are_kept_as_few_that_say_the_same() -> None:
    import torch

    noise = torch.Generator().manual_seed(0)
    old, new = (torch.randn(5, count, generator=noise).double() for count in (4, 3))
    found = joined(old, new)
    assert found.shape == (5, 5)
    assert torch.allclose(found @ found.T, old @ old.T + new @ new.T)
    assert joined(None, new) is new


def test_a_tokenizer_may_know_more_tokens_than_its_model() -> None:
    import copy

    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.add_special_tokens({"pad_token": "<|padding|>"})
    network = tiny.network()
    assert tokenizer.pad_token_id >= network.config.vocab_size
    host = Host.of(TransformersEngine(network, tokenizer, "tiny"))
    assert host.prefixes(2, 2) == Host.of(tiny.engine()).prefixes(2, 2)
    (edit, *_) = tiny.EDITS
    longer = replace(edit, prompt="It is known that the twin town of Ulvendorf")
    config = FtConfig(layers=(1,), steps=1)
    with FtM(TransformersEngine(network, tokenizer, "tiny"), config).apply([edit, longer]) as edited:
        assert edited.deltas


def test_a_subject_may_be_all_of_its_prompt() -> None:
    engine = tiny.engine()
    with Rome(engine, RomeConfig(layers=(1,), contexts=0, target=_SEEK, moments=_MOMENTS)).apply(
        [Edit("", "Zoë-Ångström’s", "harp", "Zoë-Ångström’s")]
    ) as edited:
        assert edited.deltas
