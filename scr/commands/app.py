"""The Typer app: every command registered, none of their work imported."""

from __future__ import annotations

from typing import Annotated

import typer

from scr.commands import (
    asking,
    batch,
    caring,
    changing,
    chat,
    demo,
    editing,
    evaluating,
    importing,
    reading,
    scope,
    serving,
)
from scr.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"scr {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Correct what a language model says, at once and reversibly, without touching its weights.

    Start with `scr demo`, or:

      scr add "The capital of France is Lyon."

      scr ask "What is the capital of France?" --compare

    Every command has examples in its own help: `scr ask --help`.
    """


app.command()(demo.demo)
app.command()(changing.add)
app.command("import")(importing.import_)
app.command("list")(reading.list_)
app.command()(reading.show)
app.command()(reading.search)
app.command()(reading.export)
app.command()(changing.update)
app.command()(changing.remove)
app.command()(changing.undo)
app.command()(reading.log)
app.command()(asking.check)
app.command()(asking.ask)
app.command()(chat.chat)
app.command()(batch.batch)
app.command("eval")(evaluating.eval_)
app.command()(evaluating.editors)
app.command()(editing.edit)
app.command()(serving.serve)
app.command()(caring.doctor)
app.add_typer(scope.scope, name="scope")
app.add_typer(caring.store, name="store")
