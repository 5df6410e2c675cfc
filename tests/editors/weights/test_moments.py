"""Second moments are what they are called, are kept, and go on where they were cut short."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from scr.editors.weights import moments as module
from scr.editors.weights.host import Host
from scr.editors.weights.moments import MomentsConfig, fingerprint, moments
from scr.engines.transformers import TransformersEngine
from scr.errors import EditError, StoreError

from . import tiny


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.tokenizer()  # from the usual cache
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SCR_CORPUS", raising=False)


@pytest.fixture
def host() -> Host:
    return Host.of(tiny.engine())


CONFIG = MomentsConfig(corpus=tiny.CORPUS, samples=12, length=40)


def test_they_are_the_mean_of_the_keys_products(host: Host) -> None:
    import torch

    found = moments(host, [0, 2], CONFIG)
    ids: list[int] = []
    for line in tiny.CORPUS.read_text("utf-8").splitlines(keepends=True):
        if line.strip():
            ids += tiny.tokenizer()(line)["input_ids"]
    windows = torch.tensor(ids[: 12 * 40]).view(12, 40)
    for layer in (0, 2):
        keys: list[torch.Tensor] = []
        down = host.network.get_submodule(host.architecture.down(layer))
        handle = down.register_forward_hook(lambda _, given, __, keys=keys: keys.append(given[0]))
        with torch.no_grad():
            host.network(input_ids=windows)
        handle.remove()
        flat = keys[0].flatten(0, 1).double()
        assert torch.allclose(found[layer].double(), flat.T @ flat / len(flat), rtol=1e-4, atol=1e-5)


def test_they_are_computed_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    first = moments(host, [1], CONFIG)[1]
    calls = []
    monkeypatch.setattr(module, "_add", lambda *_: calls.append(1) or 1_000)
    assert torch.equal(moments(host, [1], CONFIG)[1], first)
    assert not calls
    for other in (replace(CONFIG, samples=13), replace(CONFIG, length=41), replace(CONFIG, dtype="float64")):
        moments(host, [1], other)
        assert calls
        calls.clear()
    moments(Host.of(tiny.engine(seed=1)), [1], CONFIG)
    assert calls, "another model has other moments"


def test_another_tokenizer_and_other_settings_have_other_moments(host: Host) -> None:
    import torch
    from tokenizers import normalizers

    first = moments(host, [1], CONFIG)[1]
    assert moments(Host.of(tiny.engine()), [1], CONFIG)[1].equal(first)
    lower = copy.deepcopy(tiny.tokenizer())
    lower.backend_tokenizer.normalizer = normalizers.Lowercase()
    other = Host.of(TransformersEngine(tiny.network(), lower, "tiny"))
    assert not torch.allclose(moments(other, [1], CONFIG)[1], first, rtol=1e-3)
    blunt = tiny.network()
    blunt.config.rms_norm_eps = 1.0
    for layer in blunt.model.layers:
        layer.post_attention_layernorm.variance_epsilon = 1.0
    assert fingerprint(blunt) == fingerprint(tiny.network())
    other = Host.of(TransformersEngine(blunt, tiny.tokenizer(), "tiny"))
    assert not torch.allclose(moments(other, [1], CONFIG)[1], first, rtol=1e-3)


def test_a_call_that_pads_does_not_make_another_tokenizer(host: Host) -> None:
    before = module._hash_of_reading(host)
    host.tokenizer(["one", "two or three"], padding=True, truncation=True, max_length=2)
    assert module._hash_of_reading(host) == before
    host.tokenizer("one")


def test_a_pass_that_was_cut_short_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    config = replace(CONFIG, samples=40, length=30)
    own, seen = module._add, []
    monkeypatch.setattr(module, "_SAVED_EVERY", 1)

    def cut(*given: object) -> int:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return own(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_add", cut)
    with pytest.raises(KeyboardInterrupt):
        moments(host, [0, 1], config)
    seen.clear()
    resumed = moments(host, [0, 1], config)
    assert len(seen) == 2, "three batches of five were done already"
    assert not list(module.cache_folder().rglob("*.partial"))
    monkeypatch.setattr(module, "_add", own)
    whole = moments(Host.of(tiny.engine()), [0, 1], replace(config, dtype="float64"))
    for layer in (0, 1):
        assert torch.allclose(resumed[layer].double(), whole[layer], rtol=1e-6, atol=1e-7)


def test_an_identity_changes_with_any_number() -> None:
    import torch

    network = tiny.network()
    before = fingerprint(network)
    assert before == fingerprint(tiny.network())
    with torch.no_grad():
        network.get_parameter("model.layers.2.mlp.down_proj.weight")[0, 0] += 1e-3
    assert fingerprint(network) != before


def test_a_missing_or_unreadable_text_gets_one_clear_line(host: Host, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n\n")
    (tmp_path / "short.txt").write_text("The capital of France is\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 " * 10)
    for corpus, reason in [
        (None, "name a text file"),
        (tmp_path / "none.txt", "there is no text file"),
        (tmp_path / "empty.txt", "holds no text"),
        (tmp_path / "latin.txt", "no text in UTF-8"),
        (tmp_path / "short.txt", r"6 tokens of .* are too few .* 48 numbers each: give a longer text"),
    ]:
        with pytest.raises(EditError, match=reason) as raised:
            moments(host, [0], replace(CONFIG, corpus=corpus))
        assert "\n" not in str(raised.value)


def test_windows_longer_than_the_model_reads_are_refused() -> None:
    with pytest.raises(EditError, match=r"257 tokens are more than the 256 .* lower the setting length"):
        moments(Host.of(tiny.engine("gpt2")), [0], replace(CONFIG, length=257))


def test_a_cache_without_room_is_said(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(StoreError, match="No space left"):
        moments(host, [0], CONFIG)


def test_a_damaged_file_is_said(host: Host) -> None:
    moments(host, [0], CONFIG)
    (path,) = module.cache_folder().rglob("*.safetensors")
    path.write_bytes(b"\x00" * 10)
    with pytest.raises(StoreError, match="damaged"):
        moments(host, [0], CONFIG)
