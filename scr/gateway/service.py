"""A gateway's parts, and what every route asks of them: who is it, and may they."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import Request

from scr.context import ContextBuilder
from scr.errors import ScrError
from scr.gateway.deciding import Decider
from scr.gateway.editing import Editor, Steering
from scr.gateway.keys import ANYONE, Key, KeyRing, Right
from scr.gateway.limits import RateLimit
from scr.gateway.metrics import Metrics
from scr.gateway.recent import Recent
from scr.gateway.refusals import Refusal
from scr.gateway.settings import LOOPBACK, Settings
from scr.gateway.siblings import Siblings
from scr.gateway.upstream import Upstream
from scr.scope.opening import open_scope
from scr.scope.rivals import LearnedConflicts
from scr.store import FactStore

_T = TypeVar("_T")


class Gateway:
    """The parts of one process, open.

    Attributes:
        store: the facts, of every namespace.
        editor: puts facts into requests.
        upstream: the model server.
        metrics: what is counted.
        keys: those that are accepted.
        recent: what this process decided lately.
        siblings: what all processes of the gateway did.
    """

    def __init__(self, settings: Settings) -> None:
        """Open the parts; what is slow waits for :meth:`warm`.

        Raises:
            ScrError: one of them cannot be opened as the settings say.
        """
        self.settings, self.metrics, self.recent = settings, Metrics(), Recent()
        self.upstream = Upstream(
            settings.upstream,
            api_key=settings.upstream_api_key,
            timeout=settings.upstream_timeout,
            forward_authorization=not settings.keys,
        )
        scope, context = open_scope(settings.scope, settings.threshold), ContextBuilder(settings.prompts)
        # Conflicts are found as the command line finds them, by the default classifier.
        learned = LearnedConflicts(lambda: open_scope() if settings.scope else scope)
        self.store = FactStore.open(
            settings.store, namespace=settings.namespace, encoder=settings.encoder, detector=learned
        )
        decider = Decider(
            self.store, scope, k=settings.k, timeout=settings.decision_timeout, on_batch=self.metrics.batch
        )
        self.editor = Editor(decider, context, namespace=settings.namespace, on_failure=settings.on_failure)
        self.keys, self._rate = KeyRing(settings.keys), RateLimit(settings.rate_limit)
        self.siblings = Siblings(self.recent, settings.shared)
        # The ledger takes one writer at a time; readers are not to wait for it.
        self._probe: asyncio.Task[dict[str, bool]] | None = None
        self._readers, self._writer = ThreadPoolExecutor(2, "scr-read"), ThreadPoolExecutor(1, "scr-write")
        self._prober = ThreadPoolExecutor(1, "scr-probe")  # readers who take long do not make the store ill

    def warm(self) -> None:
        """Open what the first request would else wait for.

        Raises:
            ScrError: it cannot be opened.
        """
        self.editor.warm()

    async def read(self, work: Callable[[], _T]) -> _T:
        """Read the store off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def write(self, kind: str, work: Callable[[], _T]) -> _T:
        """Change the store off the event loop; it is durable when this returns."""
        done = await asyncio.get_running_loop().run_in_executor(self._writer, work)
        self.metrics.writes.labels(kind).inc()
        return done

    def facts_of(self, key: Key, namespace: str | None) -> FactStore:
        """The facts of a namespace, or of the key's own if none is named; changes are made in the key's name.

        Raises:
            NotAllowed: the key has no rights there.
        """
        where = self.editor.allowed(Steering(namespace=namespace), key)
        return self.store.view(namespace=where, actor=key.name or None)

    async def health(self) -> dict[str, bool]:
        """Which parts are well; who asks meanwhile shares the answer, as anybody may ask, and often."""
        if self._probe is None:
            self._probe = asyncio.create_task(self._look())
        return await asyncio.shield(self._probe)

    async def _look(self) -> dict[str, bool]:
        try:
            upstream, store = await asyncio.gather(self.upstream.healthy(), self._store_works())
            return {"upstream": upstream, "store": store}
        finally:
            self._probe = None

    async def _store_works(self) -> bool:
        """Whether the ledger can be read."""
        try:
            async with asyncio.timeout(2):
                await asyncio.get_running_loop().run_in_executor(self._prober, self.store.ledger.revision)
        except (ScrError, TimeoutError):
            return False
        return True

    async def aclose(self) -> None:
        """Give everything back."""
        await self.siblings.aclose()
        await self.editor.decider.aclose()
        await self.upstream.aclose()
        for threads in (self._readers, self._writer, self._prober):
            threads.shutdown(cancel_futures=True)
        self.store.close()
        self.metrics.close()

    def admit(self, request: Request, right: Right | None) -> Key:
        """Who sent a request, if they have a right to it (None: any right); counts it against their limit.

        Raises:
            Refusal: they have not, or not now.
        """
        if not self.keys:
            _check_local(request)
            return ANYONE
        secret = _secret_of(request)
        key = self.keys.find(secret) if secret else None
        if key is None:
            what = "the API key is not known here" if secret else "no API key was sent"
            raise Refusal(
                401, "invalid_api_key", f"{what}: send `Authorization: Bearer KEY`", {"WWW-Authenticate": "Bearer"}
            )
        return self.permit(key, right)

    def permit(self, key: Key, right: Right | None) -> Key:
        """The key, if it has a right (None: any right); counts a request against its limit.

        Raises:
            Refusal: it has not, or not now.
        """
        if self.keys:
            self._rate.take(key.name)
        if right is not None and not key.may(right):
            raise Refusal(403, "not_allowed", f"the key {key.name!r} has not the right to {right}: use one that has")
        return key


def _secret_of(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _check_local(request: Request) -> None:
    """Refuse what a page in a browser on this machine sends without its user's knowledge.

    A gateway without keys trusts whoever can reach it, and any web page can have a browser reach it.
    """
    host = request.url.hostname
    if host not in LOOPBACK:
        raise Refusal(403, "not_local", f"{(host or '')[:100]!r} is not this machine: serve it with an --api-key")
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.url.netloc}":
        raise Refusal(403, "not_local", "a web page of another origin sent this: serve it with an --api-key")
