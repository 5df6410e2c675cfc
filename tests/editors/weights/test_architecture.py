"""Parts are found in every known build, and nothing is guessed in another."""

from __future__ import annotations

import pytest

from scr.editors.weights.architecture import Architecture, oriented
from scr.editors.weights.layers import layers_of
from scr.errors import EditError

from . import tiny

BUILDS = ["llama", "qwen2", "phi", "phi3", "gpt2", "gptj", "gpt_neox"]


@pytest.mark.parametrize("build", BUILDS)
def test_parts_are_found(build: str) -> None:
    network = tiny.network(build)
    found = Architecture.of(network)
    assert (found.layers, found.hidden, found.inner) == (3, 32, 48)
    for layer in range(3):
        assert oriented(network, found.down(layer)).shape == (32, 48)
        assert oriented(network, found.attention(layer)).shape == (32, 32)
        assert network.get_parameter(found.weight(layer)) is not None
        for name in found.projections(layer):
            assert oriented(network, name).shape[1] == 32


def test_a_matrix_of_gpt2_is_seen_from_the_right_side() -> None:
    import torch

    network = tiny.network("gpt2")
    module = network.get_submodule(Architecture.of(network).down(1))
    key = torch.randn(48)
    assert torch.allclose(module(key), oriented(network, "transformer.h.1.mlp.c_proj") @ key + module.bias, atol=1e-5)


def test_an_unknown_architecture_gets_one_clear_line() -> None:
    import transformers

    config = transformers.OPTConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, ffn_dim=16, num_attention_heads=2, word_embed_proj_dim=16
    )
    with pytest.raises(EditError, match="OPTForCausalLM is no architecture") as raised:
        Architecture.of(transformers.AutoModelForCausalLM.from_config(config))
    assert "\n" not in str(raised.value)


def test_a_mixture_of_experts_whose_first_block_is_plain_is_refused() -> None:
    import transformers

    config = transformers.Qwen3MoeConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, head_dim=8,
        num_key_value_heads=2, mlp_only_layers=[0], num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8,
    )  # fmt: skip
    with pytest.raises(EditError, match="Qwen3MoeForCausalLM is no architecture"):
        Architecture.of(transformers.AutoModelForCausalLM.from_config(config))


def test_matrices_of_8_bits_and_of_several_sizes_are_refused() -> None:
    import torch

    network = tiny.network()
    down = network.model.layers[2].mlp.down_proj
    down.weight = torch.nn.Parameter(down.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(EditError, match="without quantisation"):
        Architecture.of(network)
    network.model.layers[2].mlp.down_proj = torch.nn.Linear(40, 32)
    with pytest.raises(EditError, match="not all of one size"):
        Architecture.of(network)


@pytest.mark.parametrize("layers", [(3,), (-1,), (), (1, 0), (1, 1)])
def test_layers_that_the_model_has_not_are_refused(layers: tuple[int, ...]) -> None:
    with pytest.raises(EditError, match="from 0 to 2"):
        Architecture.of(tiny.network()).check(layers)


def test_defaults_are_the_published_ones_or_in_proportion() -> None:
    layout = Architecture.of(tiny.network()).layout
    gpt2_xl = layers_of(Architecture(layout, 48, 1600, 6400))
    assert (gpt2_xl.one, gpt2_xl.several, gpt2_xl.weight) == (17, (13, 14, 15, 16, 17), 20_000)
    llama = layers_of(Architecture(layout, 32, 4096, 14336))
    assert (llama.several, llama.weight, llama.ridge, llama.rate) == ((4, 5, 6, 7, 8), 15_000, 10, 0.1)
    assert layers_of(Architecture(layout, 24, 896, 4864)).weight == pytest.approx(4453, abs=1)
    gpt_j = layers_of(Architecture(layout, 28, 4096, 16384))
    assert [(one.bounded, one.bound, one.tuned) for one in (gpt2_xl, gpt_j)] == [(0, 5e-4, 1), (0, 5e-5, 21)]


@pytest.mark.parametrize("count", [1, 2, 3, 12, 24, 30, 48])
def test_default_layers_exist(count: int) -> None:
    architecture = Architecture.of(tiny.network())
    defaults = layers_of(Architecture(architecture.layout, count, 32, 48))
    for layers in ((defaults.one,), defaults.several, (defaults.tuned,), (defaults.bounded,)):
        assert Architecture(architecture.layout, count, 32, 48).check(layers)
