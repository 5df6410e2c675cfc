"""The command that inserts facts in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scr.commands.changing import OnConflict
from scr.commands.opening import input_file, opened_store
from scr.commands.options import NAMESPACE, EncoderName, Json, Namespace, Store
from scr.commands.output import note, say, say_json

if TYPE_CHECKING:
    from scr.importing import Line

_SHOWN = 20
_REPORTED = 1_000


def import_(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files; - is standard input.")],
    form: Annotated[
        Literal["auto", "jsonl", "csv", "lines"],
        typer.Option(
            "--format", metavar="auto|jsonl|csv|lines", help="How facts are written; auto goes by the suffix."
        ),
    ] = "auto",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad lines out and take the rest.")] = False,
    on_conflict: OnConflict = "supersede",
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    encoder: EncoderName = None,
    json_: Json = False,
) -> None:
    """Insert facts in bulk: all of them, or none if a line is bad.

    JSONL has an object a line ("text", and optionally "subject", "relation", "object", "question", "source",
    "valid_from", "valid_to"); CSV has these names as columns; any other text has one sentence a line. An import is one
    operation: `scr undo` takes it back as a whole.

    Examples:

      scr import facts.jsonl

      scr import - < sentences.txt

      scr import staff.csv --skip-bad
    """
    from scr.errors import ImportRefused
    from scr.progress import bar

    lines = [line for name in files for line in _lines(name, form)]
    bad = [line for line in lines if line.reason]
    if bad and not skip_bad:
        for line in bad[1:_SHOWN]:
            note(f"{line.file} line {line.number:,}: {line.reason}")
        others = f" (and {len(bad) - 1:,} other lines)" if len(bad) > 1 else ""
        raise ImportRefused(
            f"{bad[0].file} line {bad[0].number:,}: {bad[0].reason}{others}; nothing was imported: "
            "mend it, or leave bad lines out with --skip-bad"
        )
    facts = [line.fact for line in lines if line.fact]
    with opened_store(store, namespace, encoder, make=True) as opened, bar("Importing", len(facts)) as advance:
        done = opened.add_all(facts, on_conflict=on_conflict, progress=advance)
    if json_:
        errors = [{"file": line.file, "line": line.number, "reason": line.reason} for line in bad[:_REPORTED]]
        counts = {"added": done.added, "duplicate": done.duplicate, "superseded": done.superseded}
        say_json({**counts, "rejected": len(bad), "errors": errors})
        return
    say(f"added {done.added:,}, duplicate {done.duplicate:,}, superseded {done.superseded:,}, rejected {len(bad):,}")
    for line in bad[:_SHOWN]:
        note(f"{line.file} line {line.number:,}: {line.reason}")
    if len(bad) > _SHOWN:
        note(f"and {len(bad) - _SHOWN:,} more")


def _lines(name: str, form: Literal["auto", "jsonl", "csv", "lines"]) -> Iterator[Line]:
    from scr.importing import read_facts

    with input_file(name) as file:
        yield from read_facts(file, "standard input" if name == "-" else name, form)
