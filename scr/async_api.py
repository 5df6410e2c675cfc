"""The Python API's twin for an event loop: the same calls, each in a thread, so that the loop is never held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from scr.api import Edits, open_edits
from scr.engines import Message, Prompt, Sampling
from scr.pipeline import Answer, Decision
from scr.store import Added, FactStore, OnConflict

_T = TypeVar("_T")

_DECIDING = 2
_ASKING = 16


class AsyncEdits:
    """:class:`scr.Edits` for an event loop; any number of tasks may share one.

    A task that is cancelled no longer waits; what its thread has begun it brings to its end, so that a fact is added
    whole or not at all.

    Attributes:
        edits: the same facts and model, for code without a loop.
    """

    def __init__(self, edits: Edits) -> None:
        self.edits = edits
        # Decisions take milliseconds and an answer may take minutes, so they do not share threads.
        self._deciding = ThreadPoolExecutor(_DECIDING, "scr-decide")
        self._writing = ThreadPoolExecutor(1, "scr-write")  # the ledger takes one writer at a time
        self._asking = ThreadPoolExecutor(_ASKING, "scr-ask")

    @property
    def store(self) -> FactStore:
        """The facts; its methods block, so call them by :meth:`run`."""
        return self.edits.store

    async def add(self, text: str, *, on_conflict: OnConflict = "supersede", **fields: Any) -> Added:
        """:meth:`scr.Edits.add`: the fact is durable when this returns.

        Raises:
            FactError: it is not acceptable.
        """
        return await self._in(self._writing, partial(self.edits.add, text, on_conflict=on_conflict, **fields))

    async def decide(self, query: str | Sequence[Message], *, as_of: datetime | None = None) -> Decision:
        """:meth:`scr.Edits.decide`: which facts govern a question or a conversation."""
        return await self._in(self._deciding, partial(self.edits.decide, query, as_of=as_of))

    async def messages(self, query: str | Sequence[Message], *, as_of: datetime | None = None) -> Prompt:
        """:meth:`scr.Edits.messages`: what a model is to be given; out of scope it is what came."""
        return await self._in(self._deciding, partial(self.edits.messages, query, as_of=as_of))

    async def ask(
        self, query: str | Sequence[Message], sampling: Sampling | None = None, *, as_of: datetime | None = None
    ) -> Answer:
        """:meth:`scr.Edits.ask`: the model's answer, with the facts that govern the question in its context."""
        return await self._in(self._asking, partial(self.edits.ask, query, sampling, as_of=as_of))

    async def run(self, work: Callable[[FactStore], _T]) -> _T:
        """Do something else with the store, such as ``run(lambda store: store.undo())``; writers wait their turn."""
        return await self._in(self._writing, lambda: work(self.edits.store))

    async def aclose(self) -> None:
        """Wait for what is under way, and give back files, connections and memory."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for threads in (self._deciding, self._writing, self._asking):
            threads.shutdown(cancel_futures=True)
        self.edits.close()

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    async def __aenter__(self) -> AsyncEdits:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Opening(AbstractAsyncContextManager[AsyncEdits]):
    """A store that is about to be opened: ``await`` it, or enter it by ``async with``.

    What is opened for a task that was cancelled meanwhile is closed at once.
    """

    def __init__(self, open_it: Callable[[], Edits]) -> None:
        self._open_it = open_it
        self._entered: AsyncEdits | None = None

    def __await__(self) -> Generator[Any, None, AsyncEdits]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncEdits:
        self._entered = await self._open()
        return self._entered

    async def __aexit__(self, *_: object) -> None:
        if self._entered is not None:
            await self._entered.aclose()

    async def _open(self) -> AsyncEdits:
        threads = ThreadPoolExecutor(1, "scr-open")
        opening = threads.submit(self._open_it)
        threads.shutdown(wait=False)
        try:
            return AsyncEdits(await asyncio.wrap_future(opening))
        except asyncio.CancelledError:
            opening.add_done_callback(_close)  # in the thread that opens it, so that the loop's end is no matter
            raise


def _close(opening: Future[Edits]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def open_async(store: str | Path, **options: Any) -> _Opening:
    """:func:`scr.open` for an event loop: ``async with scr.open_async(store) as edits``.

    Or ``edits = await scr.open_async(store)``, and :meth:`AsyncEdits.aclose` at the end.

    Args:
        store: the store's folder.
        options: those of :func:`scr.open`.

    Raises:
        UnknownStore: there is none, and it is not to be made.
        StoreError: it cannot be opened; one of its subclasses.
    """
    return _Opening(partial(open_edits, store, **options))
