"""What holds for every command: help, misuse, pipes, signals, and a quick start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scr.store import FactStore
from scr.version import __version__

from .conftest import Scr

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "numpy", "faiss", "onnxruntime", "onnx", "jinja2", "httpx", "sqlite3", "tokenizers")
COMMANDS = ["demo", "add", "import", "list", "show", "search", "export", "update", "remove", "undo", "log"]
COMMANDS += ["check", "ask", "chat", "batch", "eval", "editors", "edit", "serve", "doctor", "scope", "store"]
SCOPE = ["eval", "calibrate", "train"]
STORE = ["info", "verify", "rebuild"]


def started(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    command = [sys.executable, str(ROOT / "cli.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=120, **options
    )  # type: ignore[call-overload,no-any-return]


def modules_after(*arguments: str, store: Path) -> set[str]:
    """The modules that a command has imported when it ends."""
    code = (
        "import sys; from scr.commands import run; run(sys.argv[1:]); print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "SCR_STORE": str(store)}, check=True,
    )  # fmt: skip
    return {*done.stderr.split()}


def test_help_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    assert modules_after("--help", store=tmp_path).isdisjoint(HEAVY)
    assert modules_after("ask", "--help", store=tmp_path).isdisjoint(HEAVY)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        assert started("--help").returncode == 0
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        (["list"], {"torch", "transformers", "numpy", "faiss", "onnxruntime", "onnx", "jinja2", "httpx", "tokenizers"}),
        (["log", "--json"], {"torch", "transformers", "numpy", "faiss", "onnxruntime", "jinja2", "httpx"}),
        # The first fact has no neighbours to be compared with.
        (["add", "The capital of Peru is Cusco."], {"torch", "transformers", "onnx", "jinja2", "httpx", "faiss"}),
        (["check", "What is the capital of Peru?"], {"torch", "transformers", "onnx", "jinja2", "httpx"}),
    ],
)
def test_a_command_imports_what_it_needs(tmp_path: Path, command: list[str], unneeded: set[str]) -> None:
    FactStore.open(tmp_path / "store").close()
    assert modules_after(*command, store=tmp_path / "store") & unneeded == set()


def test_help_lists_every_command_in_full(scr: Scr) -> None:
    told = scr("--help").out
    assert [line.split()[0] for line in told.split("Commands:\n")[1].splitlines()] == COMMANDS
    assert "..." not in told.split("Commands:\n")[1], "a summary was cut off: make it shorter"


@pytest.mark.parametrize(
    "command", [*COMMANDS[:-2], *(f"scope {name}" for name in SCOPE), *(f"store {name}" for name in STORE)]
)
def test_every_command_has_help_with_an_example(scr: Scr, command: str) -> None:
    told = scr(*command.split(), "-h")
    assert (told.status, told.err) == (0, "")
    assert "Example" in told.out
    assert f"\n    scr {command}" in told.out or f"| scr {command}" in told.out
    assert scr(*command.split(), "--help").out == told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no such command 'nothing': see `scr --help`"),
        (["store", "nothing"], "see `scr store --help`"),
        (["add"], "missing argument 'TEXT': see `scr add --help`"),
        (["add", "x", "--nothing"], "no such option: --nothing"),
        (["add", "x", "--on-conflict", "maybe"], "'maybe' is not one of"),
        (["check", "x", "-k", "0"], "'--top-k'"),
        (["check", "x", "--threshold", "two"], "'--threshold'"),
        (["ask", "x", "--temperature", "-1"], "'--temperature'"),
        (["undo", "0"], "'N'"),
        (["undo", "99999999999999999999"], "'N'"),
        (["log", "-n", "99999999999999999999"], "'--count'"),
        (["list", "more"], "(more)"),
        (["batch", "in.jsonl"], "--output"),
    ],
)
def test_misuse_is_one_line(scr: Scr, arguments: list[str], said: str) -> None:
    ran = scr(*arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("error: ")
    assert said in ran.err


def test_version_and_no_arguments(scr: Scr) -> None:
    assert scr("--version").out == f"scr {__version__}\n"
    alone = scr()
    assert alone.status == 2
    assert "Commands:" in alone.out + alone.err


def test_an_internal_error_is_one_line_and_a_traceback_with_debug(tmp_path: Path) -> None:
    code = (
        "import sys, scr.commands, scr.commands.opening as o\n"
        "import scr.store\n"
        "def broken(*a, **k): raise RuntimeError('on purpose')\n"
        "scr.store.FactStore.open = broken\n"
        "sys.argv = ['scr', *sys.argv[1:]]\n"
        "scr.commands.main()\n"
    )
    for more, traceback in ([], False), (["--debug"], True):
        done = subprocess.run(
            [sys.executable, "-c", code, "list", "--store", str(tmp_path), *more],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert ("Traceback" in done.stderr) is traceback
        assert "on purpose" in done.stderr
        if not traceback:
            assert done.stderr.count("\n") == 1
            assert "--debug" in done.stderr


def test_a_reader_that_has_seen_enough(scr: Scr, tmp_path: Path) -> None:
    scr("import", "-", stdin="\n".join(f"Fact {n} is {n}." for n in range(3000)).encode())
    for command in (["list"], ["list", "--json"], ["export"], ["log", "--json"]):
        with subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *command, "--store", str(tmp_path / "store")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(60) == 0


def test_ctrl_c(tmp_path: Path) -> None:
    facts = tmp_path / "facts.jsonl"
    os.mkfifo(facts)
    command = [sys.executable, str(ROOT / "cli.py"), "import", str(facts), "--store", str(tmp_path / "store")]
    # Opening the other end of the pipe returns when the command has opened its own, and waits for more.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, facts.open("w"):
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.read() == "error: interrupted; what was acknowledged is kept\n"
        assert process.wait(60) == 130


def test_no_colour_where_it_is_not_wanted(scr: Scr, tmp_path: Path) -> None:
    import pty

    scr("add", "The capital of Peru is Cusco.")

    def in_a_terminal(**variables: str) -> bytes:
        parent, child = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", **variables}
        command = [sys.executable, str(ROOT / "cli.py"), "list", "--store", str(tmp_path / "store")]
        with subprocess.Popen(command, stdout=child, stderr=subprocess.PIPE, env=environment) as process:
            os.close(child)
            said = b""
            while True:
                try:
                    data = os.read(parent, 4096)
                except OSError:  # Linux says so that the other side has closed
                    break
                if not data:
                    break
                said += data
            assert process.wait(60) == 0
        os.close(parent)
        return said

    assert b"\x1b[" in in_a_terminal(NO_COLOR="")
    assert b"\x1b[" not in in_a_terminal(NO_COLOR="1")
    assert b"\x1b[" not in in_a_terminal(TERM="dumb")
    assert "\x1b[" not in scr("list").out


def test_shell_completion(tmp_path: Path) -> None:
    asked = {"_SCR_COMPLETE": "complete_bash", "COMP_WORDS": "scr exp", "COMP_CWORD": "1", "HOME": str(tmp_path)}
    assert started(env=asked).stdout.split() == ["export"]
    # Which shell it is for is read from the processes above; `exit` keeps bash from giving its place away.
    command = ["bash", "-c", '"$@"; exit $?', "bash", sys.executable, str(ROOT / "cli.py"), "--show-completion"]
    shown = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}, timeout=120
    )
    assert "complete_bash" in shown.stdout, shown.stderr
