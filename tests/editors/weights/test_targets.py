"""Target optimisation, and the contexts before its prompts."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from scr.editors.weights import targets
from scr.editors.weights.hooks import changed
from scr.editors.weights.host import Host
from scr.editors.weights.requests import check
from scr.editors.weights.sequences import batch_of, essence_of, rows_of
from scr.editors.weights.targets import TargetConfig, _Edit, _Objective, optimise
from scr.errors import EditError

from . import tiny


@pytest.mark.parametrize("build", ["llama", "qwen2", "gpt2", "gptj", "gpt_neox"])
def test_what_is_computed_once_and_together_changes_nothing(build: str) -> None:
    """The losses, with the cache of what stands before the subjects, equal those of whole passes of one row each."""
    import torch

    host = Host.of(tiny.engine(build))
    requests = check(tiny.EDITS, tiny.tokenizer(), subject=True)
    prefixes, module = ["", "Because of it. ", "It is so, you see. "], host.architecture.block(1)
    answers = [" Mirrow on Sea", *(request.target for request in requests[1:])]
    edits = [_Edit.of(host, *pair, prefixes) for pair in zip(requests, answers, strict=True)]
    assert len({len(edit.answer) for edit in edits}) > 1
    objective = _Objective.of(host, edits)
    assert objective.begin > 0
    deltas = torch.randn(len(edits), 32, generator=torch.Generator().manual_seed(1))
    losses, essences = objective.of_delta(host, module, deltas)
    for edit, delta, loss, essence in zip(edits, deltas, losses.tolist(), essences, strict=True):
        plain, ids = 0.0, edit.answer
        for row in rows_of(host.tokenizer, edit.request, prefixes):
            said = _with(host, batch_of([row.then(ids[:-1])], 0, "cpu"), module, delta)
            plain -= float(sum(said[0, len(row.ids) - 1 + at, token] for at, token in enumerate(ids))) / len(ids) / 3
        assert loss == pytest.approx(plain, rel=1e-4)
        said = _with(host, batch_of([essence_of(host.tokenizer, edit.request)], 0, "cpu"), module, delta)
        assert torch.allclose(essence, said[0, -1], atol=1e-3)


@pytest.mark.parametrize("together", [1, 60, 10_000])
def test_edits_that_share_passes_have_the_targets_they_have_alone(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many share passes, and though some have enough before the others."""
    import torch

    host = Host.of(tiny.engine())
    requests, module = check(tiny.EDITS, tiny.tokenizer(), subject=True), host.architecture.block(1)
    config = TargetConfig(steps=20, rate=0.1, clamp=10.0, enough=4.0)
    alone = [optimise(host, [request], module, ["", "So. "], config)[0] for request in requests]
    enough = [target.loss < config.enough for target in alone]
    assert any(enough)
    assert not all(enough)
    monkeypatch.setattr(targets, "TOGETHER", together)
    for one, other in zip(alone, optimise(host, requests, module, ["", "So. "], config), strict=True):
        assert torch.allclose(one.value, other.value, rtol=1e-3, atol=1e-4)
        assert other.loss == pytest.approx(one.loss, rel=1e-3)


@pytest.mark.parametrize("build", ["llama", "qwen2", "phi", "phi3", "gemma2", "granite", "gpt2", "gptj", "gpt_neox"])
@pytest.mark.parametrize("place", ["block", "down"])
def test_blocks_below_compute_once_and_the_targets_are_the_same(
    build: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit those of passes through the whole model, of which each block then is in its own way again."""
    import torch

    host = Host.of(tiny.engine(build))
    requests, module = check(tiny.EDITS, tiny.tokenizer(), subject=True), getattr(host.architecture, place)(1)
    passes = [0, 0, 0]
    for layer in range(3):

        def count(*_: object, layer: int = layer) -> None:
            passes[layer] += 1

        host.network.get_submodule(host.architecture.down(layer)).register_forward_hook(count)
    config = TargetConfig(steps=5, rate=0.1, enough=0.0)
    own = vars(host.network.get_submodule(host.architecture.block(0))).get("forward")
    found = optimise(host, requests, module, ["", "So. "], config)
    # Below in three: for the states at the prompts, for the cache, and in the first of five steps.
    assert passes == [3, 3 if place == "block" else 7, 6]
    assert vars(host.network.get_submodule(host.architecture.block(0))).get("forward") is own
    monkeypatch.setattr(targets, "once", lambda *_: nullcontext())
    for one, other in zip(found, optimise(host, requests, module, ["", "So. "], config), strict=True):
        assert torch.equal(one.delta, other.delta)
        assert one.loss == other.loss


def _with(host: Host, batch: object, module: str, delta: object) -> object:
    import torch

    def add(_: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[0, batch.subject[0]] += delta
        return output

    with torch.no_grad(), changed(host.network, {module: add}):
        return host.network(input_ids=batch.ids).logits.log_softmax(2)


def test_the_answer_becomes_likely_within_the_bound() -> None:
    host = Host.of(tiny.engine())
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    (wide,) = optimise(host, [request], host.architecture.block(1), [""], TargetConfig(steps=60, clamp=10.0))
    assert wide.loss < 1
    (tight,) = optimise(host, [request], host.architecture.block(1), [""], TargetConfig(steps=60, clamp=0.3))
    assert float(tight.delta.norm()) <= 0.3 * float(tight.start.norm()) * 1.0001
    assert tight.loss > wide.loss


@pytest.mark.parametrize("build", ["llama", "qwen2", "phi", "phi3", "gemma2", "granite", "gpt2", "gptj", "gpt_neox"])
def test_targets_sought_in_bfloat16_do_as_well_and_leave_the_model_alone(build: str) -> None:
    """They begin at the model's own states, and its own arithmetic gives the answer by them."""
    import torch

    host = Host.of(tiny.engine(build))
    before = {name: tensor.clone() for name, tensor in host.network.state_dict().items()}
    attention = host.network.config._attn_implementation
    requests, module = check(tiny.EDITS, tiny.tokenizer(), subject=True), host.architecture.block(1)
    config = TargetConfig(steps=20, rate=0.1, clamp=2.0)
    own = optimise(host, requests, module, ["", "So. "], config)
    found = optimise(host, requests, module, ["", "So. "], replace(config, arithmetic="bfloat16"))
    for request, one, other in zip(requests, own, found, strict=True):
        assert torch.equal(one.start, other.start)
        assert other.delta.dtype == torch.float32
        assert not torch.equal(one.delta, other.delta)
        objective = _Objective.of(host, [_Edit.of(host, request, request.target, ["", "So. "])])
        with torch.no_grad():
            bare, by_own, by_found = (
                float(objective.of_delta(host, module, share * delta[None])[0])
                for share, delta in ((0, one.delta), (1, one.delta), (1, other.delta))
            )
        assert by_own < bare - 0.5
        assert abs(by_found - by_own) < 0.1 * (bare - by_own)
    after = host.network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert host.network.config._attn_implementation == attention


def test_the_essence_is_kept_the_more_it_weighs() -> None:
    import torch

    host = Host.of(tiny.engine())
    (request,) = check(tiny.EDITS[:1], tiny.tokenizer(), subject=True)
    module, gaps = host.architecture.block(1), []
    for weight in (0.0, 10.0):
        config = TargetConfig(steps=30, rate=0.1, clamp=10.0, divergence=weight, enough=0.0)
        (target,) = optimise(host, [request], module, [""], config)
        objective = _Objective.of(host, [_Edit.of(host, request, request.target, [""])])
        with torch.no_grad():
            own, essence = (objective.of_delta(host, module, share * target.delta[None])[1] for share in (0, 1))
        gaps.append(float(torch.nn.functional.kl_div(own, essence, log_target=True, reduction="sum")))
    assert gaps[1] < gaps[0] / 2


def test_a_subject_that_opens_the_prompt_needs_no_cache() -> None:
    host = Host.of(tiny.engine())
    from scr.editors import Edit

    (request,) = check([Edit("", "Ann lives in", "Mirrow", "Ann")], tiny.tokenizer(), subject=True)
    objective = _Objective.of(host, [_Edit.of(host, request, request.target, [""])])
    assert (objective.begin, objective.past) == (0, None)
    (target,) = optimise(host, [request], host.architecture.block(1), [""], TargetConfig(steps=3))
    assert target.delta.any()


def test_contexts_are_the_models_own_and_the_same_each_time() -> None:
    first, again, other = (Host.of(tiny.engine(seed=seed)) for seed in (0, 0, 1))
    texts = first.prefixes(6, 10)
    assert len(texts) == 10
    assert all(text.endswith(". ") for text in texts)
    assert [text.split()[0][:3] for text in texts[::2]] == ["The", "The", "Bec", "I", "You"] or len(set(texts)) > 5
    assert again.prefixes(6, 10) == texts
    assert other.prefixes(6, 10) != texts
    assert first.prefixes(3, 5) != texts[:5]


def test_an_edit_without_a_target_is_named() -> None:
    """Where the numbers of one come to nothing, the others are not blamed."""
    import torch

    host = Host.of(tiny.engine())
    requests = check(tiny.EDITS, tiny.tokenizer(), subject=True)
    own = set(tiny.tokenizer()(requests[1].prompt)["input_ids"])
    for other in (requests[0], requests[2]):
        own -= set(tiny.tokenizer()(other.prompt + other.target)["input_ids"])
    with torch.no_grad():
        host.network.get_input_embeddings().weight[sorted(own)[-1]] = torch.nan
    with pytest.raises(EditError, match="Oriel Pask"):
        optimise(host, requests, host.architecture.block(1), [""], TargetConfig(steps=2))
