"""Commands that care for a store: store info, verify, rebuild; doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from scr.commands import opening
from scr.commands.opening import opened_store
from scr.commands.options import NAMESPACE, ApiKey, BaseUrl, Json, Namespace, Store
from scr.commands.output import dim, note, say, say_json, styled

store = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look after a store: info, verify, rebuild.")


@store.command()
def info(store: Store = None, json_: Json = False) -> None:
    """Say what a store holds.

    Example:

      scr store info --json
    """
    with opened_store(store, NAMESPACE) as opened:
        counts = opened.ledger.count()
        encoder = opened.ledger.encoder()
        index = sum(file.stat().st_size for file in (opened.path / "index").rglob("*") if file.is_file())
        report = {
            "path": str(opened.path),
            "store_id": opened.ledger.store_id,
            "facts": sum(counts.values()),
            "namespaces": counts,
            "encoder": encoder.name if encoder else None,
            "encoder_revision": encoder.revision if encoder else None,
            "revision": opened.ledger.revision(),
            "bytes": opened.ledger.bytes() + index,
        }
    if json_:
        say_json(report)
        return
    spaces = ", ".join(f"{space} ({count:,})" for space, count in counts.items()) or "none"
    for name, value in {**report, "namespaces": spaces}.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        say(f"{dim(name.ljust(16))} {shown}")


@store.command()
def verify(store: Store = None, json_: Json = False) -> None:
    """Check the ledger against its events, and the index.

    The index is compared with one built from nothing. Exit status 1 if anything is wrong.

    Example:

      scr store verify
    """
    with opened_store(store, NAMESPACE) as opened:
        flaws = opened.ledger.verify()
        if opened.ledger.encoder():
            flaws += opened.searcher.differences()
        facts = sum(opened.ledger.count().values())
    if json_:
        say_json({"ok": not flaws, "facts": facts, "problems": flaws})
    elif not flaws:
        say(f"{styled('sound', fg='green')}: {facts:,} fact{'s' * (facts != 1)}, as their events and the index say")
    if flaws:
        for flaw in flaws[:20] if not json_ else ():
            note(flaw)
        if not json_:
            found = f"{len(flaws):,} problem{'s' * (len(flaws) != 1)}"
            note(f"{found}: the index is mended by `scr store rebuild`, the ledger from a backup")
        raise typer.Exit(1)


@store.command()
def rebuild(
    store: Store = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="FOLDER|ID", help="Text encoder to change to. [default: the store's own]"),
    ] = None,
    json_: Json = False,
) -> None:
    """Embed every fact afresh and build the index anew.

    Examples:

      scr store rebuild

      scr store rebuild --encoder ./my-encoder
    """
    from scr.progress import bar

    with opened_store(store, NAMESPACE) as opened:
        total = sum(1 for _ in opened.ledger.facts(None))
        with bar("Embedding", total) as advance:
            number = opened.rebuild(encoder, progress=advance)
        name = opened.encoder.name
    if json_:
        say_json({"facts": number, "encoder": name})
    else:
        say(f"rebuilt the index over {number:,} facts with {name}")


def doctor(
    store: Store = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    namespace: Namespace = NAMESPACE,
    json_: Json = False,
) -> None:
    """Check that everything needed is in place.

    Python, libraries, caches, the store and, with --base-url, the server. Exit status 1 if something is not in order.

    Examples:

      scr doctor

      scr doctor --base-url http://localhost:8000
    """
    from scr.diagnosis import diagnose

    findings = diagnose(store or opening.default_store(), namespace, base_url, api_key)
    if json_:
        say_json([{"name": one.name, "ok": one.ok, "detail": one.detail} for one in findings])
    else:
        for one in findings:
            mark = styled("✓", fg="green") if one.ok else styled("✗", fg="red") if one.ok is False else dim("-")
            say(f"{mark} {one.name:<12} {one.detail}")
    if any(one.ok is False for one in findings):
        raise typer.Exit(1)
