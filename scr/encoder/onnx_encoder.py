"""Sentence encoders through ONNX Runtime: no torch, and quick to open.

A model folder is prepared once: graph, tokenizer and settings go into a folder of the cache. Opening reads only that.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from numpy.typing import NDArray

from scr.assets import build_folder, cache_folder
from scr.bert import build_bert, read_bert
from scr.encoder.folders import SentenceFolder, fingerprint
from scr.encoder.session import open_session, write_graph
from scr.errors import AssetError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

_ARITHMETIC = "fp32-1"
"""Part of the revision: raised whenever the vectors change by more than rounding (1e-5 in cosine)."""

_LAYOUT = 3
"""Of the prepared folder: raised whenever its files change, so that older ones in the cache are left alone."""

_CHUNK = 4096
"""Texts tokenised at a time: enough to sort by length, little memory."""

_BATCH_TOKENS = 2048
"""Most tokens, padding included, that are run at once."""

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
"""What an exported graph may ask for."""

_SETTINGS = ("config.json", "sentence_bert_config.json", "tokenizer_config.json", "modules.json")
"""Files that say how a model is to be run; the config.json of its pooling, in a folder below, does too."""


@dataclass(frozen=True)
class Prepared:
    """What the prepared folder's settings file says."""

    revision: str
    dimensions: int
    max_length: int
    lower_case: bool
    pools: bool


class OnnxEncoder:
    """A sentence encoder in ONNX Runtime."""

    def __init__(self, name: str, prepared: Prepared, tokenizer: Tokenizer, session: InferenceSession) -> None:
        self.name = name
        self.revision = prepared.revision
        self.dimensions = prepared.dimensions
        self._prepared = prepared
        self._tokenizer = tokenizer
        self._session = session
        self._segments = any(each.name == "token_type_ids" for each in session.get_inputs())

    @classmethod
    def open(cls, folder: Path, name: str) -> OnnxEncoder:
        """Open the model in a sentence-transformers folder, preparing it if that was not done before.

        Raises:
            AssetError: the model cannot be read, or the cache cannot be written.
        """
        ready = prepare(folder)
        try:
            prepared = Prepared(**json.loads((ready / "prepared.json").read_text(encoding="utf-8")))
            return cls(name, prepared, _open_tokenizer(ready, prepared.max_length), open_session(ready / "model.onnx"))
        except Exception as error:  # both libraries raise bare exceptions
            raise AssetError(f"the prepared encoder in {ready} is damaged ({error}): delete that folder") from error

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Embed texts; see :class:`scr.encoder.Encoder`."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), _CHUNK):
            chunk = [text.lower() if self._prepared.lower_case else text for text in texts[start : start + _CHUNK]]
            ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(chunk)]
            for batch in batches([len(each) for each in ids], _BATCH_TOKENS):
                vectors[start + batch] = self._run([ids[place] for place in batch])
                if progress:
                    progress(len(batch))
        return vectors

    def _run(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Embed token ids of about the same length; shape (len(ids), dimensions)."""
        lengths = np.array([len(each) for each in ids])
        mask = np.arange(lengths.max()) < lengths[:, None]
        tokens = np.zeros(mask.shape, dtype=np.int32)
        tokens[mask] = np.concatenate(ids)
        feed = {"input_ids": tokens, "attention_mask": mask.astype(np.int32)}
        if self._prepared.pools:
            return np.asarray(self._session.run(None, feed)[0])
        feed = {key: value.astype(np.int64) for key, value in feed.items()}
        if self._segments:
            feed["token_type_ids"] = np.zeros_like(feed["input_ids"])
        hidden = self._session.run(None, feed)[0]
        pooled = (hidden * mask[:, :, None]).sum(axis=1)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), dtype=np.float32)


def batches(lengths: Sequence[int], tokens: int) -> Iterator[NDArray[np.int64]]:
    """Group texts of like length, so that little is padded; the longest come first.

    Args:
        lengths: of each text, in tokens.
        tokens: most in a batch, padding included; a text that is longer makes a batch by itself.

    Yields:
        places in ``lengths``; each place once.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, tokens // max(1, lengths[order[start]]))
        yield order[start:stop]
        start = stop


def prepare(folder: Path) -> Path:
    """The prepared form of a model folder, in the cache; made if it is not there or the folder's files have changed.

    Raises:
        AssetError: the model cannot be read, or the cache cannot be written.
    """
    sources = [folder / name for name in ("model.safetensors", "tokenizer.json", *_SETTINGS)]
    sources += [*sorted(folder.glob("*/config.json")), *_exported_files(folder / "onnx" / "model.onnx")]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in sources if path.is_file()]
    key = xxhash.xxh3_64_hexdigest(json.dumps([str(folder), _ARITHMETIC, _LAYOUT, stats]).encode())
    target = cache_folder() / "encoders" / key
    return target if target.is_dir() else build_folder(target, lambda into: _prepare(folder, into))


def _prepare(folder: Path, into: Path) -> None:
    source = SentenceFolder.read(folder)
    if source.builds:
        config, weights = read_bert(folder)
        model = build_bert(config, weights, pooling=source.pooling or "mean")
        write_graph(model, into / "model.onnx")
        files = [folder / "model.safetensors"]
        dimensions = int(source.config["hidden_size"])
    else:
        files = _exported_files(source.exported)
        dimensions = _exported_dimensions(source)
        for path in files:
            shutil.copyfile(path, into / path.name)
    shutil.copyfile(folder / "tokenizer.json", into / "tokenizer.json")
    identity = f"{_ARITHMETIC} {source.pooling} {source.max_length} {source.lower_case}"
    hashed = fingerprint([*files, folder / "tokenizer.json"])
    prepared = Prepared(
        revision=xxhash.xxh3_128_hexdigest(f"{identity} {hashed}".encode()),
        dimensions=dimensions,
        max_length=source.max_length,
        lower_case=source.lower_case,
        pools=source.builds,
    )
    (into / "prepared.json").write_text(json.dumps(asdict(prepared)), encoding="utf-8")


def _exported_files(path: Path) -> list[Path]:
    """An exported graph and the files beside it that hold its larger weights."""
    return sorted(path.parent.glob("model.onnx*"))


def _exported_dimensions(source: SentenceFolder) -> int:
    """Length of the token vectors that an exported graph gives.

    Raises:
        AssetError: it is damaged, wants inputs that only sentence-transformers can make, or gives other outputs.
    """
    import onnx

    try:
        graph = onnx.load(source.exported, load_external_data=False).graph
        shape = graph.output[0].type.tensor_type.shape.dim
    except Exception as error:  # protobuf's, which differ between its versions
        raise AssetError(f"cannot read {source.exported} ({error}): download the model again") from error
    constants = {each.name for each in graph.initializer}
    unknown = {each.name for each in graph.input} - constants - _INPUTS
    if unknown or len(shape) not in (0, 3):  # 0: it does not say
        wrong = f"wants {', '.join(sorted(unknown))}" if unknown else f"gives {graph.output[0].name}, no token vectors"
        raise AssetError(
            f"cannot use {source.exported}, which {wrong}: remove it, and the model's other weights are run"
        )
    sizes = [
        shape[-1].dim_value if shape else 0,
        *(source.config.get(key) for key in ("hidden_size", "dim", "d_model")),
    ]
    known = next((size for size in sizes if size), None)
    if known is None:
        raise AssetError(f"{source.path}/config.json gives no hidden_size: use a sentence-transformers model")
    return int(known)


def _open_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
