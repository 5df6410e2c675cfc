"""The command line: a file per group of commands."""

from __future__ import annotations

import os
import sys
from typing import Any

_INTERRUPTED = 130


def main() -> None:
    """Run ``scr``; a mistake is one line on stderr, and a traceback only with ``--debug``."""
    arguments = sys.argv[1:]
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own or bool(os.environ.get("SCR_DEBUG"))
    if "--debug" in own:
        arguments.remove("--debug")
    sys.exit(run(arguments, debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit status: 0 done, 1 the work failed, 2 wrong usage."""
    try:
        from scr.commands.app import app

        status = app(arguments, prog_name="scr", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        return _ended(error, debug)
    if status == _INTERRUPTED:
        return _fail(*_explained(KeyboardInterrupt()))
    return status if isinstance(status, int) else 0


def _ended(error: BaseException, debug: bool) -> int:
    if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
        # The reader of a pipe has seen enough (`| head`): no failure, and Python is not to complain of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return 0
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if _is_usage(error):
        return _misused(error)
    if debug:
        raise error
    return _fail(*_explained(error))


def _is_usage(error: BaseException) -> bool:
    # Typer's own or, in its earlier versions, click's: told by what both have, as click may not be installed.
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _misused(error: Any) -> int:
    """What Typer has to say of the arguments, in one line."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "scr"
    return _fail(f"{message[:1].lower()}{message[1:]}: see `{path} --help`", int(error.exit_code))


def _explained(error: BaseException) -> tuple[str, int]:
    """What to say of a failure, and the exit status."""
    from scr.errors import ScrError

    if isinstance(error, ScrError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was acknowledged is kept", _INTERRUPTED
    if isinstance(error, OSError):
        return _of_files(error), 1
    return f"internal error ({type(error).__name__}: {error}): run it again with --debug and report what it prints", 1


def _of_files(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    if error.filename is None:
        return f"{reason}: check files, disk and network, or run it again with --debug"
    return f"cannot use {os.fsdecode(error.filename)} ({reason}): check the path, its permissions and the disk"


def _fail(message: str, status: int) -> int:
    # What a server said may be part of it, and is not to steer the terminal.
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in " ".join(message.split()))
    print(f"error: {line}", file=sys.stderr)  # noqa: T201 - the one place that speaks of failures
    return status
