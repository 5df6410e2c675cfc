"""Facts in bulk: read, shown with what they contradict, and then imported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast, get_args

from starlette.responses import Response

from scr.changes import Added
from scr.errors import ScrError, UsageError
from scr.facts import NewFact
from scr.gateway.console.foresight import rehearse
from scr.gateway.console.visit import Visit
from scr.gateway.refusals import Refusal, refusal_of
from scr.importing import Format, Line, read_facts
from scr.store import OnConflict

_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do.

    Attributes:
        mark: of what was previewed; nothing else may be imported for it.
        bad: lines that are no facts.
        fresh: how many facts are new.
        there: how many are there already.
        conflicts: facts that contradict others, of the store or of earlier lines.
        shown: how many of these, and of the bad lines, are shown.
    """

    mark: str
    bad: tuple[Line, ...]
    fresh: int
    there: int
    conflicts: tuple[Added, ...]
    shown: int = _MOST_SHOWN


async def blank(visit: Visit) -> Response:
    """The form."""
    return _page(visit, {"data": "", "format": "auto", "on_conflict": "supersede", "skip_bad": False})


async def bring(visit: Visit) -> Response:
    """Show what the lines would do, or import those that were shown."""
    form = visit.form
    values = {
        "data": form.text("data") or "",
        "format": form.choice("format", get_args(Format)),
        "on_conflict": form.choice("on_conflict", get_args(OnConflict)),
        "skip_bad": form.flag("skip_bad"),
    }
    act, mark = form.text("act"), form.text("mark")
    try:
        lines = await visit.gateway.read(lambda: _lines(visit, values))
        facts = [line.fact for line in lines if line.fact]
        bad = tuple(line for line in lines if line.fact is None)
        if act == "import" and mark == _mark(values) and (not bad or values["skip_bad"]):
            on_conflict = cast(OnConflict, values["on_conflict"])
            await visit.gateway.write("import", lambda: visit.store.add_all(facts, on_conflict=on_conflict))
            return visit.turn("/log", done="imported")
        preview = await visit.gateway.read(lambda: _preview(visit, _mark(values), facts, bad))
    except ScrError as error:
        refusal = refusal_of(error)
        return _page(visit, values, refusal.status, error=str(refusal))
    if act == "import":
        why = "some lines are bad: mend them, or leave them out" if bad else "the lines have changed: look again"
        return _page(visit, values, 409, preview=preview, error=why)
    return _page(visit, values, preview=preview)


def _page(visit: Visit, values: dict[str, Any], status: int = 200, **more: Any) -> Response:
    return visit.page("import", status, **{"values": values, "preview": None, **more})


def _lines(visit: Visit, values: dict[str, Any]) -> list[Line]:
    if not values["data"]:
        raise UsageError("there is nothing to import: paste facts, one a line")
    limit, found = visit.gateway.settings.max_fact, []
    for line in read_facts(BytesIO(values["data"].encode()), "the form", cast(Format, values["format"])):
        if line.fact and len(line.fact.text) > limit:
            found.append(Line(line.file, line.number, None, f"the text is longer than {limit:,} characters: split it"))
        else:
            found.append(line)
    if not found:
        raise Refusal(400, "invalid_request", "there is nothing to import: paste facts, one a line")
    return found


def _preview(visit: Visit, mark: str, facts: Sequence[NewFact], bad: tuple[Line, ...]) -> Preview:
    # Whatever the form says of conflicts: that is what they are shown for.
    done = rehearse(visit.store, lambda changes: [changes.insert(new, "supersede") for new in facts])
    conflicts = tuple(one for one in done if one.superseded)
    there = sum(one.duplicate for one in done)
    return Preview(mark, bad, len(done) - there, there, conflicts)


def _mark(values: dict[str, Any]) -> str:
    return hashlib.sha256(f"{values['format']}\n{values['data']}".encode()).hexdigest()
