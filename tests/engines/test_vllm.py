"""A real vLLM server on the CPU: what only a real server can show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest

from benchmarks.tools.vllm_cpu import Server
from scr.engines import Sampling
from scr.engines.openai import OpenAIEngine
from scr.engines.transformers import TransformersEngine
from scr.engines.vllm import VLLMEngine
from scr.errors import EngineUnavailable, MissingExtra, ModelNotFound

from ..contracts.engine_checks import PROMPTS, chat


@pytest.fixture(scope="module")
def engine(vllm_server: Server) -> Iterator[OpenAIEngine]:
    with closing(OpenAIEngine.connect(vllm_server.base_url)) as engine:
        yield engine


@pytest.mark.vllm
@pytest.mark.llm
def test_both_engines_give_the_model_the_same_prompt(engine: OpenAIEngine, smollm2: TransformersEngine) -> None:
    sampling = Sampling(max_tokens=8)
    served, embedded = engine.generate(PROMPTS, sampling), smollm2.generate(PROMPTS, sampling)
    assert [answer.prompt_tokens for answer in served] == [answer.prompt_tokens for answer in embedded]
    assert [answer.text for answer in served] == [answer.text for answer in embedded]
    assert [answer.finish_reason for answer in served] == [answer.finish_reason for answer in embedded]


@pytest.mark.vllm
def test_tokens_are_counted(engine: OpenAIEngine, smollm2: TransformersEngine) -> None:
    for text in ("The capital of France is Paris.", "Eichhörnchen 漢字", ""):
        assert engine.count_tokens(text) == smollm2.count_tokens(text)


@pytest.mark.vllm
def test_a_wrong_model_name(vllm_server: Server) -> None:
    with closing(OpenAIEngine.connect(vllm_server.base_url, "gpt-9")) as engine:
        for prompt in (PROMPTS[0], "raw text"):
            with pytest.raises(ModelNotFound, match="SmolLM2-135M-Instruct"):
                engine.generate([prompt], Sampling(max_tokens=1))
        with pytest.raises(ModelNotFound, match="SmolLM2-135M-Instruct"):
            list(engine.stream(PROMPTS[0], Sampling(max_tokens=1)))


@pytest.mark.vllm
def test_many_at_once_are_answered_in_order(engine: OpenAIEngine) -> None:
    prompts = [chat(f"Repeat this number: {number}") for number in range(40)]
    answers = engine.generate(prompts, Sampling(max_tokens=10))
    assert sum(str(number) in answer.text for number, answer in enumerate(answers)) >= 20
    assert answers[3] == engine.generate([prompts[3]], Sampling(max_tokens=10))[0]


@pytest.mark.vllm
def test_an_address_beside_the_server(vllm_server: Server) -> None:
    port = int(vllm_server.base_url.split(":")[2].split("/")[0])
    with pytest.raises(EngineUnavailable, match="start it"):
        OpenAIEngine.connect(vllm_server.base_url.replace(str(port), str(port + 1)), retries=0)


def test_without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtra, match=r"pip install 'scr-edit\[vllm\]'"):
        VLLMEngine.from_pretrained()


@pytest.mark.parametrize("name", ["./none", "a/b/c", "~/none"])
def test_both_engines_say_alike_that_there_is_no_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))  # it is not asked
    said = []
    for engine in (VLLMEngine, TransformersEngine):
        with pytest.raises(ModelNotFound, match="give a Hugging Face model folder or a hub id") as failure:
            engine.from_pretrained(name)
        said.append(str(failure.value))
    assert said[0] == said[1]
