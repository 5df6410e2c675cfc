"""Decisions for many requests at once, off the event loop.

While one batch is being decided, the requests that come meanwhile gather and are the next one: nobody waits for a
batch to fill, and the more requests there are the larger the batches. Encoder and index are asked for a batch at once,
the classifier for one request after the other: on a CPU that takes it no longer, each has its answer as soon as it is
there, and none depends on who asked beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TypeAlias

from scr.context import ContextBuilder
from scr.engines import Prompt
from scr.errors import ScrError
from scr.pipeline import DEFAULT_K, Decision, Pipeline
from scr.scope import ScopeClassifier
from scr.store import FactStore

DEFAULT_TIMEOUT = 5.0
"""Seconds that a decision may take."""

_MOST_TOGETHER = 8
_MOST_WAITING = 2_048

OnBatch: TypeAlias = Callable[[int, float], None]
"""Is told a batch's size and the seconds that it took."""

log = logging.getLogger(__name__)


class CannotDecide(ScrError):
    """It is not known which facts govern a request.

    Attributes:
        reason: one word for counting: ``busy``, ``late``, ``large``, ``store`` or ``internal``.
        namespace: whose facts they would be; None where whoever raised it was not told.
    """

    namespace: str | None = None

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(eq=False, slots=True)
class _Ask:
    """A prompt that waits for its decision."""

    prompt: Prompt
    namespace: str
    as_of: datetime | None
    answer: asyncio.Future[Decision]


_Answer: TypeAlias = Callable[[_Ask, Decision | CannotDecide], None]


class Decider:
    """Decides for concurrent requests; its coroutines all run in one event loop.

    Args:
        store: the facts, of every namespace.
        scope: says which of the retrieved ones govern a query.
        k: how many candidates to retrieve.
        timeout: seconds that a decision may take, waiting included.
        on_batch: is told of every batch.
    """

    def __init__(
        self,
        store: FactStore,
        scope: ScopeClassifier,
        *,
        k: int = DEFAULT_K,
        timeout: float = DEFAULT_TIMEOUT,
        on_batch: OnBatch = lambda *_: None,
    ) -> None:
        self.store, self.scope, self.k, self._timeout = store, scope, k, timeout
        self._context = ContextBuilder()  # part of a pipeline; deciding does not render
        self._on_batch = on_batch
        # The past is searched fact by fact, which is slow in a large store: the present is not to wait for it.
        self._lanes = {past: _Lane(self._decide, on_batch, f"scr-decide-{past}") for past in (False, True)}

    def warm(self) -> None:
        """Open encoder, index and classifier, which the first decision would else wait for.

        Raises:
            ScrError: one of them cannot be opened.
        """
        _ = self.store.searcher
        self._pipeline(self.store.namespace).decide("What is this?")

    async def decide(self, prompts: Sequence[Prompt], namespace: str, as_of: datetime | None = None) -> list[Decision]:
        """Which facts of a namespace govern each prompt.

        Raises:
            CannotDecide: that cannot be said, or not in time.
        """
        lane = self._lanes[as_of is not None]
        asks = [_Ask(prompt, namespace, as_of, asyncio.get_running_loop().create_future()) for prompt in prompts]
        lane.put(asks)
        answers = asyncio.gather(*(ask.answer for ask in asks))  # cancelled at the time-out, and all asks with it
        try:
            async with asyncio.timeout(self._timeout):
                return list(await answers)
        except TimeoutError:
            raise CannotDecide("late", f"no decision within {self._timeout:g} seconds: try again later") from None
        finally:
            for ask in asks:
                ask.answer.cancel()

    async def aclose(self) -> None:
        """Stop; requests that wait are cancelled."""
        for lane in self._lanes.values():
            await lane.aclose()

    def _pipeline(self, namespace: str) -> Pipeline:
        return Pipeline(self.store.view(namespace=namespace), self.scope, self._context, k=self.k)

    def _decide(self, asks: Sequence[_Ask], answer: _Answer) -> None:
        """Decide a batch, in a thread; what one prompt breaks is not the others' loss."""
        left = list(asks)
        try:
            for ask, decision in self._decide_together(asks):
                answer(ask, decision)
                left.remove(ask)
        except Exception as error:
            if len(asks) == 1:
                answer(asks[0], _explained(error))
                return
            for ask in left:
                self._decide([ask], answer)

    def _decide_together(self, asks: Sequence[_Ask]) -> Iterator[tuple[_Ask, Decision]]:
        for namespace, as_of in dict.fromkeys((ask.namespace, ask.as_of) for ask in asks):
            some = [ask for ask in asks if (ask.namespace, ask.as_of) == (namespace, as_of)]
            yield from zip(
                some, self._pipeline(namespace).decide_each([ask.prompt for ask in some], as_of=as_of), strict=True
            )


class _Lane:
    """One thread that decides, and the requests that wait for it."""

    def __init__(self, decide: Callable[[Sequence[_Ask], _Answer], None], on_batch: OnBatch, name: str) -> None:
        self._decide, self._on_batch = decide, on_batch
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: list[_Ask] = []
        self._come = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def put(self, asks: Sequence[_Ask]) -> None:
        if len(self._waiting) + len(asks) > _MOST_WAITING:
            raise CannotDecide("busy", "too many requests wait for a decision: try again later")
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        self._waiting.extend(asks)
        self._come.set()

    async def _work(self) -> None:
        while True:
            await self._come.wait()
            waiting = [ask for ask in self._waiting if not ask.answer.done()]
            batch, self._waiting = waiting[:_MOST_TOGETHER], waiting[_MOST_TOGETHER:]
            if not self._waiting:
                self._come.clear()
            if batch:
                await self._answer(batch)

    async def _answer(self, batch: Sequence[_Ask]) -> None:
        start, loop = perf_counter(), asyncio.get_running_loop()

        def answer(ask: _Ask, one: Decision | CannotDecide) -> None:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_give, ask, one)

        await loop.run_in_executor(self._thread, self._decide, batch, answer)
        self._on_batch(len(batch), perf_counter() - start)

    async def aclose(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            with suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown(wait=False, cancel_futures=True)


def _give(ask: _Ask, one: Decision | CannotDecide) -> None:
    if ask.answer.done():
        return
    if isinstance(one, CannotDecide):
        ask.answer.set_exception(one)
    else:
        ask.answer.set_result(one)


def _explained(error: Exception) -> CannotDecide:
    if isinstance(error, ScrError):
        return CannotDecide("store", str(error))
    log.error("a decision failed", exc_info=error)
    return CannotDecide("internal", f"the decision failed ({type(error).__name__}): see the gateway's log")
