"""The Python API within an event loop."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import scr
from scr.encoder import Encoder
from scr.errors import FactError, UnknownStore

from .gateway.recorder import Handler, Recorder, recording

QUESTION = "What is the capital of France?"
LYON = "The capital of France is Lyon."
PEOPLE = ["Ann", "Bo", "Cleo", "Dirk"]


@pytest.fixture(autouse=True)
def opened(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Every opening of the encoder, which is slow enough for other threads to come in between."""
    opened: list[str | None] = []

    def open_encoder(name: str | None = None) -> Encoder:
        opened.append(name)
        time.sleep(0.05)
        return encoder

    monkeypatch.setattr("scr.encoder.open_encoder", open_encoder)
    return opened


@pytest.fixture
def server() -> Iterator[Recorder]:
    with recording() as running:
        yield running


def test_it_does_what_the_other_does(tmp_path: Path) -> None:
    async def use() -> None:
        async with scr.open_async(tmp_path / "store") as edits:
            added = await edits.add(LYON, source="a test")
            assert added.fact.source == "a test"
            decision = await edits.decide(QUESTION)
            assert [fact.id for fact in decision.applying] == [added.fact.id]
            assert decision.to_json()["facts"] == edits.edits.decide(QUESTION).to_json()["facts"]
            given = await edits.messages(QUESTION)
            assert given == edits.edits.messages(QUESTION)
            turns = [{"role": "user", "content": "Who wrote Hamlet?"}]
            assert await edits.messages(turns) is turns
            assert edits.edits.pipeline.engine is None, "no model was opened"
            await edits.run(lambda store: store.undo())
            assert not (await edits.decide(QUESTION)).in_scope
            assert (await edits.decide(QUESTION, as_of=added.fact.created_at)).in_scope
            with pytest.raises(FactError):
                await edits.add("")

    asyncio.run(use())


def test_it_is_awaited_or_entered(tmp_path: Path) -> None:
    async def use() -> None:
        with pytest.raises(UnknownStore):
            await scr.open_async(tmp_path / "store", make=False)
        edits = await scr.open_async(tmp_path / "store")
        await edits.aclose()
        async with await scr.open_async(tmp_path / "store", make=False) as again:
            assert not (await again.decide(QUESTION)).in_scope

    asyncio.run(use())


@pytest.mark.parametrize("entered", [True, False])
@pytest.mark.parametrize("loop_ends", [False, True])
def test_a_store_that_nobody_waits_for_any_more_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entered: bool, loop_ends: bool
) -> None:
    begun, go_on, opened = threading.Event(), threading.Event(), threading.Event()

    def slowly(*args: Any, **options: Any) -> scr.Edits:
        begun.set()
        assert go_on.wait(2)
        edits = scr.open(*args, **options)
        opened.set()
        return edits

    async def open_it() -> None:
        if entered:
            async with scr.open_async(tmp_path / "store"):
                pytest.fail("it was cancelled before")
        await scr.open_async(tmp_path / "store")

    async def use() -> None:
        task = asyncio.create_task(open_it())
        assert await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not loop_ends:
            go_on.set()
            await asyncio.to_thread(opened.wait, 10)

    monkeypatch.setattr("scr.async_api.open_edits", slowly)
    asyncio.run(use())
    go_on.set()
    assert opened.wait(10)
    deadline = time.monotonic() + 10
    while left := [one.path for one in psutil.Process().open_files() if Path(one.path).is_relative_to(tmp_path)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_many_tasks_share_one(tmp_path: Path, opened: list[str | None]) -> None:
    """Writers and readers from the first moment on, when nothing is open yet."""

    async def use() -> None:
        async with scr.open_async(tmp_path / "store") as edits:
            adding = [edits.add(f"{name}'s office is room {number}.") for number, name in enumerate(PEOPLE)]
            await asyncio.gather(*adding, *(edits.decide(f"Where is {name}'s office?") for name in PEOPLE))
            found = await asyncio.gather(*(edits.decide(f"Which room is {name}'s office?") for name in PEOPLE * 3))
            for decision, name in zip(found, PEOPLE * 3, strict=True):
                assert decision.facts[0].fact.text.startswith(f"{name}'s"), decision.query
            assert len(opened) == 1

    asyncio.run(use())


def test_the_loop_goes_on_while_the_model_answers(tmp_path: Path, server: Recorder) -> None:
    together = threading.Barrier(8)

    def answer(handler: Handler) -> None:
        if not handler.sent.path.endswith("/chat/completions"):  # how many tokens a fact has
            handler.say(404, b"{}")
            return
        together.wait(20)  # broken, and so a failure, unless eight ask at once
        handler.say(200, b'{"id":"c","choices":[{"index":0,"finish_reason":"stop",'
                         b'"message":{"role":"assistant","content":"Lyon."}}]}')  # fmt: skip

    server.answer = answer

    async def use() -> None:
        async with scr.open_async(tmp_path / "store", base_url=server.url, model="m") as edits:
            await edits.add(LYON)
            first = [asyncio.create_task(edits.ask(QUESTION)) for _ in range(7)]
            await asyncio.sleep(0.05)
            assert (await edits.decide(QUESTION)).in_scope, "decisions do not wait for answers"
            assert not any(task.done() for task in first)
            answers = [await edits.ask(QUESTION), *await asyncio.gather(*first)]
            assert {answer.text for answer in answers} == {"Lyon."}
            asked = [sent.json for sent in server.sent if sent.path.endswith("/chat/completions")]
            assert all(LYON in one["messages"][-1]["content"] for one in asked)

    asyncio.run(use())


def test_a_task_that_is_cancelled_leaves_the_rest_alone(tmp_path: Path) -> None:
    async def use() -> None:
        async with scr.open_async(tmp_path / "store") as edits:
            task = asyncio.create_task(edits.add(LYON))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await edits.add("Ann's office is room 1.")).fact.status == "active"
            assert len(list(edits.store.facts())) == 2, "what was begun was brought to its end"

    asyncio.run(use())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("scr-")]


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    examples = re.findall(r"^```python\n(.*?)^```$", (root / "docs/python.md").read_text("utf-8"), re.M | re.S)
    shown = []
    for place, code in enumerate(examples):
        (tmp_path / str(place)).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=tmp_path / str(place),
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    assert len(shown) == 3
    assert shown[0].startswith("True")
    assert shown[1] == "[True, False]\n"
    assert all("The capital of France is Lyon." in shown[place] for place in (0, 2))
