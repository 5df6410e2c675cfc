"""Commands that read facts: list, show, search, export, log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scr.commands.opening import moment, opened_store, text_or_stdin
from scr.commands.options import MOST, NAMESPACE, AsOf, Json, Namespace, Store
from scr.commands.output import dim, fact_line, note, one_line, say, say_json, say_json_array, written_out

if TYPE_CHECKING:
    from scr.facts import Fact
    from scr.ledger import Operation

All = Annotated[bool, typer.Option("--all", help="Superseded and removed facts too.")]


def list_(
    all_: All = False,
    as_of: AsOf = None,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """List the facts, oldest first.

    Examples:

      scr list

      scr list --as-of 2026-01-31 --json
    """
    with opened_store(store, namespace) as opened:
        facts = opened.facts(every_status=all_, as_of=moment(as_of))
        if json_:
            say_json_array(fact.to_json() for fact in facts)
            return
        empty = True
        for fact in facts:
            say(fact_line(fact))
            empty = False
        if empty:
            note(f"no facts in {opened.path} (namespace {namespace}): add one with `scr add`")


def show(
    fact_id: Annotated[str, typer.Argument(metavar="ID", help="The fact's id or the beginning of it.")],
    as_of: AsOf = None,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Show one fact, its provenance and its history.

    Example:

      scr show k3f9
    """
    from scr.errors import UnknownFact
    from scr.facts import format_time

    with opened_store(store, namespace) as opened:
        fact = opened.get(fact_id)
        history = opened.ledger.history(fact.id)
    if (until := moment(as_of)) is not None:
        history = [step for step in history if step[0].at <= until]
        if not history:
            raise UnknownFact(f"fact {fact.id} did not exist at {as_of}: it was added {format_time(fact.created_at)}")
        fact = history[-1][2]
    if json_:
        say_json(fact.to_json())
        return
    for name, value in fact.to_json().items():
        if value not in (None, []):
            say(f"{dim(name.ljust(11))} {written_out(value if isinstance(value, str) else ', '.join(value))}")
    say(dim("history"))
    for operation, kind, state in history:
        say(f"  {format_time(operation.at)[:19]}Z  {kind} by {operation.actor}: {one_line(state.text)}")


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for; - reads it from standard input.")],
    k: Annotated[int, typer.Option("--top-k", "-k", metavar="N", min=1, max=1000, help="How many facts.")] = 10,
    as_of: AsOf = None,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Find the facts nearest in meaning.

    Nearness is not scope: `scr check` says which facts govern a question.

    Example:

      scr search "capital cities"
    """
    from scr.facts import check_query

    with opened_store(store, namespace) as opened:
        (found,) = opened.search([check_query(text_or_stdin(text, "query"))], k, as_of=moment(as_of))
    if json_:
        say_json([{**one.fact.to_json(), "similarity": round(one.similarity, 6)} for one in found])
        return
    for one in found:
        say(f"{one.similarity:.3f}  {fact_line(one.fact)}")


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write. [default: standard output]")
    ] = None,
    all_: All = False,
    as_of: AsOf = None,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
) -> None:
    """Write the facts as JSONL, as `scr import` reads them.

    Examples:

      scr export > facts.jsonl

      scr export --as-of 2026-01-31 -o january.jsonl

      scr export | scr import - --store other
    """
    from scr.errors import ScrError

    with opened_store(store, namespace) as opened:
        facts = opened.facts(every_status=all_, as_of=moment(as_of))
        if output is None or str(output) == "-":
            _write(facts, sys.stdout)
            return
        try:
            with output.open("w", encoding="utf-8") as file:
                number = _write(facts, file)
        except OSError as error:
            raise ScrError(f"cannot write {output}: {error.strerror or error}: choose another --output") from None
    note(f"wrote {number:,} facts to {output}")


def _write(facts: Iterable[Fact], file: Any) -> int:
    number = 0
    for fact in facts:
        file.write(json.dumps(fact.to_json(), ensure_ascii=False) + "\n")
        number += 1
    return number


def log(
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, max=MOST, help="How many operations.")
    ] = 20,
    store: Store = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Show what was done, by whom and when, newest first.

    Example:

      scr log -n 5
    """
    with opened_store(store, namespace) as opened:
        operations = opened.ledger.log(namespace, count)
    if json_:
        say_json([_operation(one) for one in operations])
        return
    undone = {one.reverts for one in operations if one.reverts}
    for one in operations:
        mark = f" (takes back {one.reverts})" if one.reverts else " (undone)" if one.number in undone else ""
        say(f"{one.number:>5}  {dim(one.at.strftime('%Y-%m-%d %H:%M:%SZ'))}  {one.kind}{mark} by {one.actor}")
        for kind, fact in one.facts[:3]:
            say(f"       {kind:<10} {fact_line(fact)}")
        if one.size > 3:
            say(dim(f"       and {one.size - 3:,} more"))


def _operation(one: Operation) -> dict[str, Any]:
    from scr.facts import format_time

    return {
        "number": one.number,
        "at": format_time(one.at),
        "kind": one.kind,
        "namespace": one.namespace,
        "actor": one.actor,
        "reverts": one.reverts,
        "changes": one.size,
        "facts": [{"event": kind, **fact.to_json()} for kind, fact in one.facts],
    }
