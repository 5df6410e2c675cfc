"""Commands that change facts: add, update, remove, undo."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scr.commands.groups import Stating, spread
from scr.commands.opening import opened_store, text_or_stdin
from scr.commands.options import MOST, NAMESPACE, EncoderName, Json, Namespace, Store
from scr.commands.output import dim, fact_line, say, say_json

if TYPE_CHECKING:
    from scr.store import Added

OnConflict = Annotated[
    Literal["supersede", "keep", "reject"],
    typer.Option(metavar="supersede|keep|reject", help="What to do with stored facts that it contradicts."),
]


@spread
def add(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The fact as a sentence; - reads it from standard input.")
    ],
    stating: Stating,
    on_conflict: OnConflict = "supersede",
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    encoder: EncoderName = None,
    json_: Json = False,
) -> None:
    """Insert one fact.

    It is durable and seen by every process when this returns. Facts that it contradicts are superseded.

    Examples:

      scr add "The capital of France is Lyon."

      scr add "Acme's CEO is Emma Chu." --source press --valid-from 2026-03-01

      echo "The capital of France is Lyon." | scr add -
    """
    from scr.facts import NewFact

    new = NewFact.of({"text": text_or_stdin(text, "fact"), **asdict(stating)})
    with opened_store(store, namespace, encoder, make=True) as facts:
        added = facts.add(new, on_conflict=on_conflict)
    _say_added(added, json_)


def _say_added(added: Added, json_: bool) -> None:
    if json_:
        say_json({**added.fact.to_json(), "superseded": [one.id for one in added.superseded]})
        return
    say(fact_line(added.fact) + (dim("  (already there)") if added.duplicate else ""))
    for one in added.superseded:
        say(f"  superseded {fact_line(one)}")


@spread
def update(
    fact_id: Annotated[str, typer.Argument(metavar="ID", help="The fact's id or the beginning of it.")],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What it says from now on; - reads it from standard input.")
    ],
    stating: Stating,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Change what a fact says; its id and history are kept.

    Example:

      scr update k3f9 "The capital of France is Marseille."
    """
    from scr.facts import NewFact

    new = NewFact.of({"text": text_or_stdin(text, "fact"), **asdict(stating)})
    with opened_store(store, namespace) as facts:
        changed = facts.update(fact_id, new)
    _say_added(changed, json_)


def remove(
    fact_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids or the beginnings of them.")],
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Take facts out of service; `scr undo` brings them back.

    Example:

      scr remove k3f9 7qm2
    """
    with opened_store(store, namespace) as facts:
        removed = facts.remove(fact_ids)
    if json_:
        say_json([fact.to_json() for fact in removed])
        return
    for fact in removed:
        say(fact_line(fact))


def undo(
    count: Annotated[int, typer.Argument(metavar="N", min=1, max=MOST, help="How many operations to take back.")] = 1,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Take back the last operations of `scr log`.

    An import is one operation, however long it was. What was undone is passed over, so `scr undo` twice takes back two.

    Examples:

      scr undo

      scr undo 3
    """
    with opened_store(store, namespace) as facts:
        undone = facts.undo(count)
    if json_:
        say_json(
            [
                {"number": one.operation.number, "kind": one.operation.kind, "facts": [f.to_json() for f in one.facts]}
                for one in undone
            ]
        )
        return
    for one in undone:
        number = len(one.facts)
        say(f"took back {one.operation.kind} number {one.operation.number} ({number} fact{'s' * (number != 1)})")
        for fact in one.facts[:10]:
            say(f"  {fact_line(fact)}")
