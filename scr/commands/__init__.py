"""The command line: a file per group of commands."""

from __future__ import annotations

import os
import sys


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
    from scr.commands.app import app

    try:
        app(arguments, prog_name="scr", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        # The reader of a pipe has seen enough; without this Python complains again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return _fail(*_explained(error))
    return 0


def _explained(error: BaseException) -> tuple[str, int]:
    """What to say of a failure, and the exit status."""
    from scr.errors import ScrError

    if isinstance(error, ScrError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was acknowledged is kept", 130
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1
    return f"internal error ({type(error).__name__}: {error}): run it again with --debug and report what it prints", 1


def _fail(message: str, status: int) -> int:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)  # noqa: T201 - the one place that speaks of failures
    return status
