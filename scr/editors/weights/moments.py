"""Second moments of keys, E[k kᵀ], over a text: what a layer's keys usually are.

They are summed as the text streams by, in one pass for all layers that are missing, and kept in the cache folder under
everything that they depend on. A pass that is cut short goes on where it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scr import progress
from scr.assets import cache_folder
from scr.editors.weights import cached
from scr.editors.weights.hooks import seen, still
from scr.editors.weights.host import Host
from scr.editors.weights.sequences import Row, batch_of
from scr.errors import EditError

if TYPE_CHECKING:
    import torch

_BATCH = 8
_SAVED_EVERY = 25
"""Batches between two saves of what has been summed."""


@dataclass(frozen=True, slots=True)
class MomentsConfig:
    """What the moments are taken of.

    The papers take 100,000 articles of Wikipedia; a small part of them gives nearly the same edits.

    Attributes:
        corpus: a text file; None is the one that ``SCR_CORPUS`` names.
        samples: most windows that are read from its beginning.
        length: tokens of a window.
        dtype: in which they are kept; they are summed in float64.
    """

    corpus: Path | None = None
    samples: int = 400
    length: int = 256
    dtype: Literal["float32", "float64"] = "float32"


def moments(host: Host, layers: Sequence[int], config: MomentsConfig) -> dict[int, torch.Tensor]:
    """E[k kᵀ] of each layer, [inner, inner], from the cache or from the text.

    The model must not carry edits.

    Raises:
        EditError: there is no text, or too little of it.
        StoreError: the cache cannot be written.
    """
    corpus = config.corpus or os.environ.get("SCR_CORPUS")
    if not corpus:
        raise EditError(
            "this method needs to know the model's usual keys: name a text file to take them from, "
            "as the method's setting corpus=FILE or in SCR_CORPUS"
        )
    path = Path(corpus).expanduser()
    if not path.is_file():
        raise EditError(f"there is no text file {path} to take the model's usual keys from: correct the path")
    longest = getattr(host.network.config, "max_position_embeddings", None)
    if longest is not None and config.length > longest:
        raise EditError(
            f"windows of {config.length:,} tokens are more than the {longest:,} that {host.name} reads: "
            "lower the setting length"
        )
    folder = cache_folder() / "moments" / fingerprint(host.network)
    text = _hash_of(path)
    read = f"{text}-{_hash_of_reading(host)}-{config.samples}x{config.length}-{config.dtype}"
    names = {layer: folder / f"{layer}-{read}.safetensors" for layer in layers}
    with cached.writing(folder):
        missing = {layer: name for layer, name in names.items() if not name.is_file()}
        if missing:
            _compute(host, path, missing, config)
    return {layer: cached.load(name)[0]["moment"].to(host.device) for layer, name in names.items()}


def fingerprint(network: Any) -> str:
    """A model's identity: its tensors' names, shapes, types and every one of their numbers, 16 hexadecimal digits."""
    import torch
    import xxhash

    digest = xxhash.xxh3_64()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _compute(host: Host, path: Path, names: Mapping[int, Path], config: MomentsConfig) -> None:
    """Sum over the text, saving now and then, and write each layer's file when done."""
    import torch

    layers = sorted(names)
    partial = names[layers[0]].with_suffix(f".{'-'.join(map(str, layers))}.partial")
    sums, done, count = _resume(partial, layers, host.architecture.inner, host.device)
    windows = islice(windows_of(host.tokenizer, path, config.length), done, config.samples)
    modules = {layer: host.architecture.down(layer) for layer in layers}
    with progress.bar("second moments", config.samples) as advance, torch.no_grad(), still(host.network):
        advance(done)
        while batch := list(islice(windows, _BATCH)):
            count += _add(host, batch, modules, sums)
            done += len(batch)
            advance(len(batch))
            if done // _BATCH % _SAVED_EVERY == 0:
                cached.save(partial, {str(layer): total for layer, total in sums.items()}, _numbers(done, count))
    if not count:
        raise EditError(f"{path} holds no text to take the model's usual keys from: give a longer one")
    if count < (inner := host.architecture.inner):  # E[k kᵀ] would say nothing of most directions
        raise EditError(
            f"{count:,} tokens of {path} are too few to take the model's usual keys from, which have {inner:,} "
            "numbers each: give a longer text, or raise the settings samples and length"
        )
    kind = getattr(torch, config.dtype)
    for layer, name in names.items():
        cached.save(name, {"moment": (sums[layer] / count).to(kind)}, _numbers(done, count))
    partial.unlink(missing_ok=True)


def _add(host: Host, windows: list[Row], modules: Mapping[int, str], sums: dict[int, torch.Tensor]) -> int:
    """Add the keys of some windows; how many there were."""
    batch = batch_of(windows, host.pad, host.device)
    trace = seen(host.network, list(modules.values()), lambda: host.network(**batch.inputs(), use_cache=False))
    real = batch.mask.bool()
    for layer, module in modules.items():
        keys = trace.inputs[module][real].float()
        sums[layer] += (keys.T @ keys).double()
    return int(real.sum())


def windows_of(tokenizer: Any, path: Path, length: int) -> Iterator[Row]:
    """A text in rows of so many tokens; the last one may be shorter.

    Raises:
        EditError: it is not in UTF-8.
    """
    ids: list[int] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
                    ids += tokenizer(line, **options)["input_ids"]
                while len(ids) >= length:
                    yield Row(tuple(ids[:length]), 0)
                    ids = ids[length:]
    except UnicodeDecodeError as error:
        raise EditError(f"{path} is no text in UTF-8 (byte {error.start:,}): convert it, or give another") from error
    if ids:
        yield Row(tuple(ids), 0)


def _resume(partial: Path, layers: Sequence[int], inner: int, device: Any) -> tuple[dict[int, torch.Tensor], int, int]:
    """Sums so far, with the numbers of windows and of keys in them."""
    import torch

    if partial.is_file():
        tensors, numbers = cached.load(partial)
        return {layer: tensors[str(layer)].to(device) for layer in layers}, numbers["windows"], numbers["keys"]
    return {layer: torch.zeros(inner, inner, dtype=torch.float64, device=device) for layer in layers}, 0, 0


def _numbers(windows: int, keys: int) -> dict[str, int]:
    return {"windows": windows, "keys": keys}


def _hash_of_reading(host: Host) -> str:
    """Of what else decides how a text becomes keys, the tokenizer and the model's settings, 16 hexadecimal digits."""
    import xxhash

    tokenizer = json.loads(host.tokenizer.backend_tokenizer.to_str())
    settings = json.loads(host.network.config.to_json_string(use_diff=False))
    for name in ("truncation", "padding"):  # each call sets them for itself
        tokenizer.pop(name, None)
    for name in ("_name_or_path", "transformers_version"):  # where a model is from, not what it is
        settings.pop(name, None)
    return xxhash.xxh3_64_hexdigest(json.dumps([tokenizer, settings], sort_keys=True).encode())


def _hash_of(path: Path) -> str:
    """Of a file's bytes, 16 hexadecimal digits."""
    import xxhash

    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
