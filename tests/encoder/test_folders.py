"""Other models than the shipped one: folders in several layouts, and hub ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scr.encoder import open_encoder
from scr.encoder.folders import SentenceFolder, find_folder
from scr.encoder.onnx_encoder import OnnxEncoder
from scr.encoder.torch_encoder import TorchEncoder
from scr.errors import AssetError, MissingExtra

from . import models
from .texts import FACTS, ODD, QUESTIONS, SHORT

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
sentence_transformers = pytest.importorskip("sentence_transformers")

TEXTS = [*FACTS, *QUESTIONS, *SHORT, *ODD]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and the same random weights each time."""
    torch.manual_seed(0)
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def expected(folder: Path, texts: list[str] = TEXTS) -> NDArray[np.float32]:
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    return np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
def test_a_bert_is_pooled_as_its_folder_says(tmp_path: Path, pooling: str) -> None:
    folder = models.save(models.bert(), tmp_path / "model", pooling)
    encoder = open_encoder(str(folder))
    assert isinstance(encoder, OnnxEncoder)
    assert (encoder.name, encoder.dimensions) == (str(folder), models.WIDTH)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(folder), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_folder_of_the_newest_layout(tmp_path: Path, pooling: str) -> None:
    """It names its pooling in one word, and leaves the longest text to the tokenizer."""
    folder = models.save(models.bert(), tmp_path / "model")
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    model.save(str(tmp_path / "newest"))
    settings = tmp_path / "newest" / "1_Pooling" / "config.json"
    models.write(settings, {"embedding_dimension": models.WIDTH, "pooling_mode": pooling, "include_prompt": True})
    encoder = open_encoder(str(tmp_path / "newest"))
    assert isinstance(encoder, OnnxEncoder)
    assert SentenceFolder.read(tmp_path / "newest").max_length == models.LONGEST
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(tmp_path / "newest"), atol=1e-5)


def test_another_pooling_in_the_same_place_is_another_encoder(tmp_path: Path) -> None:
    folder = models.save(models.bert(), tmp_path / "model", "mean_tokens")
    mean = open_encoder(str(folder))
    settings = folder / "1_Pooling" / "config.json"
    settings.write_text(settings.read_text().replace('mean_tokens": true', 'mean_tokens": false'))
    settings.write_text(settings.read_text().replace('cls_token": false', 'cls_token": true'))
    cls = open_encoder(str(folder))
    assert cls.revision != mean.revision
    np.testing.assert_allclose(cls.encode(TEXTS), expected(folder), atol=1e-5)


def test_an_exported_graph_runs_without_torch(tmp_path: Path) -> None:
    model = models.distilbert()
    folder = models.save(model, tmp_path / "model")
    models.export(model, folder)
    encoder = open_encoder(str(folder))
    assert isinstance(encoder, OnnxEncoder)
    assert encoder.dimensions == models.WIDTH
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(folder), atol=1e-5)


def test_weights_beside_an_exported_graph_count(tmp_path: Path) -> None:
    import onnx

    model = models.distilbert()
    folder = models.save(model, tmp_path / "model")
    models.export(model, folder)
    graph = onnx.load(folder / "onnx" / "model.onnx")
    one = folder / "onnx" / "model.onnx"
    onnx.save_model(graph, one, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    before = open_encoder(str(folder))
    np.testing.assert_allclose(before.encode(TEXTS), expected(folder), atol=1e-5)
    data = folder / "onnx" / "model.onnx_data"
    data.write_bytes((np.frombuffer(data.read_bytes(), np.uint8) ^ 1).tobytes())
    assert open_encoder(str(folder)).revision != before.revision


def test_an_exported_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    import onnx

    model = models.distilbert()
    folder = models.save(model, tmp_path / "model")
    models.export(model, folder)
    path = folder / "onnx" / "model.onnx"
    graph = onnx.load(path)
    graph.graph.input[1].name = "pixel_values"
    onnx.save(graph, path)
    with pytest.raises(AssetError, match="wants pixel_values: remove it"):
        open_encoder(str(folder))
    path.write_bytes(b"no graph")
    with pytest.raises(AssetError, match=r"cannot read .*model\.onnx"):
        open_encoder(str(folder))


def test_what_onnx_runtime_cannot_run_goes_through_sentence_transformers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = models.save(models.distilbert(), tmp_path / "model", "max_tokens")
    capfd.readouterr()
    encoder = open_encoder(str(folder))
    assert isinstance(encoder, TorchEncoder)
    assert (encoder.name, encoder.dimensions) == (str(folder), models.WIDTH)
    done: list[int] = []
    vectors = encoder.encode(TEXTS * 20, progress=done.append)
    assert capfd.readouterr() == ("", "")
    assert (sum(done), len(done) > 1) == (len(TEXTS) * 20, True)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS) * 20, models.WIDTH))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[: len(TEXTS)], expected(folder), atol=1e-5)
    assert encoder.encode([]).shape == (0, models.WIDTH)
    assert open_encoder(str(folder)).revision == encoder.revision


def test_other_weights_are_another_revision(tmp_path: Path) -> None:
    one = open_encoder(str(models.save(models.distilbert(), tmp_path / "one")))
    other = open_encoder(str(models.save(models.distilbert(), tmp_path / "other")))
    assert isinstance(one, TorchEncoder)
    assert one.revision != other.revision


def test_several_poolings_side_by_side(tmp_path: Path) -> None:
    folder = models.save(models.bert(), tmp_path / "model")
    modes = {"embedding_dimension": models.WIDTH, "pooling_mode": ["mean", "max"]}
    models.write(folder / "1_Pooling" / "config.json", modes)
    encoder = open_encoder(str(folder))
    assert (type(encoder), encoder.dimensions) == (TorchEncoder, 2 * models.WIDTH)


def test_a_bert_in_bfloat16(tmp_path: Path) -> None:
    folder = models.save(models.bert().bfloat16(), tmp_path / "model")
    vectors = open_encoder(str(folder)).encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)


def test_the_fallback_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = models.save(models.distilbert(), tmp_path / "model")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # as where the library is not installed
    with pytest.raises(MissingExtra, match=r"pip install 'scr-edit\[local\]'"):
        open_encoder(str(folder))


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    folder = models.save(models.distilbert(), tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(AssetError, match="cannot open the encoder") as raised:
        open_encoder(str(folder))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "tokenizer", "longest"),
    [({"max_position_embeddings": 514}, 512, 512), ({"max_position_embeddings": -1}, 10**30, 10**30), ({}, None, 512)],
)
def test_the_longest_text(tmp_path: Path, config: dict[str, int], tokenizer: int | None, longest: int) -> None:
    models.write(tmp_path / "config.json", config)
    models.write(tmp_path / "tokenizer_config.json", {"model_max_length": tokenizer})
    assert SentenceFolder.read(tmp_path).max_length == longest
    models.write(tmp_path / "sentence_bert_config.json", {"max_seq_length": 128})
    assert SentenceFolder.read(tmp_path).max_length == 128


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="holds no model"):
        open_encoder(str(tmp_path))


def test_a_name_that_is_neither_folder_nor_hub_id() -> None:
    with pytest.raises(AssetError, match="there is no folder /no/such/folder"):
        open_encoder("/no/such/folder")


@pytest.mark.parametrize("offline", ["0", "1"])
def test_where_no_hub_can_be_reached(tmp_path: Path, offline: str) -> None:
    # The hub's client reads its settings when it is imported, hence another process. Nothing listens on port 9.
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": offline}
    command = [sys.executable, "cli.py", "add", "The capital of France is Lyon.", "--encoder=BAAI/bge-small-en-v1.5"]
    ran = subprocess.run(
        [*command, f"--store={tmp_path / 'store'}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | hub | {"NO_PROXY": "127.0.0.1"},
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "cannot fetch the encoder BAAI/bge-small-en-v1.5" in ran.stderr
    assert "name a folder" in ran.stderr


def cached_by_the_hub(home: Path, files: dict[str, str]) -> Path:
    """A model in the layout of the hub's cache."""
    model = home / "models--someone--tiny"
    snapshot = model / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0" * 40)
    for name, text in files.items():
        (snapshot / name).write_text(text)
    return snapshot


def test_a_hub_model_that_was_fetched_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    home = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = cached_by_the_hub(home, {"config.json": json.dumps({})})
    with pytest.raises(AssetError, match="no weights in safetensors"):
        find_folder("someone/tiny")  # without weights it was not fetched whole
    (snapshot / "model.safetensors").write_bytes(b"")
    assert find_folder("someone/tiny") == snapshot
