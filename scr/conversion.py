"""GGUF to an ordinary Hugging Face folder, which transformers and vLLM load without ado.

Dequantising takes many seconds each time a GGUF file is loaded; done once, loading takes two.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scr.errors import AssetError, MissingExtra


def check_converter() -> None:
    """Make sure that conversion can run, before anything is downloaded for it.

    Raises:
        MissingExtra: one of its libraries is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "gguf", "accelerate")):
        raise MissingExtra("local", "the built-in language model")


def gguf_to_folder(gguf: Path, folder: Path, end_of_turn: str) -> None:
    """Write a GGUF model with its tokenizer as a Hugging Face folder, in bfloat16 safetensors.

    Args:
        gguf: the model file.
        folder: an existing folder that receives the files.
        end_of_turn: the token that ends a turn in the model's chat template.

    Raises:
        AssetError: the model cannot be read, or cannot chat.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet():
        try:
            source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise AssetError(
                f"cannot convert {gguf.name} ({error}): install the latest transformers and gguf"
            ) from error
        end = tokenizer.convert_tokens_to_ids(end_of_turn)
        if tokenizer.chat_template is None or end in {None, tokenizer.unk_token_id}:
            raise AssetError(f"{gguf.name} has no chat template that ends turns with {end_of_turn}: use another model")
        # transformers will not save a model that still calls itself GGUF-quantised, though its weights no longer are.
        model.hf_quantizer, model.is_quantized = None, False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.generation_config.eos_token_id = end
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    _generalise(folder / "tokenizer_config.json", tokenizer.chat_template, model.config.max_position_embeddings)
    _generalise_rope(folder / "config.json")


def _generalise_rope(path: Path) -> None:
    """Give the base of the rotary embedding under its older name too.

    transformers 5 writes ``rope_parameters``; 4 reads ``rope_theta``, and without it takes 10,000 and answers nonsense.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    theta = config.get("rope_theta") or (config.get("rope_parameters") or {}).get("rope_theta")
    if theta:
        path.write_text(json.dumps(config | {"rope_theta": theta}, indent=2) + "\n", encoding="utf-8")


def _generalise(path: Path, chat_template: str, length: int) -> None:
    """Make tokenizer_config.json readable by versions of transformers other than the one that wrote it."""
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in ("backend", "is_local", "local_files_only"):
        config.pop(key, None)
    config |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": chat_template,
        "model_max_length": length,
    }
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings and progress bars of transformers' own while this lasts."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
