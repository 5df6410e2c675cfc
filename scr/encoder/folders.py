"""Where an encoder's files lie, and what they say of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import xxhash

from scr.bert import is_bert
from scr.errors import AssetError

_WANTED = [
    "*.json",
    "*.txt",
    "*.safetensors",
    "*.model",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "onnx/model.onnx.data",
]

# What may follow pooling in a model that is only encoder, pooling and normalisation.
_PLAIN_MODULES = {"Transformer", "Pooling", "Normalize"}


def find_folder(name: str) -> Path:
    """The folder of a model given as a folder or as a hub id; a hub model is fetched unless it was before.

    Raises:
        AssetError: there is no such model, or the hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            raise AssetError(
                f"{folder} holds no model (no config.json): name the folder of a sentence-transformers model"
            )
        return folder.resolve()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        found = _fetched(name) or Path(snapshot_download(name, allow_patterns=_WANTED))
    except HFValidationError:
        raise AssetError(
            f"there is no folder {name}: name an existing folder or a hub id such as BAAI/bge-small-en-v1.5"
        ) from None
    except Exception as error:  # the hub's client lets through errors of every library below it
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssetError(
            f"cannot fetch the encoder {name} ({reason}): check the name and the network, or name a folder"
        ) from error
    if not _has_weights(found):
        raise AssetError(
            f"cannot fetch the encoder {name} (no weights in safetensors): check the network, or name another model"
        )
    return found


def _fetched(name: str) -> Path | None:
    """The folder of a hub model that was fetched before, weights included."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    # Who fetched it may have wanted its tokenizer only, or was interrupted.
    return folder if _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    return any(folder.rglob("*.safetensors")) or (folder / "onnx" / "model.onnx").is_file()


@dataclass(frozen=True)
class SentenceFolder:
    """A model folder in the layout of sentence-transformers.

    Attributes:
        path: the folder, resolved.
        pooling: how token vectors become one; None is a way that only sentence-transformers knows.
        max_length: most tokens it reads.
        lower_case: whether texts are put in lower case first.
        config: the encoder's config.json.
    """

    path: Path
    pooling: Literal["mean", "cls"] | None
    max_length: int
    lower_case: bool
    config: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> SentenceFolder:
        """Read the folder's settings.

        Raises:
            AssetError: one of its files is damaged.
        """
        config = _json(path / "config.json")
        settings = _json(path / "sentence_bert_config.json")
        longest = settings.get("max_seq_length") or _tokenizer_length(path, config)
        return cls(path, _pooling(path), int(longest), bool(settings.get("do_lower_case")), config)

    @property
    def exported(self) -> Path:
        """The ONNX file that some models bring along."""
        return self.path / "onnx" / "model.onnx"

    @property
    def builds(self) -> bool:
        """Whether the graph can be built from its weights."""
        if "bfloat16" in (self.config.get("dtype"), self.config.get("torch_dtype")):
            return False  # NumPy, which reads the weights, has no such type
        return is_bert(self.config) and (self.path / "model.safetensors").is_file()

    @property
    def runs_on_onnx(self) -> bool:
        """Whether ONNX Runtime can run it, so that torch is not needed."""
        if not (self.path / "tokenizer.json").is_file() or self._has_prompt:
            return False
        return (self.pooling is not None and self.builds) or (self.pooling == "mean" and self.exported.is_file())

    @cached_property
    def _has_prompt(self) -> bool:
        return bool(_json(self.path / "config_sentence_transformers.json").get("default_prompt_name"))


def _tokenizer_length(path: Path, config: dict[str, Any]) -> int:
    """Most tokens of a model whose own settings do not say: newer sentence-transformers leaves it to the tokenizer."""
    lengths = [config.get("max_position_embeddings"), _json(path / "tokenizer_config.json").get("model_max_length")]
    return int(min((length for length in lengths if length and length > 0), default=512))


def _pooling(path: Path) -> Literal["mean", "cls"] | None:
    """Read modules.json: which pooling, if the model is nothing but encoder, pooling and normalisation."""
    modules = _json(path / "modules.json")
    if not modules:
        return "mean"  # what sentence-transformers does with a bare model
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not _PLAIN_MODULES.issuperset(kinds) or modules[0].get("path"):
        return None
    settings = _json(path / modules[1].get("path", "") / "config.json")
    modes = {
        name.removeprefix("pooling_mode_") for name, on in settings.items() if name.startswith("pooling_mode_") and on
    }
    if not modes:  # newer files name one mode, or a list of those that are put side by side
        mode = settings.get("pooling_mode")
        modes = set(mode) if isinstance(mode, list) else {mode}
    if modes in ({"mean_tokens"}, {"mean"}):
        return "mean"
    return "cls" if modes in ({"cls_token"}, {"cls"}) else None


def fingerprint(paths: Iterable[Path]) -> str:
    """Hash of the contents of files, in their order."""
    digest = xxhash.xxh3_128()
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssetError(f"cannot read {path} ({error}): download the model again") from error
