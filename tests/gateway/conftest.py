"""A gateway in a thread, on a real socket, between a client and a server that records what it is sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from scr.encoder import Encoder
from scr.facts import NewFact
from scr.gateway.app import make_app
from scr.gateway.connections import protocol
from scr.gateway.settings import Settings
from scr.scope import ScopeClassifier
from scr.scope.opening import open_scope
from scr.store import FactStore

from .recorder import Recorder, recording

LYON = "The capital of France is Lyon."
ASKED = "What is the capital of France?"


@dataclass(frozen=True)
class Running:
    """A gateway that runs: its address, a client for it, and its store as another process would open it."""

    url: str
    client: httpx.Client
    store: FactStore


def serving(settings: Settings) -> AbstractContextManager[str]:
    """A gateway on a free port."""
    how: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "on", "ws": "none"}
    return running_app(uvicorn.Config(lambda: make_app(settings), factory=True, port=0, http=protocol(settings), **how))


@contextmanager
def running_app(config: uvicorn.Config) -> Iterator[str]:
    """An application in a thread, on a free port; its address."""
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the gateway did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the gateway did not stop"


@pytest.fixture(scope="session")
def classifier() -> ScopeClassifier:
    """The shipped classifier, opened once."""
    return open_scope()


@pytest.fixture(autouse=True)
def _opened_once(encoder: Encoder, classifier: ScopeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
    monkeypatch.setattr("scr.gateway.service.open_scope", lambda *_: classifier)
    for name in [name for name in os.environ if name.startswith("SCR_") and name != "SCR_VLLM_VENV"]:
        monkeypatch.delenv(name)


@pytest.fixture
def upstream() -> Iterator[Recorder]:
    with recording() as server:
        yield server


Open = Callable[..., Running]


@pytest.fixture
def open_gateway(tmp_path: Path, upstream: Recorder) -> Iterator[Open]:
    """Starts gateways on one store, which holds one fact; ends them with the test."""
    with ExitStack() as stack:
        store = stack.enter_context(FactStore.open(tmp_path / "store", actor="tester"))
        store.add(NewFact.of({"text": LYON}))

        def open_it(**settings: Any) -> Running:
            # A busy machine is not to turn a decision into a failure.
            given = {"upstream": upstream.url, "store": tmp_path / "store", "decision_timeout": 60, **settings}
            url = stack.enter_context(serving(Settings(**given)))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=20, trust_env=False))
            return Running(url, client, store)

        yield open_it


@pytest.fixture
def gateway(open_gateway: Open) -> Running:
    """One without keys."""
    return open_gateway()


def chat(text: str = ASKED, **more: Any) -> dict[str, Any]:
    """A chat request's body."""
    return {"model": "m", "messages": [{"role": "user", "content": text}], **more}
