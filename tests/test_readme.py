"""Every block of the README is run as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
LANGUAGES = {"sh", "console", "python", ""}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def general(line):
    """A line without what differs from run to run: ids and milliseconds."""
    line = re.sub(r"\b[0-9a-hjkmnp-tv-z]{12}\b", "ID", line)
    return re.sub(r"\d+(\.\d+)? ms", "T ms", line.rstrip())


def session():
    commands = []
    for line in blocks("console")[0].splitlines():
        if line.startswith("$ "):
            commands.append((shlex.split(line[2:]), []))
        else:
            commands[-1][1].append(line)
    return commands


def scr(arguments, store):
    command = [sys.executable, str(ROOT / "cli.py"), *arguments, "--store", str(store)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.llm
def test_the_session_says_what_the_commands_print(tmp_path):
    for (program, *arguments), expected in session():
        assert program == "scr"
        done = scr(arguments, tmp_path / "store")
        assert done.returncode == 0, done.stderr
        assert [general(line) for line in done.stdout.splitlines()] == [general(line) for line in expected]


@pytest.mark.llm
def test_the_python_block_runs(tmp_path):
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    first, answer, out_of_scope = done.stdout.splitlines()
    assert first.startswith("True")
    assert "Lyon" in answer
    assert out_of_scope == "False"


def test_shell_blocks_name_commands_and_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
        elif words and words[0] == "scr":
            done = subprocess.run(
                [sys.executable, str(ROOT / "cli.py"), words[1], "--help"], capture_output=True, text=True
            )
            assert done.returncode == 0, line
            assert all(option in done.stdout for option in words if option.startswith("--")), line


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_every_block_is_of_a_kind_that_is_tested():
    assert set(re.findall(r"^```(\w*)$", README, re.MULTILINE)) <= LANGUAGES
