"""Runs ``scr`` in this process, as the installed command does: real encoder and model, each opened once."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scr.commands import run
from scr.encoder import DEFAULT_ENCODER, Encoder
from scr.engines import Engine

from ..kept import KeptEncoder


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Scr = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE", "NAMESPACE", "MODEL", "BASE_URL", "API_KEY", "PROMPTS", "SCOPE", "ENCODER", "DEBUG"):
        monkeypatch.delenv(f"SCR_{name}", raising=False)


@pytest.fixture
def scr(tmp_path: Path, kept: KeptEncoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scr:
    """``scr("add", "…", stdin=b"…")``; the default store is one of the test's own."""
    import scr.commands.opening
    import scr.encoder

    real = scr.encoder.open_encoder

    def open_encoder(name: str | None = None) -> Encoder:
        return kept if name in (None, DEFAULT_ENCODER) else real(name)

    monkeypatch.setattr(scr.encoder, "open_encoder", open_encoder)
    monkeypatch.setattr(scr.commands.opening, "default_store", lambda: tmp_path / "store")

    def call(*arguments: object, stdin: bytes = b"") -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        status = run([str(argument) for argument in arguments])
        return Ran(status, *capsys.readouterr())

    return call


class Shared:
    """An engine that several commands use one after the other: closing it is left to the end of the tests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        pass


@pytest.fixture
def llm(smollm2: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Commands that ask find the session's SmolLM2 open."""
    import scr.engines.opening

    real = scr.engines.opening.open_engine

    def open_engine(*, model: str | None = None, base_url: str | None = None, **options: Any) -> Any:
        if model is None and base_url is None:
            return Shared(smollm2)
        return real(model=model, base_url=base_url, **options)

    monkeypatch.setattr(scr.engines.opening, "open_engine", open_engine)
    return smollm2
