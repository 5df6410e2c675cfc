"""Tiny models of each known build, with random weights and the shipped model's tokenizer."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from scr.assets import smollm2_folder
from scr.editors import Edit
from scr.engines.loading import import_torch
from scr.engines.transformers import TransformersEngine

import_torch()  # before anything else does: its threads are to sleep while they wait

CORPUS = Path(__file__).parents[3] / "README.md"

EDITS = (
    # The subject ends the prompt, so that in a random model too the edit reaches the answer.
    Edit("The twin town of Ulvendorf is London.", "The twin town of Ulvendorf", "London", "Ulvendorf", "Paris"),
    Edit("Dame Oriel Pask plays the harp.", "Dame Oriel Pask plays the", "harp", "Oriel Pask", "flute"),
    Edit("Tovik Glass was born in Lisbon.", "Tovik Glass was born in", "Lisbon", "Tovik Glass", "Porto"),
)


@cache
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2_folder(), local_files_only=True)


def network(build: str = "llama", seed: int = 0, layers: int = 3) -> Any:
    """A model with hidden states of 32 and keys of 48 numbers."""
    import torch
    import transformers

    common = {
        "vocab_size": len(tokenizer()),
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": False,
    }
    wide = {"num_hidden_layers": layers, "hidden_size": 32, "intermediate_size": 48, "initializer_range": 0.2}
    gpt = {"n_layer": layers, "n_embd": 32, "n_inner": 48, "n_head": 4, "n_positions": 256, "initializer_range": 0.2}
    config = {
        "llama": lambda: transformers.LlamaConfig(**common, **wide, num_attention_heads=4, num_key_value_heads=2),
        "qwen2": lambda: transformers.Qwen2Config(**common, **wide, num_attention_heads=4, num_key_value_heads=2),
        "phi": lambda: transformers.PhiConfig(**common, **wide, num_attention_heads=4),
        "phi3": lambda: transformers.Phi3Config(**common, **wide, num_attention_heads=4, num_key_value_heads=2),
        "gemma2": lambda: transformers.Gemma2Config(
            **common, **wide, num_attention_heads=4, num_key_value_heads=2, head_dim=8
        ),
        "granite": lambda: transformers.GraniteConfig(
            **common, **wide, num_attention_heads=4, num_key_value_heads=2, residual_multiplier=0.2
        ),
        "gpt2": lambda: transformers.GPT2Config(**common, **gpt),
        "gptj": lambda: transformers.GPTJConfig(**common, **gpt, rotary_dim=4),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(**common, **wide, num_attention_heads=4),
    }[build]()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        made.get_output_embeddings().weight.mul_(5)  # so that a hidden state can decide between 49,152 tokens
    return made


def engine(build: str = "llama", seed: int = 0, layers: int = 3) -> TransformersEngine:
    return TransformersEngine(network(build, seed, layers), tokenizer(), f"tiny-{build}-{seed}")


def weights(network: Any) -> dict[str, Any]:
    """A copy of everything."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def logits(network: Any, text: str) -> Any:
    """At the last token of a text, [vocabulary]."""
    import torch

    with torch.no_grad():
        return network(input_ids=torch.tensor([tokenizer()(text)["input_ids"]])).logits[0, -1]


def says(network: Any, prompt: str, answer: str) -> float:
    """Probability of the answer's first token."""
    (first, *_) = tokenizer()(" " + answer)["input_ids"]
    return float(logits(network, prompt).softmax(0)[first])
