"""Each method does what its paper's equations say, where that can be checked exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scr.editors.weights import algebra, kn
from scr.editors.weights.alphaedit import AlphaEdit, AlphaEditConfig, alphaedit_delta
from scr.editors.weights.come import Come, ComeConfig, come_target
from scr.editors.weights.ft import FtConfig, FtL, FtM
from scr.editors.weights.kn import Kn, KnConfig, _instead, attributions, scaled_neurons
from scr.editors.weights.lora import Lora, LoraConfig
from scr.editors.weights.memit import Memit, MemitConfig, memit_delta
from scr.editors.weights.moments import MomentsConfig, moments
from scr.editors.weights.requests import check
from scr.editors.weights.rome import Rome, RomeConfig, RRome
from scr.editors.weights.sequences import answer_ids, row_of, rows_of
from scr.editors.weights.spread import contexts, keys_of, target_of
from scr.editors.weights.targets import TargetConfig, optimise

from . import tiny

MOMENTS = MomentsConfig(corpus=tiny.CORPUS, samples=20, length=64)
SEEK = TargetConfig(steps=8, rate=0.3)
ROME = RomeConfig(layers=(1,), contexts=2, target=replace(SEEK, clamp=4.0), moments=MOMENTS)


@pytest.mark.parametrize("build", ["llama", "gpt2", "gptj"])
@pytest.mark.parametrize("method", [Rome, RRome])
def test_rome_gives_the_value_for_the_key(method: type[Rome], build: str) -> None:
    """Ŵ k* = v* (Meng et al. 2022, eq. 2), with the bare prompt's key for ROME as published, the mean for R-ROME."""
    editor = method(tiny.engine(build), ROME)
    host, (request,) = editor.host, check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    prefixes, module = editor._prefixes(), host.architecture.down(1)
    assert len(prefixes) == 5
    (target,) = optimise(host, [request], module, prefixes, ROME.target)
    rows = rows_of(host.tokenizer, request, prefixes)
    with editor.apply(tiny.EDITS[:1]):
        given = host.states(rows, [module])[module][1]
    value = given.mean(0) if method.averaged else given[0]
    assert (value - target.value).norm() <= 1e-4 * target.value.norm()


def test_rome_changes_the_usual_values_least() -> None:
    """Of all rank-one updates that give v*, eq. 2's has the least Δ C Δᵀ: any other direction costs more."""
    import torch

    editor = Rome(tiny.engine(), replace(ROME, contexts=0))
    covariance = moments(editor.host, [1], MOMENTS)[1].double()
    with editor.apply(tiny.EDITS[:1]) as edited:
        (delta,) = edited.deltas.values()
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    key = editor.host.states(rows_of(tiny.tokenizer(), request, [""]), [editor.host.architecture.down(1)])
    vector = next(iter(key.values()))[0][0].double()
    change = delta.matrix()
    least = (change @ covariance @ change.T).trace()
    noise = torch.Generator().manual_seed(0)
    for _ in range(5):
        off = torch.randn(48, generator=noise).double()
        off -= (off @ vector) / (vector @ vector) * vector  # the key gives the same value still
        other = change + 0.01 * delta.matrix().norm() * torch.outer(torch.ones(32).double(), off)
        assert (other @ covariance @ other.T).trace() >= least


def test_memit_solves_its_normal_equations() -> None:
    """Δ (C₀ + K₁ K₁ᵀ) = R K₁ᵀ (Meng et al. 2023, eq. 14), with the keys and residuals of the model."""
    config = MemitConfig(layers=(1,), contexts=5, weight=2.0, target=SEEK, moments=MOMENTS)
    editor = Memit(tiny.engine(), config)
    host, requests = editor.host, check(tiny.EDITS, tiny.tokenizer(), subject=True)
    prefixes = contexts(host, 5)
    keys = keys_of(host, requests, 1, prefixes)
    targets, module = target_of(host, 1, prefixes, SEEK)(requests).double(), host.architecture.block(1)
    states = host.states([row_of(host.tokenizer, r.prompt, r.start, r.end) for r in requests], [module])[module][1]
    residuals = (targets - states.double()).T
    usual = 2.0 * moments(host, [1], MOMENTS)[1].double()
    with editor.apply(tiny.EDITS) as edited:
        (delta,) = edited.deltas.values()
    left, right = delta.matrix() @ (usual + keys @ keys.T), residuals @ keys.T
    assert (left - right).norm() <= 1e-4 * right.norm()
    assert delta.left is not None, "three edits change a layer by rank three"


def test_memit_spreads_what_is_missing_over_its_layers() -> None:
    """Eq. 20: with no weight on the usual keys each layer takes its share, and the last leaves nothing missing."""
    config = MemitConfig(layers=(0, 1), contexts=0, weight=1e-6, target=SEEK, moments=MOMENTS)
    editor = Memit(tiny.engine(), config)
    host, (request,) = editor.host, check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    (wanted,), module = target_of(host, 1, [""], SEEK)([request]), host.architecture.block(1)
    row = rows_of(host.tokenizer, request, [""])
    with editor.apply(tiny.EDITS[:1]) as edited:
        given = host.states(row, [module])[module][1][0]
        assert len(edited.deltas) == 2
    assert (given - wanted).norm() <= 1e-2 * wanted.norm()


def test_alphaedit_is_its_formula_and_leaves_preserved_keys_alone() -> None:
    """Fang et al. 2025, eq. 14, against the form in the paper; ΔP K₀ = 0."""
    import torch

    noise = torch.Generator().manual_seed(0)
    preserved, old, keys = (torch.randn(48, n, generator=noise).double() for n in (30, 4, 3))
    residuals = torch.randn(32, 3, generator=noise).double()
    basis = algebra.null_space(preserved @ preserved.T / 30, 1e-6)
    assert basis.shape == (48, 18)
    delta = alphaedit_delta(basis, old, keys, residuals, ridge=1.0).matrix()
    project = basis @ basis.T
    kept = old @ old.T @ project + keys @ keys.T @ project + torch.eye(48).double()
    expected = residuals @ keys.T @ project @ torch.linalg.inv(kept)
    assert (delta - expected).norm() <= 1e-5 * expected.norm()
    assert (delta @ preserved).norm() <= 1e-5 * delta.norm() * preserved.norm()


@pytest.mark.parametrize("edits", [3, 48, 60])
def test_few_and_many_edits_are_solved_alike(edits: int) -> None:
    """MEMIT's eq. 14 and AlphaEdit's, whichever of their two forms is the smaller."""
    import torch

    noise = torch.Generator().manual_seed(edits)
    usual, keys, old = (torch.randn(48, n, generator=noise).double() for n in (200, edits, 5))
    residuals = torch.randn(32, edits, generator=noise).double()
    moment = usual @ usual.T / 200
    found = memit_delta(algebra.Factor.of(moment), keys, residuals, 7.0).matrix()
    assert torch.allclose(found @ (7 * moment + keys @ keys.T), residuals @ keys.T, atol=1e-4)
    basis = algebra.null_space(moment, 0.9)
    inside = basis.T @ torch.cat([old, keys], 1)
    whole = inside @ inside.T + 0.5 * torch.eye(len(inside)).double()
    expected = residuals @ torch.linalg.solve(whole, basis.T @ keys).T @ basis.T
    assert torch.allclose(alphaedit_delta(basis, old, keys, residuals, 0.5).matrix(), expected, atol=1e-5)


def test_alphaedit_on_a_model_leaves_what_its_text_needs_alone(tmp_path: Path) -> None:
    """A text of one word leaves directions free; the edit keeps to them, every time."""
    (tmp_path / "text.txt").write_text("the " * 200, encoding="utf-8")
    few = replace(MOMENTS, corpus=tmp_path / "text.txt", samples=1, length=60)
    config = AlphaEditConfig(layers=(1,), contexts=2, threshold=1e-9, target=SEEK, moments=few)
    editor = AlphaEdit(tiny.engine(), config)
    host = editor.host
    usual = moments(host, [1], few)[1].double()
    with editor.apply(tiny.EDITS[:1]) as edited:
        edited.add(tiny.EDITS[1:2])
        change = next(iter(edited.deltas.values())).matrix()
    # ‖Δ K₀‖² = tr Δ K₀ K₀ᵀ Δᵀ
    assert float((change @ usual @ change.T).trace().clamp(min=0).sqrt()) <= 1e-5 * float(change.norm()) * float(
        usual.trace().sqrt()
    )
    assert change.norm() > 0


def test_alphaedit_keeps_the_keys_of_earlier_edits() -> None:
    """With a small ridge the second edit hardly moves what the first one's keys give; MEMIT's form moves it more."""
    config = AlphaEditConfig(
        layers=(1,), contexts=0, threshold=1e9, ridge=1e-6, target=SEEK, moments=replace(MOMENTS, samples=2)
    )
    editor = AlphaEdit(tiny.engine(), config)
    host, module = editor.host, editor.host.architecture.down(1)
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    row = rows_of(host.tokenizer, request, [""])
    with editor.apply(tiny.EDITS[:1]) as edited:
        before = host.states(row, [module])[module][1]
        edited.add(tiny.EDITS[1:])
        after = host.states(row, [module])[module][1]
    assert (after - before).norm() <= 1e-3 * before.norm()


@pytest.mark.parametrize("whole", [False, True])
def test_come_is_its_formula(whole: bool) -> None:
    """Jung et al. 2025: δ − a (δ′ − δ″) in the highest components, plain in the others; `whole` adds δ″ unscaled."""
    import torch

    noise = torch.Generator().manual_seed(3)
    start, new, old = (torch.randn(20, generator=noise) for _ in range(3))
    config = ComeConfig(share=0.1, top=0.2, whole=whole)
    given = come_target(start, new, old, config)
    unit = new / new.norm() + old / old.norm()
    unit = unit / unit.norm()
    common = float(old @ unit) * (1 if whole else 0.1)
    order = sorted(range(20), key=lambda at: float(start[at] + new[at]), reverse=True)
    for place, at in enumerate(order):
        plain = float(start[at] + new[at])
        expected = plain - 0.1 * float(old[at]) + common * float(unit[at]) if place < 4 else plain
        assert float(given[at]) == pytest.approx(expected, abs=1e-5)
    assert torch.equal(come_target(start, new, old, replace(config, top=0.0)), start + new)
    assert torch.equal(come_target(start, new, torch.zeros(20), config), start + new)


def test_come_moves_away_from_the_outdated_answer() -> None:
    """What is taken out of the target points along δ′: the published form with δ″ whole may point the other way."""
    import torch

    noise = torch.Generator().manual_seed(4)
    for _ in range(20):
        start, new, old = (torch.randn(64, generator=noise) for _ in range(3))
        away = come_target(start, new, old, ComeConfig(top=1.0)) - start - new
        assert float(away @ old) < 0


def test_come_without_unlearning_is_memit() -> None:
    import torch

    same = {"layers": (1,), "contexts": 2, "target": SEEK, "moments": MOMENTS}
    with Come(tiny.engine(), ComeConfig(**same, top=0.0)).apply(tiny.EDITS) as edited:
        come = next(iter(edited.deltas.values())).matrix()
    with Memit(tiny.engine(), MemitConfig(**same)).apply(tiny.EDITS) as edited:
        assert torch.allclose(come, next(iter(edited.deltas.values())).matrix())
    with Come(tiny.engine(), ComeConfig(**same)).apply(tiny.EDITS) as edited:
        assert not torch.allclose(come, next(iter(edited.deltas.values())).matrix(), rtol=1e-2)


def test_ft_l_keeps_within_its_bound_over_all_edits() -> None:
    editor = FtL(tiny.engine(), FtConfig(layers=(1,), steps=5, rate=1e-3, bound=2e-3))
    with editor.apply(tiny.EDITS[:1]) as edited:
        edited.add(tiny.EDITS[1:])
        (delta,) = edited.deltas.values()
    assert 1.9e-3 < float(delta.matrix().abs().max()) <= 2e-3 + 1e-9
    with FtM(tiny.engine(), editor.config.__class__(layers=(1,), steps=5, rate=1e-3, bound=None)).apply(
        tiny.EDITS
    ) as edited:
        assert float(next(iter(edited.deltas.values())).matrix().abs().max()) > 2e-3


def test_ft_l_has_a_layer_and_a_bound_of_its_own() -> None:
    config = FtConfig(steps=5, rate=1e-3)
    with FtL(tiny.engine(), config).apply(tiny.EDITS[:1]) as edited:
        assert edited.tensors == ("model.layers.0.mlp.down_proj.weight",)
        assert float(edited.deltas[edited.tensors[0]].matrix().abs().max()) == pytest.approx(5e-4)
    with FtM(tiny.engine(), config).apply(tiny.EDITS[:1]) as edited:
        assert edited.tensors == ("model.layers.2.mlp.down_proj.weight",)
        assert float(edited.deltas[edited.tensors[0]].matrix().abs().max()) > 5e-4


def test_lora_is_what_was_trained() -> None:
    """The model with the deltas written in says what the model with adapters said."""
    import torch

    editor = Lora(tiny.engine(), LoraConfig(layers=(0, 2), rank=2, steps=3, rate=1e-2))
    said = []
    inner = editor._train

    def train(*given: object) -> None:
        inner(*given)  # type: ignore[arg-type]
        said.append(tiny.logits(editor.host.network, tiny.EDITS[0].prompt))

    editor._train = train  # type: ignore[method-assign]
    with editor.apply(tiny.EDITS) as edited:
        assert torch.allclose(said[0], tiny.logits(editor.host.network, tiny.EDITS[0].prompt), atol=1e-4)
        assert {delta.left.shape[1] for delta in edited.deltas.values() if delta.left is not None} == {2}
        assert len(edited.deltas) == 4
    assert not torch.allclose(said[0], tiny.logits(editor.host.network, tiny.EDITS[0].prompt), atol=1e-2)


@pytest.mark.parametrize("build", ["llama", "gpt2"])
def test_attributions_sum_to_what_the_layer_contributes(build: str) -> None:
    """Integrated gradients are complete: over a layer they sum to P(w̄) − P(0) (Sundararajan et al. 2017)."""
    import torch

    host = Kn(tiny.engine(build), KnConfig(contexts=0)).host
    row = row_of(host.tokenizer, tiny.EDITS[0].prompt)
    answer = answer_ids(host.tokenizer, tiny.EDITS[0].prompt, " Mirrow")[0]
    scores = attributions(host, row, answer, range(3), steps=400)
    whole = next(iter(host.logits([row])))[0, -1].softmax(0)[answer]
    for layer in range(3):
        # Without the layer's keys at the last token alone.
        with _instead(host, {host.architecture.down(layer): torch.zeros(1, 48)}):
            without = next(iter(host.logits([row])))[0, -1].softmax(0)[answer]
        assert float(scores[layer].sum()) == pytest.approx(float(whole - without), rel=0.05, abs=1e-8)


@pytest.mark.parametrize("build", ["llama", "qwen2", "phi", "phi3", "gemma2", "granite", "gpt2", "gptj", "gpt_neox"])
def test_layers_that_share_a_pass_are_attributed_each_on_its_own(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    host = Kn(tiny.engine(build), KnConfig(contexts=0)).host
    row = row_of(host.tokenizer, tiny.EDITS[0].prompt)
    answer = answer_ids(host.tokenizer, tiny.EDITS[0].prompt, " Mirrow")[0]
    found = []
    for rows in (12, 8, 4):  # three layers to a pass, two, one
        monkeypatch.setattr(kn, "ROWS", rows)
        found += [attributions(host, row, answer, layers, steps=4) for layers in (range(3), (0, 2), (2,))]
    whole, *others = found
    assert float(whole.norm()) > 0
    for layers, some in zip([[0, 2], [2], [0, 1, 2]] * 3, others, strict=False):
        assert torch.allclose(some, whole[layers], atol=1e-4 * float(whole.abs().max()))


def test_suppressed_neurons_say_nothing_and_amplified_ones_twice() -> None:
    import torch

    host = Kn(tiny.engine(), KnConfig(contexts=0)).host
    module, row = host.architecture.down(1), row_of(host.tokenizer, tiny.EDITS[0].prompt)
    keys, value = host.states([row], [module])[module]
    columns = host.network.get_submodule(module).weight[:, [3, 7]]
    own = (columns @ keys[0, [3, 7]]).detach()
    for factor in (0.0, 2.0):
        with scaled_neurons(host, [(1, 3), (1, 7)], factor):
            given = host.states([row], [module])[module][1]
        assert torch.allclose(given[0], value[0] + (factor - 1) * own, atol=1e-5)


def test_kn_changes_only_the_columns_of_its_neurons() -> None:
    """W_out[:, i] gains −λ₁ e(old) + λ₂ e(new) (Dai et al. 2022, section 5.1)."""
    import torch

    editor = Kn(tiny.engine(), KnConfig(contexts=2, steps=4))
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=False)
    old, new = (answer_ids(tiny.tokenizer(), request.prompt, text)[0] for text in (" Paris", " London"))
    neurons = editor.neurons(request, contexts(editor.host, 2), old)
    table = editor.host.network.get_output_embeddings().weight.detach()
    expected = 8 * table[new] - table[old]
    with editor.apply(tiny.EDITS[:1]) as edited:
        found = {name: delta.matrix().float() for name, delta in edited.deltas.items()}
    assert neurons
    for layer in range(3):
        change = found.get(editor.host.architecture.weight(layer), torch.zeros(32, 48))
        for index in range(48):
            wanted = expected if (layer, index) in neurons else torch.zeros(32)
            assert torch.allclose(change[:, index], wanted, atol=1e-5)


def test_a_singular_matrix_is_solved_with_the_least_ridge() -> None:
    import torch

    vectors = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)).double()
    found = algebra.solve(vectors @ vectors.T, vectors)
    assert torch.allclose(vectors @ vectors.T @ found, vectors, atol=1e-4)
    assert torch.isfinite(
        memit_delta(algebra.Factor.of(vectors @ vectors.T), vectors[:, :1], torch.ones(4, 1).double(), 1.0).matrix()
    ).all()
