#!/usr/bin/env python3
"""A real vLLM server on a machine without a GPU.

    python benchmarks/tools/vllm_cpu.py install [PIP OPTION...]
    python benchmarks/tools/vllm_cpu.py serve MODEL PORT [VLLM OPTION...]
    python benchmarks/tools/vllm_cpu.py run MODEL [VLLM OPTION...] -- COMMAND...

`install` makes a virtual environment of its own (about 3 GB, some minutes), in $SCR_VLLM_VENV or the user's
cache folder; one that is there is left as it is. `serve` runs the OpenAI-compatible server in the foreground.
`run` starts it on a free port, waits until it is ready, runs COMMAND with SCR_BASE_URL set, and stops it; the
exit status is COMMAND's. MODEL is a Hugging Face folder, or a name that models.py builds. The model is served
under the name of its folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

VLLM = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0"
# Built for CUDA, they break the import of transformers beside a torch for CPUs. Models of text need none of them.
UNWANTED = ("torchvision", "torchaudio", "torchcodec")

EVERY_CORE = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0"}
"""Of a server's environment, on a machine that does nothing else: vLLM computes on all cores, not on all but one.

The one left out is kept busy by its scheduler's process, which waits for the others: of two cores one is lost. With
both SmolLM2-135M answers 64 requests at a time 1.75 times as fast. Beside other work its threads wait for one another.
"""

PATIENCE = 20.0
"""Seconds that a server is given to end by itself."""


class ToolError(Exception):
    """What went wrong and what to do, in one line."""


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        base_url: of its OpenAI-compatible API.
        model: the name that it serves.
        process: the server's own process, the leader of its group.
    """

    base_url: str
    model: str
    process: subprocess.Popen[bytes]


def environment_folder() -> Path:
    """Where the virtual environment is, or will be."""
    if chosen := os.environ.get("SCR_VLLM_VENV"):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "scr-vllm-cpu"


def install(pip_options: Sequence[str] = ()) -> Path:
    """Make the environment if it is not there, one process at a time; its Python.

    Raises:
        ToolError: it cannot be made here.
    """
    folder = environment_folder()
    if sys.platform != "linux" and not (folder / ".ready").exists():
        raise ToolError(f"vLLM for CPUs runs on Linux, not on {sys.platform}: use a server elsewhere")
    # torch first and alone, so that a build for CPUs is taken where pip knows of one.
    steps = (("install", *pip_options, TORCH), ("install", *pip_options, VLLM), ("uninstall", "-y", *UNWANTED))
    try:
        return environment(folder, "vllm", steps)
    except OSError as error:
        raise ToolError(f"cannot write {folder} ({error.strerror or error}): set SCR_VLLM_VENV elsewhere") from error


def environment(folder: Path, module: str, steps: Sequence[Sequence[str]], *, stamp: str = "") -> Path:
    """A virtual environment's Python; it is made if it is not there, by one process at a time.

    Args:
        folder: of the environment.
        module: what can be imported once it is made.
        steps: arguments of pip, one call after the other.
        stamp: what it was made for; one with another is filled anew.

    Raises:
        ToolError: it cannot be made here.
        OSError: the folder cannot be written.
    """
    from filelock import FileLock

    python, ready = folder / "bin" / "python", folder / ".ready"
    if _reads(ready, stamp):
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not _reads(ready, stamp):
            if stamp or not _works(python, module):
                _make(folder, module, steps)
            ready.write_text(stamp)
    return python


def _reads(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _works(python: Path, module: str) -> bool:
    command = (str(python), "-c", f"import {module}")
    return python.exists() and not subprocess.run(command, capture_output=True, check=False).returncode


def _make(folder: Path, module: str, steps: Sequence[Sequence[str]]) -> None:
    python = folder / "bin" / "python"
    print(f"installing {module} in {folder} (some minutes)", file=sys.stderr)
    _do(sys.executable, "-m", "venv", str(folder))
    for step in steps:
        _do(str(python), "-m", "pip", "--disable-pip-version-check", "-q", *step)
    if not _works(python, module):
        raise ToolError(f"{module} was installed in {folder} but cannot be imported: run {python} -c 'import {module}'")


def _do(*command: str) -> None:
    run = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.startswith("ERROR")] or run.stderr.splitlines()
        raise ToolError(f"`{' '.join(command[1:])}` failed: {(lines or ['no reason given'])[-1]}")


def model_folder(model: str) -> Path:
    """The model's folder, built by models.py if it is one of its names.

    Raises:
        ToolError: there is no such model.
    """
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return folder.absolute()
    if os.sep in model:
        raise ToolError(f"{model} is no model folder: it holds no config.json")
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("models.py")), model],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if run.returncode:
        raise ToolError(f"{model!r} is neither a model folder nor a model that could be built")
    return Path(run.stdout.strip())


def server_command(python: Path, model: Path, port: int, options: Sequence[str]) -> list[str]:
    """The command that serves a model on this machine alone."""
    # `vllm serve` asks for the version of a distribution called vllm, which this build is not.
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", str(model), "--served-model-name", model.name]
    return [*command, "--dtype", "bfloat16", "--max-model-len", "4096", "--enforce-eager", *options]


def server_environment() -> dict[str, str]:
    """Environment variables of the server: no network, no statistics, 1 GiB for keys and values."""
    defaults = {"VLLM_CPU_KVCACHE_SPACE": "1"}
    return defaults | os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


@contextmanager
def running(
    model: str,
    options: Sequence[str] = (),
    *,
    port: int | None = None,
    log: Path | None = None,
    timeout: float = 600,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server, ready; it and all its processes are gone at the end.

    Args:
        model: as on the command line.
        options: further options of vLLM's.
        port: None is a free one.
        log: file that receives what it prints; None is a temporary one.
        timeout: seconds that it may take to be ready.
        variables: further ones of its environment, such as `EVERY_CORE`.

    Raises:
        ToolError: it cannot be installed or started.
    """
    folder, python = model_folder(model), install()
    port = port or _free_port()
    command = server_command(python, folder, port, options)
    url = f"http://127.0.0.1:{port}"
    environ = server_environment() | dict(variables or {})
    with process(command, environ, f"{url}/health", log=log, timeout=timeout) as started:
        yield Server(f"{url}/v1", folder.name, started)


@contextmanager
def process(
    command: Sequence[str],
    variables: Mapping[str, str],
    ready: str,
    *,
    log: Path | None = None,
    timeout: float = 600,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, ready; it and all of its group are gone at the end.

    Args:
        command: that starts it.
        variables: its whole environment.
        ready: address that answers 200 once it is.
        log: file that receives what it prints; None is a temporary one.
        timeout: seconds that it may take to be ready.

    Raises:
        ToolError: it cannot be started.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = log or Path(scratch, "server.log")
        with path.open("wb") as sink:
            started = subprocess.Popen(
                [*_tied_to_parent(), *command],
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group of its own, to be stopped as one
            )
        try:
            _wait_until_ready(started, ready, path, timeout)
            yield started
        finally:
            _stop(started)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tied_to_parent() -> list[str]:
    """A prefix of the command that has Linux end it when its parent is gone, even killed outright."""
    return [found, "--pdeathsig", "TERM", "--"] if (found := shutil.which("setpriv")) else []


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path, timeout: float) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < end:
        with suppress(OSError), opener.open(address, timeout=5):
            return
        time.sleep(0.5)
    what = "is not ready" if process.poll() is None else f"ended with status {process.returncode}"
    words = log.read_text(errors="replace").splitlines()
    reason = next((line for line in reversed(words) if "Error" in line), words[-1] if words else "it said nothing")
    raise ToolError(f"the server {what}: {reason.strip()[:300]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End every process of the server's group: politely, then not."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            process.poll()
            os.killpg(process.pid, 0)  # raises once the group is empty
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main(arguments: list[str]) -> int:
    """Do what the command line says; the exit status."""
    match arguments:
        case ["install", *options]:
            print(install(options))
        case ["serve", model, port, *options] if port.isdecimal():
            folder, python = model_folder(model), install()
            os.execve(python, server_command(python, folder, int(port), options), server_environment())  # noqa: S606
        case ["run", model, *rest] if "--" in rest[:-1]:
            at = rest.index("--")
            with running(model, rest[:at]) as server:
                return subprocess.run(
                    rest[at + 1 :], env=os.environ | {"SCR_BASE_URL": server.base_url}, check=False
                ).returncode
        case ["-h" | "--help"]:
            print(__doc__)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (ToolError, OSError) as problem:
        print(f"vllm_cpu.py: {problem}", file=sys.stderr)
        sys.exit(1)
