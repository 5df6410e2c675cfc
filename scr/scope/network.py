"""The learned classifier's network in ONNX Runtime: layers in stages, after each of which pairs may leave.

Most of what retrieval finds is plainly out of scope, and half of the layers are enough to see it. A linear head
on the mean of a stage's tokens says how probable it is that the fact governs the query; a pair that it gives next to no
chance leaves with that as its score, and the later layers read the others alone.

Source: Soldaini and Moschitti 2020, "The Cascade Transformer"; here a pair leaves by its own probability, not by its
rank among the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scr.bert import LinearHead, build_bert
from scr.encoder.session import open_session, write_graph
from scr.errors import AssetError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EXITS = "exits.safetensors"
"""File of a classifier's folder with its early exits; one without has none."""


@dataclass(frozen=True)
class Exits:
    """Where pairs may leave, n places.

    Attributes:
        layers: after how many layers, shape (n,), rising.
        weight: of the heads, shape (n, hidden).
        bias: shape (n,).
        below: the logit under which a pair leaves, before calibration; shape (n,).
    """

    layers: NDArray[np.int64]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    below: NDArray[np.float32]

    @classmethod
    def read(cls, folder: Path) -> Exits | None:
        """The exits of a classifier's folder; None if it has none.

        Raises:
            AssetError: the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = cls(**load_file(folder / EXITS))
            if not found.weight.ndim == 2 or not len(found.layers) == len(found.weight) == len(found.bias):
                raise ValueError("its tensors do not fit together")
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, TypeError, ValueError) as error:
            raise AssetError(f"cannot read {EXITS} in {folder} ({error}): train or copy it again") from error
        return found

    def write(self, folder: Path) -> None:
        """Write the file that `read` reads."""
        from safetensors.numpy import save

        (folder / EXITS).write_bytes(save({name: np.ascontiguousarray(array) for name, array in vars(self).items()}))

    def heads(self) -> dict[int, LinearHead]:
        """The head after each layer."""
        rows = zip(self.layers.tolist(), self.weight, self.bias, strict=True)
        return {layer: LinearHead(weight[None], bias[None]) for layer, weight, bias in rows}


class Network:
    """Reads tokenised pairs, stage by stage.

    Args:
        stages: the parts of the network, in order.
        below: for every stage but the last, the logit under which a pair leaves.
    """

    def __init__(self, stages: Sequence[InferenceSession], below: Sequence[float] = ()) -> None:
        self._stages = stages
        self._below = (*below, np.inf)  # after the last stage all leave

    @classmethod
    def open(cls, folder: Path, below: Sequence[float] = ()) -> Network:
        """Open what `write_stages` wrote into a folder."""
        return cls([open_session(folder / _file(number)) for number in range(len(below) + 1)], below)

    def logits(self, ids: NDArray[np.int32], mask: NDArray[np.int32], types: NDArray[np.int32]) -> NDArray[np.float32]:
        """The logit of each pair where it left, before calibration.

        Args:
            ids: of tokens, shape (b, t).
            mask: 1 for tokens, 0 for padding, shape (b, t).
            types: 0 for the fact, 1 for the query, shape (b, t).

        Returns:
            shape (b,).
        """
        found = np.empty(len(ids), np.float32)
        rows = np.arange(len(ids))
        feed: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        for stage, below in zip(self._stages, self._below, strict=True):
            logits, *hidden = stage.run(None, feed)
            found[rows] = logits[:, 0]
            stay = logits[:, 0] >= below
            if not stay.any():
                break
            rows, mask = rows[stay], mask[stay]
            longest = int(mask.sum(1).max())
            mask = mask[:, :longest]
            feed = {"hidden": hidden[0][stay, :longest], "attention_mask": mask}
        return found

    def vectors(self, ids: NDArray[np.int32], mask: NDArray[np.int32], types: NDArray[np.int32]) -> list[NDArray[Any]]:
        """What every stage's head says of every pair, shapes (b, width of the head); nobody leaves."""
        feed: dict[str, NDArray[Any]] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        said = []
        for stage in self._stages:
            result, *hidden = stage.run(None, feed)
            said.append(result)
            feed = {"attention_mask": mask, **({"hidden": hidden[0]} if hidden else {})}
        return said


def write_stages(
    shape: Mapping[str, Any],
    weights: Mapping[str, NDArray[np.float32]],
    heads: Mapping[int, LinearHead],
    into: Path,
    arithmetic: str,
) -> None:
    """Write the network as ONNX files, one for each stage.

    Args:
        shape: the base model's config.json.
        weights: of the whole network, under the names of ``BertModel``.
        heads: by the number of layers that lie before; the last is the classifier's own.
        into: folder.
        arithmetic: `int8` or `fp32`.
    """
    first = 0
    for number, last in enumerate(sorted(heads)):
        model = build_bert(shape, weights, head=heads[last], layers=range(first, last))
        path = into / _file(number)
        if arithmetic == "int8":
            path.write_bytes(model.SerializeToString())
            _quantise(path)
        else:
            write_graph(model, path)
        first = last


def _file(number: int) -> str:
    return f"stage-{number}.onnx"


def _quantise(path: Path) -> None:
    """Replace the weights' products by 8-bit ones; activations are quantised as they come."""
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it recommends a preprocessing that the graph does not need
    try:
        small = path.with_suffix(".int8")
        # The fused operators have no shape inference; everything in the graph is float32.
        extra = {"DefaultTensorType": 1, "MatMulConstBOnly": True}
        quantize_dynamic(
            path,
            small,
            op_types_to_quantize=["MatMul", "Attention"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # 8-bit products of processors without VNNI would overflow
            extra_options=extra,
        )
        small.replace(path)
    finally:
        root.setLevel(level)
