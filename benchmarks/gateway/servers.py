"""The processes that are measured: the gateway, LiteLLM's proxy, the stand-in; each on the cores that it is given."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.tools import vllm_cpu

LITELLM = "litellm[proxy]==1.106.2"
_ROOT = Path(__file__).parents[2]
_STARTING = 180.0


@dataclass(frozen=True)
class Serving:
    """A server that is ready.

    Attributes:
        url: its address.
        process: the first of its processes.
        model: the name that it serves.
        key: what clients have to send; the gateway and the stand-in take any.
    """

    url: str
    process: psutil.Process
    model: str
    key: str = "none"

    def processes(self) -> list[psutil.Process]:
        """All its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """What it has computed until now, in all its processes."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> list[dict[str, float]]:
        """MiB of each process: resident, its own alone, and with its share of what it shares."""
        found = [process.memory_full_info() for process in self.processes()]
        return [
            {name: round(getattr(one, name) / 2**20, 1) for name in ("rss", "uss", "pss")}
            for one in found
            if one.rss > 40 * 2**20  # not the processes that only watch the others
        ]


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """What is started within runs on these cores alone; none are all."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def gateway(upstream: str, model: str, store: Path, log: Path, options: Sequence[str] = ()) -> Iterator[Serving]:
    """``scr serve`` before a model server; its log lines are off."""
    port = vllm_cpu._free_port()
    command = [sys.executable, str(_ROOT / "cli.py"), "serve", "--upstream", upstream, "--store", str(store)]
    command += ["--port", str(port), "--no-log-requests", *options]
    with _running(command, f"http://127.0.0.1:{port}", "/health", model, log) as serving:
        yield serving


@contextmanager
def stand_in(first: float, gap: float, tokens: int, log: Path) -> Iterator[Serving]:
    """The stand-in for a model server."""
    port = vllm_cpu._free_port()
    command = [sys.executable, "-m", "benchmarks.gateway.stub", str(port), str(first), str(gap), str(tokens)]
    with _running(command, f"http://127.0.0.1:{port}", "/health", "stand-in", log) as serving:
        yield serving


@contextmanager
def litellm(upstream: str, model: str, environment: Path, log: Path) -> Iterator[Serving]:
    """LiteLLM's proxy before a model server, without a data base and with its log quiet."""
    port = vllm_cpu._free_port()
    settings = log.with_suffix(".yaml")
    settings.write_text(
        f"model_list:\n  - model_name: {model}\n    litellm_params:\n      model: openai/{model}\n"
        f"      api_base: {upstream}/v1\n      api_key: none\nlitellm_settings:\n  telemetry: false\n"
    )
    command = [str(environment / "bin" / "litellm"), "--config", str(settings), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    key = f"sk-{secrets.token_hex(32)}"  # without one it does not start
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    with _running(command, f"http://127.0.0.1:{port}", "/health/liveliness", model, log, quiet) as serving:
        yield replace(serving, key=key)


def litellm_environment(folder: Path) -> Path:
    """An environment with LiteLLM's proxy, made if it is not there.

    Raises:
        ToolError: it cannot be had.
    """
    vllm_cpu.environment(folder, "litellm.proxy.proxy_cli", [("install", LITELLM)], stamp=LITELLM)
    return folder


@contextmanager
def _running(
    command: Sequence[str], url: str, health: str, model: str, log: Path, more: dict[str, str] | None = None
) -> Iterator[Serving]:
    variables = {**os.environ, "PYTHONPATH": str(_ROOT), **(more or {})}
    with vllm_cpu.process(command, variables, url + health, log=log, timeout=_STARTING) as started:
        yield Serving(url, psutil.Process(started.pid), model)
