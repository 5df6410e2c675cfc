"""Ways of running all-MiniLM-L6-v2 on a CPU, in one table; a way's libraries are imported when it is opened."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.sentences import sentences
from scr.assets import build_folder, minilm_folder
from scr.encoder import open_encoder, session
from scr.encoder.folders import SentenceFolder
from scr.encoder.onnx_encoder import batches, prepare

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
Open = Callable[[Path, int], Encode]
"""Opens a way, given a folder for converted models and how many threads it may use."""
Group = Callable[[list[int]], Iterator[NDArray[np.int64]]]
"""Places of the texts in each batch, given their lengths in tokens."""

_TOKENS = 2048
"""Most tokens in a batch, padding included, as in the shipped encoder."""
_CALIBRATION = 300
"""Sentences, of another seed than the measured ones, that static quantisation takes its ranges from."""


class NotHere(Exception):
    """The way cannot run here; the message says why."""


@dataclass(frozen=True)
class Way:
    """A way of running the encoder.

    Attributes:
        name: runtime, precision and what else is special.
        open: opens it; raises :class:`NotHere`, or whatever the runtime raises, where it cannot run.
        threads: the numbers of threads to measure it with.
    """

    name: str
    open: Open
    threads: tuple[int, ...] = (1, 2)


def by_length(tokens: int = _TOKENS) -> Group:
    """Batches of texts of like length, as the shipped encoder makes them."""
    return lambda lengths: batches(lengths, tokens)


def as_they_come(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Batches in the order of the texts, of at most ``_TOKENS`` tokens with padding."""
    start, longest = 0, 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if place > start and (place + 1 - start) * longest > _TOKENS:
            yield np.arange(start, place)
            start, longest = place, length
    yield np.arange(start, len(lengths))


def batched(run: Callable[[NDArray[np.int32], NDArray[np.int32]], Any], group: Group) -> Encode:
    """Tokenise, run in batches, and put the vectors into the order of the texts.

    Args:
        run: vectors, shape (batch, dimensions), of token ids and attention mask, both (batch, length).
        group: how batches are made.
    """
    tokenizer = _tokenizer()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        vectors = np.empty((len(texts), 384), np.float32)
        for places in group([len(each) for each in ids]):
            vectors[places] = run(*_padded([ids[place] for place in places]))
        return vectors

    return encode


def _padded(ids: list[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    lengths = np.array([len(each) for each in ids])
    mask = np.arange(lengths.max()) < lengths[:, None]
    tokens = np.zeros(mask.shape, np.int32)
    tokens[mask] = np.concatenate(ids)
    return tokens, mask.astype(np.int32)


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(SentenceFolder.read(minilm_folder()).max_length)
    return tokenizer


def shipped(_: Path, threads: int) -> Encode:
    """What every store uses, as it is."""
    with _cores(threads):
        return open_encoder().encode


def torch(precision: str) -> Open:
    """sentence-transformers."""

    def open_it(_: Path, threads: int) -> Encode:
        library = _needed("torch")
        model = _sentence_transformer(precision)

        def encode(texts: Sequence[str]) -> NDArray[np.float32]:
            library.set_num_threads(threads)  # of the whole process, so before each run
            found = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
            return np.asarray(found, np.float32)

        return encode

    return open_it


@cache
def _sentence_transformer(precision: str) -> Any:
    library = _needed("torch")
    model = _needed("sentence_transformers").SentenceTransformer(str(minilm_folder()), device="cpu")
    if precision == "bfloat16":
        return model.bfloat16()
    if precision == "int8":
        return library.ao.quantization.quantize_dynamic(model, {library.nn.Linear}, dtype=library.qint8)
    return model


def onnx(name: str, convert: Callable[[Path, Path], None] | None = None, group: Group | None = None) -> Open:
    """Our graph in ONNX Runtime with the shipped encoder's options, converted first if that is said.

    Args:
        name: of the converted model in the cache.
        convert: from our graph's file to another.
        group: how batches are made; by length unless said.
    """

    def open_it(folder: Path, threads: int) -> Encode:
        path = _converted(folder, name, convert) if convert else _graph()
        with _cores(threads):
            opened = session.open_session(path)
        return batched(
            lambda ids, mask: opened.run(None, {"input_ids": ids, "attention_mask": mask})[0], group or by_length()
        )

    return open_it


def int8(source: Path, target: Path, *, reduced: bool = False) -> None:
    """Weights in 8 bits for each output channel, or in 7 where that spares CPUs without VNNI an overflow."""
    from onnx import TensorProto
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=reduced,
        # Types cannot be inferred through the fused operators.
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


def int8_blocks(source: Path, target: Path) -> None:
    """Weights in 8 bits with a scale for each 32 of them; so are the activations while it runs."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=8, block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    session.write_graph(quantizer.model.model, target)


def fp16(source: Path, target: Path) -> None:
    """Everything in float16; the runtime casts around what it has only in float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(source), keep_io_types=True, disable_shape_infer=True)
    session.write_graph(model, target)


def bf16(source: Path, target: Path) -> None:
    """Matrix products in bfloat16, with casts around them."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(source)
    weights = {each.name: each for each in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type != "MatMul":
            nodes.append(node)
            continue
        value, weight = node.input
        result = node.output[0]
        half = onnx.numpy_helper.to_array(weights[weight]).astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
        weights[weight].CopyFrom(onnx.numpy_helper.from_array(half, weight))
        nodes += [
            helper.make_node("Cast", [value], [f"{result}_in"], to=TensorProto.BFLOAT16),
            helper.make_node("MatMul", [f"{result}_in", weight], [f"{result}_out"]),
            helper.make_node("Cast", [f"{result}_out"], [result], to=TensorProto.FLOAT),
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    session.write_graph(model, target)


def openvino(precision: str, quantise: Callable[[Any], Any] | None = None, **options: Any) -> Open:
    """Our graph in OpenVINO.

    Args:
        precision: what it may compute in (``f32``, ``bf16``).
        quantise: makes another model of it first, with NNCF.
        options: more of the runtime's properties.
    """

    def open_it(folder: Path, threads: int) -> Encode:
        library = _needed("openvino")
        path = _graph()
        if quantise:
            path = _converted(
                folder,
                f"openvino-{quantise.__name__}",
                lambda source, target: library.save_model(
                    quantise(library.Core().read_model(source)), target, compress_to_fp16=False
                ),
                "model.xml",
            )
        # Threads that are free to move, as those of the other runtimes are.
        settings = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "INFERENCE_NUM_THREADS": threads}
        settings |= {"INFERENCE_PRECISION_HINT": precision, **options}
        compiled = library.Core().compile_model(path, "CPU", settings)
        return batched(lambda ids, mask: compiled([ids, mask])[0], by_length())

    return open_it


def static(model: Any) -> Any:
    """Weights and activations in 8 bits; ranges of the activations from example sentences, smoothed."""
    nncf = _needed("nncf")
    tokenizer = _tokenizer()
    texts = [text for each in sentences(_CALIBRATION // 2, seed=9) for text in (each.text, each.question)]
    examples = [list(_padded([tokenizer.encode(text).ids])) for text in texts]
    return nncf.quantize(
        model, nncf.Dataset(examples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(examples)
    )


def dynamic(model: Any) -> Any:
    """Weights in 8 bits; the runtime quantises activations as it goes."""
    nncf = _needed("nncf")
    return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)


def _graph() -> Path:
    return prepare(minilm_folder()) / "model.onnx"


def _converted(folder: Path, name: str, convert: Callable[[Path, Path], None], file: str = "model.onnx") -> Path:
    """A model made of our graph, kept in ``folder`` for as long as the graph stays the same."""
    target = folder / _graph().parent.name / name
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        build_folder(target, lambda into: convert(_graph(), into / file))
    return target / file


def _needed(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as error:
        missing = (error.name or library).replace("_", "-")
        raise NotHere(f"not installed: pip install {missing}") from error


def _cores(threads: int) -> Any:
    """While this lasts, sessions are opened as on a machine with so many cores."""
    return mock.patch.object(session, "usable_cores", return_value=threads)


REFERENCE = Way("torch fp32", torch("fp32"))
SHIPPED = Way("ONNX fp32 (shipped)", shipped)

WAYS = [
    REFERENCE,
    Way("torch bfloat16", torch("bfloat16")),
    Way("torch int8, dynamic", torch("int8")),
    SHIPPED,
    Way("ONNX int8, dynamic, per channel", onnx("int8", int8)),
    Way("ONNX int8, dynamic, 7-bit weights", onnx("int7", lambda source, target: int8(source, target, reduced=True))),
    Way("ONNX int8 weights, blocks of 32", onnx("int8-blocks", int8_blocks)),
    Way("ONNX fp16", onnx("fp16", fp16)),
    Way("ONNX bfloat16", onnx("bf16", bf16)),
    Way("OpenVINO fp32", openvino("f32")),
    Way("OpenVINO bfloat16", openvino("bf16")),
    Way("OpenVINO int8, static, smoothed", openvino("f32", static)),
    Way("OpenVINO int8, dynamic", openvino("f32", dynamic, DYNAMIC_QUANTIZATION_GROUP_SIZE=32)),
    Way("ONNX fp32, in arrival order", onnx("fp32", group=as_they_come), threads=(2,)),
    Way("ONNX fp32, one by one", onnx("fp32", group=by_length(1)), threads=(2,)),
    *(
        Way(f"ONNX fp32, batches of {tokens} tokens", onnx("fp32", group=by_length(tokens)), threads=(2,))
        for tokens in (256, 512, 1024, 4096, 8192)
    ),
]
