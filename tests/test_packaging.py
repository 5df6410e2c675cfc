"""What is shipped: every package, the prompts and the demo's facts, and nobody's store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from scr.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_packages_in_pyproject_are_those_in_the_tree() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "scr").rglob("__init__.py")}
    assert sorted(listed) == sorted({*there, "scr.prompts", "scr.stores"})
    folders = {path.parent for path in (ROOT / "scr").rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, built from what git tracks and a store that is private."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = listing.stdout.decode().split("\0")[:-1] if listing.returncode == 0 else []
    files = [ROOT / name for name in names] or [path for path in ROOT.rglob("*") if ".venv" not in path.parts]
    for path in files:
        if path.is_file():
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    working = copy / "stores" / "default"
    working.mkdir()
    (working / "ledger.sqlite").write_bytes(b"private")
    (copy / "stores" / "private.jsonl").write_bytes(b"private")
    isolation = ["--no-isolation"] if _has_backend() else []
    command = [sys.executable, "-m", "build", *isolation, "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return out


def _has_backend() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


@pytest.mark.slow
def test_the_wheel_holds_what_it_should(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {*zipfile.ZipFile(wheel).namelist()}
    assert wheel.name.startswith("scr_edit-")
    for path in (ROOT / "scr").rglob("*.py"):
        assert path.relative_to(ROOT).as_posix() in names
    for path in (ROOT / "prompts").glob("*.jinja"):
        assert f"scr/prompts/{path.name}" in names
    assert {"scr/stores/demo.jsonl", "scr/stores/demo_questions.jsonl", "scr/py.typed"} <= names
    assert not [
        name for name in names if name.endswith((".sqlite", "private.jsonl")) or name.startswith(("tests", "stores"))
    ]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "scr/py.typed",
        "prompts/chat.jinja",
        "stores/demo.jsonl",
    } <= names
    assert not [name for name in names if name.endswith((".sqlite", "private.jsonl"))]


@pytest.mark.slow
def test_the_wheel_installs_and_runs(built: Path, tmp_path: Path) -> None:
    """Without its dependencies, which are lent to it by this environment."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    site = next((tmp_path / "venv").rglob("site-packages"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--no-deps"]
    done = subprocess.run([*pip, "--no-index", str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lent = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "lent.pth").write_text(lent + "\n")
    scr = tmp_path / "venv" / "bin" / "scr"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    told = subprocess.run([scr, "--version"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert told.stdout == f"scr {__version__}\n"
    code = (
        "import scr, scr.commands.demo as d; from scr.context import ContextBuilder; ContextBuilder();"
        "print(scr.__file__); print(len(d._lines('demo.jsonl')))"
    )
    told = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    where, number = told.stdout.split()
    assert where.startswith(str(tmp_path))
    assert int(number) > 5
    listed = subprocess.run([scr, "list"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert str(tmp_path / ".local") in listed.stderr, "outside a checkout the store lies in the user's folder"
