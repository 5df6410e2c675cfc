"""What tests of several folders share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scr.encoder import Encoder, open_encoder
from scr.engines import Engine
from scr.store import FactStore

from .browser import chromium  # noqa: F401 (a fixture)
from .fixtures_models import vllm_server  # noqa: F401 (a fixture)
from .kept import KeptEncoder


def pytest_configure() -> None:
    """Take Ctrl-C: a suite that a shell began in the background ignores it, and so would the programs under test."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The shipped encoder."""
    return open_encoder()


@pytest.fixture(scope="session")
def kept(encoder: Encoder) -> KeptEncoder:
    """The shipped encoder's vectors, each computed once."""
    return KeptEncoder.of(encoder)


@pytest.fixture
def open_store(tmp_path: Path, kept: KeptEncoder) -> Iterator[Callable[..., FactStore]]:
    """Opens stores below the test's folder; closes them at its end."""
    opened: list[FactStore] = []

    def open_it(name: str = "store", **options: object) -> FactStore:
        opened.append(FactStore.open(tmp_path / name, **{"encoder": kept, "actor": "tester", **options}))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., FactStore]) -> FactStore:
    """An empty store."""
    return open_store()


@pytest.fixture(scope="session")
def smollm2() -> Iterator[Engine]:
    """The shipped language model, in this process."""
    from scr.engines.opening import open_engine

    engine = open_engine()
    yield engine
    engine.close()
