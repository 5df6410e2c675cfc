"""What a measurement says of the machine and the code that made it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scr.evaluation import environment as module
from scr.evaluation.environment import environment, fingerprint


def test_gpus_are_told_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 143771'\necho 'NVIDIA GB10, [N/A]'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    made = environment()
    assert (made["gpus"], made["torch_sees_gpu"]) == (["NVIDIA H200, 140.4 GiB", "NVIDIA GB10"], None)
    assert "torch" not in sys.modules
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)))
    assert environment()["torch_sees_gpu"] is False


def test_a_commit_whose_code_was_changed_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        own = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(own, check=True, capture_output=True, text=True).stdout.strip()

    code = tmp_path / "scr" / "evaluation" / "environment.py"
    code.parent.mkdir(parents=True)
    code.write_text("one")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "--short", "HEAD")
    monkeypatch.setattr(module, "__file__", str(code))
    assert environment()["commit"] == commit
    (tmp_path / "notes.md").write_text("no code")
    assert environment()["commit"] == commit
    code.write_text("two")
    assert environment()["commit"] == f"{commit}+changes"
    git("checkout", "-q", "scr")
    (tmp_path / "scr" / "new.py").write_text("one more")
    assert environment()["commit"] == f"{commit}+changes"


def test_a_fingerprint_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_text("1")
    first = fingerprint(tmp_path)
    (tmp_path / ".hidden").write_text("x")
    assert fingerprint(tmp_path) == first
    (tmp_path / "inner" / "a").rename(tmp_path / "inner" / "b")
    second = fingerprint(tmp_path)
    (tmp_path / "inner" / "b").write_text("2")
    assert len({first, second, fingerprint(tmp_path), fingerprint(tmp_path, "*")}) == 4
    assert fingerprint(tmp_path / "inner" / "b") != fingerprint(tmp_path / ".hidden")
