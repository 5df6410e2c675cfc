"""Tiny models with random weights, as sentence-transformers saves them."""

from __future__ import annotations

import json
import string
import warnings
from pathlib import Path
from typing import Any

SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
LETTERS = [*string.ascii_letters, *string.digits, *string.punctuation]
VOCABULARY = {token: place for place, token in enumerate([*SPECIAL.values(), *LETTERS, *("##" + c for c in LETTERS)])}
LONGEST = 24
WIDTH = 32


def bert() -> Any:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    return BertModel(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **sizes)).eval()


def distilbert() -> Any:
    """Not a BERT to us, and its config.json has no hidden_size."""
    from transformers import DistilBertConfig, DistilBertModel

    sizes = {"dim": WIDTH, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    return DistilBertModel(DistilBertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **sizes)).eval()


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=False)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(token, VOCABULARY[token]) for token in ("[CLS]", "[SEP]")]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=LONGEST, **SPECIAL)


def save(model: Any, folder: Path, pooling: str = "mean_tokens") -> Path:
    """Write a sentence-transformers folder with nothing but encoder, pooling and normalisation; its name again."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": place, "name": str(place), "path": f"{place}_{kind}" if place else "", "type": f"{_MODULES}.{kind}"}
        for place, kind in enumerate(kinds)
    ]
    write(folder / "modules.json", modules)
    modes = {"cls_token": False, "mean_tokens": False, "max_tokens": False, pooling: True}
    modes = {f"pooling_mode_{mode}": on for mode, on in modes.items()}
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **modes})
    (folder / "2_Normalize").mkdir()
    return folder


_MODULES = "sentence_transformers.models"


def export(model: Any, folder: Path) -> None:
    """Add ``onnx/model.onnx``, which gives the token vectors."""
    import torch

    ids, mask = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    names = ["input_ids", "attention_mask"]
    axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}
    (folder / "onnx").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older exporter, which needs no further package, says that it is old
        torch.onnx.export(
            model,
            (ids, mask),
            str(folder / "onnx" / "model.onnx"),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes=axes,
            dynamo=False,
        )


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
