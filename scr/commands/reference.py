"""The page docs/commands.md, made of what ``--help`` says: ``python -m scr.commands.reference > docs/commands.md``."""

from __future__ import annotations

import sys

_COLUMNS = "90"
_INTRODUCTION = """# Commands

This page is what `scr COMMAND --help` prints. Results go to stdout and everything else to stderr; with `--json` the
result is one JSON document. Exit status: 0 done, 1 the work failed, 2 wrong usage, 130 interrupted. `NO_COLOR` turns
colours off, `--debug` (or `SCR_DEBUG=1`) shows the traceback of a failure, `scr --install-completion` makes the
Tab key complete commands and options.
"""


def reference() -> str:
    """The whole page as Markdown."""
    from scr.commands.app import app

    groups = {info.name: info.typer_instance for info in app.registered_groups}
    names = [_name(command) for command in app.registered_commands]
    paths = [[], *([name] for name in names)]
    for group, inner in groups.items():
        paths += [[str(group), _name(command)] for command in inner.registered_commands] if inner else []
    return "\n".join([_INTRODUCTION, *(_section(path) for path in paths)])


def _name(command: object) -> str:
    callback = getattr(command, "callback", None)
    return str(getattr(command, "name", None) or getattr(callback, "__name__", ""))


def _section(path: list[str]) -> str:
    title = " ".join(["scr", *path])
    return f"## {title}\n\n```text\n{_help(path)}\n```\n"


def _help(path: list[str]) -> str:
    from typer.testing import CliRunner

    from scr.commands.app import app

    environment = {"COLUMNS": _COLUMNS, "TERMINAL_WIDTH": _COLUMNS, "NO_COLOR": "1"}
    ran = CliRunner(env=environment).invoke(app, [*path, "--help"], prog_name="scr", terminal_width=int(_COLUMNS))
    return "\n".join(line.rstrip() for line in ran.output.strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference())
