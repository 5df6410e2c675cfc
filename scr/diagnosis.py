"""What a working installation needs, checked one by one."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scr.errors import ScrError
from scr.version import __version__

_CORE = ("faiss-cpu", "numpy", "onnxruntime", "tokenizers", "typer")
_EXTRAS = {
    "local": ("torch", "transformers", "gguf"),
    "serve": ("starlette", "uvicorn", "prometheus-client"),
    "eval": ("datasets", "matplotlib", "scipy"),
    "editors": ("torch", "transformers", "peft"),
    "langchain": ("langchain-core",),
    "vllm": ("vllm",),
}
_SMALL_DISK = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes:
        name: what.
        ok: whether it is in place; None if it is optional and absent.
        detail: what was found, and the remedy where something is wrong.
    """

    name: str
    ok: bool | None
    detail: str


def diagnose(store: Path, namespace: str, base_url: str | None, api_key: str | None = None) -> list[Finding]:
    """Check Python, libraries, caches, the store and the server, without changing anything but caches."""
    findings = [Finding("python", True, f"{platform.python_version()} on {platform.platform()}")]
    findings += [Finding("scr", True, __version__), _libraries()]
    findings += [_extra(name, modules) for name, modules in _EXTRAS.items()]
    findings += [_checked("encoder", _encoder), _checked("store", lambda: _store(store, namespace)), _disk(store)]
    if base_url:
        findings.append(_checked("server", lambda: _server(base_url, api_key)))
    return findings


def _checked(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except (ScrError, OSError) as error:
        return Finding(name, False, str(error))


def _libraries() -> Finding:
    return Finding("libraries", True, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _CORE))


def _extra(name: str, distributions: tuple[str, ...]) -> Finding:
    try:
        there = ", ".join(f"{one} {importlib.metadata.version(one)}" for one in distributions)
    except importlib.metadata.PackageNotFoundError:
        return Finding(f"[{name}]", None, f"not installed: pip install 'scr-edit[{name}]'")
    return Finding(f"[{name}]", True, there)


def _encoder() -> str:
    from scr.encoder import open_encoder

    encoder = open_encoder()
    encoder.encode(["ready"])
    return f"{encoder.name}, {encoder.dimensions} dimensions"


def _store(path: Path, namespace: str) -> str:
    from scr.store import FactStore

    if not path.is_file() and not (path / "ledger.sqlite").exists():
        return f"{path} (not made yet: `scr add` makes it)"
    with FactStore.open(path, namespace=namespace) as store:
        number = sum(store.ledger.count().values())
        return f"{path}: {number:,} fact{'s' * (number != 1)}, revision {store.ledger.revision():,}"


def _disk(path: Path) -> Finding:
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    ok = free > _SMALL_DISK
    return Finding("disk", ok, f"{free / 2**30:.1f} GiB free" + ("" if ok else ": free some space"))


def _server(base_url: str, api_key: str | None) -> str:
    from scr.engines.opening import open_engine

    engine = open_engine(model=None, base_url=base_url, api_key=api_key)
    try:
        return f"{base_url} serves {engine.model}"
    finally:
        engine.close()
