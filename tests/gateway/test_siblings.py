"""Processes of one gateway that ask each other what they decided."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scr.gateway.recent import Recent
from scr.gateway.siblings import Siblings
from scr.pipeline import Decision

pytestmark = pytest.mark.skipif(not hasattr(asyncio, "start_unix_server"), reason="a system without such sockets")

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def recent(*queries: str, minutes: float = 0, namespace: str = "default") -> Recent:
    """A process that decided these, one second after the other."""
    clock = [NOW + timedelta(minutes=minutes)]
    found = Recent(lambda: clock[0])
    for query in queries:
        clock[0] += timedelta(seconds=1)
        found.note([Decision(query, (), {})], trace="t", key="k", namespace=namespace, seconds=0.25)
    clock[0] = NOW
    return found


@asynccontextmanager
async def gateway(folder: Path, *processes: Recent) -> AsyncIterator[list[Siblings]]:
    opened = [Siblings(one, folder) for one in processes]
    for one in opened:
        await one.open()
    try:
        yield opened
    finally:
        for one in opened:
            await one.aclose()


def test_each_knows_what_all_decided(tmp_path: Path) -> None:
    async def go() -> None:
        processes = (
            recent("first", "fifth \ud800", minutes=-10),
            recent("elsewhere", namespace="acme", minutes=-10),
            recent("last", minutes=-1),
        )
        async with gateway(tmp_path, *processes) as opened:
            for one in opened:
                past = await one.past("default")
                assert [each.query for each in past] == ["last", "fifth \ud800", "first"]
                assert {each.milliseconds for each in past} == {250.0}
                assert [each.query for each in await one.past("acme")] == ["elsewhere"]
                minutes = await one.minutes()
                assert [minute.total for minute in minutes] == [0] * 49 + [3] + [0] * 8 + [1, 0]
                assert minutes[49].quantile(0.5) == 250.0
        assert [*tmp_path.iterdir()] == []

    asyncio.run(go())


def test_one_that_is_gone_or_silent_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scr.gateway.siblings._SECONDS", 0.2)

    async def go() -> None:
        async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            writer.close()

        over = asyncio.Event()
        async with gateway(tmp_path, recent("mine"), recent("theirs")) as (one, _):
            hung = await asyncio.start_unix_server(silent, tmp_path / "hung.sock")
            gone = tmp_path / "gone.sock"
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(str(gone))
            assert gone.exists()
            assert {each.query for each in await one.past("default")} == {"mine", "theirs"}
            assert not gone.exists()
            over.set()
            hung.close()
            # Who asks nonsense, or leaves, harms nobody.
            for words in (b"{\n", b"", b"[1]\n"):
                _, writer = await asyncio.open_unix_connection(next(tmp_path.glob("????????.sock")))
                writer.write(words)
                writer.close()
            assert len(await one.past("default")) == 2

    asyncio.run(go())


def test_alone_it_knows_its_own() -> None:
    async def go() -> None:
        alone = Siblings(recent("mine"), None)
        await alone.open()
        assert [each.query for each in await alone.past("default")] == ["mine"]
        await alone.aclose()

    asyncio.run(go())
