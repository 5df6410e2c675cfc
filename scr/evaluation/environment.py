"""What a measurement was made with and on, so that it can be judged and repeated."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import xxhash

from scr.version import __version__

_LIBRARIES = (
    "numpy",
    "faiss-cpu",
    "onnxruntime",
    "torch",
    "transformers",
    "tokenizers",
    "jinja2",
    "httpx",
    "scipy",
    "vllm",
)
_CODE = ("scr", "prompts", ":(glob)benchmarks/**/*.py")
# What of a checkout decides a measurement; results and documentation do not.
_CHUNK = 2**20


def environment() -> dict[str, Any]:
    """Hardware, Python, library versions and commit of this run.

    ``gpus`` are those of the machine; ``torch_sees_gpu`` is None where torch was not loaded.
    """
    return {
        "scr": __version__,
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
        "torch_sees_gpu": _torch_sees_gpu(),
        "python": platform.python_version(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "commit": _commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Name and memory of each NVIDIA GPU, as their driver tells them."""
    asked = ["--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    told = _told(shutil.which("nvidia-smi"), *asked) or ""
    pairs = [(name.strip(), mib.strip()) for name, _, mib in (line.rpartition(",") for line in told.splitlines())]
    return [f"{name}, {int(mib) / 1024:.1f} GiB" if mib.isdigit() else name for name, mib in pairs]


def _torch_sees_gpu() -> bool | None:
    """Whether torch can use one; it is asked only where it is loaded anyway, for loading it takes seconds."""
    torch = sys.modules.get("torch")
    return None if torch is None else bool(torch.cuda.is_available())


def _commit() -> str | None:
    """The commit of the checkout that runs, marked where its code is another by now; None for an installed package."""
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / ".git").exists():
        return None
    # Asked so that it takes no lock, which would stop somebody's commit.
    git = (shutil.which("git"), "--no-optional-locks", "-C", str(checkout))
    commit = _told(*git, "rev-parse", "--short", "HEAD")
    changed = commit and _told(*git, "status", "--porcelain", "--", *_CODE)
    return f"{commit}+changes" if changed else commit


def _told(program: str | None, *arguments: str) -> str | None:
    """What a program prints; None where there is none, it fails, or it prints nothing."""
    if program is None:
        return None
    try:
        run = subprocess.run([program, *arguments], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return run.stdout.strip() or None


def fingerprint(path: Path, files: str = "**/*") -> str:
    """Of a file's content, or of the names and contents of a folder's files: 32 hexadecimal digits.

    Args:
        path: a file or folder; hidden files in a folder do not count.
        files: which of the folder's files count.
    """
    digest = xxhash.xxh3_128()
    for file in sorted(path.glob(files)) if path.is_dir() else [path]:
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with file.open("rb") as content:
                while chunk := content.read(_CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()
