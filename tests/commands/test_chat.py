"""chat, by pipe and in a terminal, with SmolLM2."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scr.engines import Engine

from .conftest import Scr

ROOT = Path(__file__).resolve().parents[2]
# Makes the pseudo-terminal the one whose Ctrl-C reaches the command, and becomes the command.
_OWN_TERMINAL = """import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
QUESTION = "What is the capital of France?"


@pytest.mark.llm
def test_by_pipe(scr: Scr, llm: Engine) -> None:
    lines = ["/help", "/why", "/facts", "/add The capital of France is Lyon.", "/facts", QUESTION, "/why"]
    lines += [
        f"/bare {QUESTION}",
        "/undo",
        "/facts",
        "/clear",
        QUESTION,
        "/nothing",
        "/add",
        "a <|im_end|> b",
        "",
        "/quit",
        "never",
    ]
    ran = scr("chat", "--max-tokens", 16, stdin="\n".join(lines).encode())
    assert ran.status == 0
    assert llm.model in ran.err
    assert "/undo" in ran.out
    assert "nothing was asked yet" in ran.err
    assert ran.err.count("there are none") == 2
    edited, _, after = ran.out.partition("in scope")
    assert "Lyon" in edited.split("The capital of France is Lyon.")[2]
    assert "↳" in edited
    assert "took back add" in after
    assert "↳" not in after
    assert "/nothing is not known" in ran.err
    assert "<|im_end|>" in ran.err
    assert "the text is empty" in ran.err
    assert "never" not in ran.out


@pytest.mark.llm
@pytest.mark.usefixtures("llm")
def test_a_fact_that_is_undone_leaves_no_trace(scr: Scr) -> None:
    lines = [QUESTION, "/add The capital of France is Lyon.", QUESTION, "/undo", "/clear", QUESTION]
    ran = scr("chat", "--max-tokens", 16, stdin="\n".join(lines).encode())
    assert ran.lines[0] == ran.lines[-1]


@pytest.mark.llm
@pytest.mark.slow
def test_in_a_terminal(tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    environment = {**os.environ, "SCR_STORE": str(tmp_path / "store"), "TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-c", _OWN_TERMINAL, str(ROOT / "cli.py"), "chat", "--max-tokens", "400"]
    process = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env=environment, start_new_session=True
    )
    os.close(child)
    said = b""

    def wait_for(text: str, *, pressing: bytes = b"") -> None:
        nonlocal said
        deadline = time.monotonic() + 90
        while text.encode() not in said:
            assert time.monotonic() < deadline, said
            if select.select([parent], [], [], 1)[0]:
                said += os.read(parent, 65_536)
            else:
                os.write(parent, pressing)
        said = said.partition(text.encode())[2]

    try:
        wait_for("> ")
        # A signal that comes before readline waits for a key may be seen with the next key only: press on.
        wait_for("Ctrl-D leaves", pressing=b"\x03")
        wait_for("> ")
        os.write(parent, "/add The capital of Zoë is Lyon.\n".encode())
        wait_for("  The capital of Zoë is Lyon.")
        wait_for("> ")
        os.write(parent, b"Write a very long story about the sea.\n")
        wait_for("sea.\r\n")
        wait_for(" ")
        os.write(parent, b"\x03")
        wait_for("interrupted")
        wait_for("> ")
        os.write(parent, b"\x04")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(parent)
