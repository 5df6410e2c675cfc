"""Facts on pages: found, added, changed, followed and taken back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from itertools import islice
from typing import Any, cast, get_args

from starlette.responses import Response

from scr.errors import FactError, ScrError
from scr.facts import Fact, NewFact, check_query
from scr.gateway.console.foresight import Foresight, foresee
from scr.gateway.console.visit import Visit
from scr.gateway.refusals import Refusal, refusal_of
from scr.ledger import Operation
from scr.store import Added, OnConflict

_ON_A_PAGE = 50
_IN_A_LOG = 100
_NAMES = tuple(field.name for field in fields(NewFact))

# What a page says after a change; the address names one of them and holds no text of its own.
_DONE = {
    "added": "Added. It is in force from the next question on.",
    "there": "Nothing was changed: this fact was there already.",
    "updated": "Changed. It is in force from the next question on.",
    "removed": "Removed. It no longer applies; Undo brings it back.",
    "undone": "Undone.",
    "imported": "Imported.",
}


def done(visit: Visit) -> str | None:
    """What a page is to say of the change that led to it."""
    return _DONE.get(visit.form.text("done") or "")


async def listing(visit: Visit) -> Response:
    """The facts, or those nearest to what is looked for."""
    form = visit.form
    looked_for, after, every = form.text("q"), form.text("after"), form.flag("all")
    if looked_for:
        query = check_query(looked_for)
        (found,) = await visit.gateway.read(lambda: visit.store.search([query], _ON_A_PAGE))
        rows = [(one.fact, one.similarity) for one in found]
        return visit.page("facts", rows=rows, q=looked_for, every=every, following=None, said=None)

    def work() -> list[Fact]:
        last = visit.store.get(after).id if after else None
        return list(islice(visit.store.facts(every_status=every, after=last), _ON_A_PAGE + 1))

    facts = await visit.gateway.read(work)
    shown = facts[:_ON_A_PAGE]
    following = visit.link("/facts", after=shown[-1].id, all="1" if every else "") if len(facts) > len(shown) else None
    unranked = [(fact, None) for fact in shown]
    return visit.page("facts", rows=unranked, q="", every=every, following=following, said=done(visit))


async def show(visit: Visit) -> Response:
    """A fact and what happened to it."""

    def work() -> tuple[Fact, list[Any]]:
        fact = visit.store.get(visit.path["fact_id"])
        return fact, visit.store.ledger.history(fact.id)[::-1]

    fact, history = await visit.gateway.read(work)
    return visit.page("fact", fact=fact, history=history, said=done(visit))


async def blank(visit: Visit) -> Response:
    """The form for a new fact."""
    return form_page(visit, dict.fromkeys(_NAMES, ""))


async def add(visit: Visit) -> Response:
    """Add what the form says."""
    values, on_conflict = _values(visit), _on_conflict(visit)
    try:
        new = _acceptable(visit, values)
        if visit.form.text("act") == "preview":
            return form_page(visit, values, on_conflict=on_conflict, foresight=await _foresee(visit, new, on_conflict))
        added: Added = await visit.gateway.write("add", lambda: visit.store.add(new, on_conflict=on_conflict))
    except ScrError as error:
        return form_page(visit, values, on_conflict=on_conflict, problem=error)
    return visit.turn(f"/facts/{added.fact.id}", done="there" if added.duplicate else "added")


async def filled(visit: Visit) -> Response:
    """The form for a fact that is there."""
    fact = await visit.gateway.read(lambda: visit.store.get(visit.path["fact_id"]))
    values = fact.to_json()
    return form_page(visit, {name: values[name] or "" for name in _NAMES}, fact=fact)


async def edit(visit: Visit) -> Response:
    """Change a fact to what the form says, unless somebody else has changed it meanwhile."""
    values, was = _values(visit), visit.form.text("was")
    fact = await visit.gateway.read(lambda: visit.store.get(visit.path["fact_id"]))

    def work() -> Added:
        if _mark(visit.store.get(fact.id)) != was:
            raise Refusal(409, "conflict", "somebody has changed this fact meanwhile: open it again")
        return visit.store.update(fact.id, new)

    try:
        new = _acceptable(visit, values)
        if visit.form.text("act") == "preview":
            foresight = await _foresee(visit, new, fact_id=fact.id)
            return form_page(visit, values, fact=fact, was=was, foresight=foresight)
        await visit.gateway.write("update", work)
    except ScrError as error:
        return form_page(visit, values, fact=fact, was=was, problem=error)
    return visit.turn(f"/facts/{fact.id}", done="updated")


async def remove(visit: Visit) -> Response:
    """Take a fact out of service."""
    (fact,) = await visit.gateway.write("remove", lambda: visit.store.remove([visit.path["fact_id"]]))
    return visit.turn(f"/facts/{fact.id}", done="removed")


async def log(visit: Visit) -> Response:
    """What was done by whom; what is next to be undone has a button."""
    operations = await visit.gateway.read(lambda: visit.store.ledger.log(visit.namespace, _IN_A_LOG))
    return visit.page("log", operations=operations, undoable=_undoable(operations), said=done(visit))


async def undo(visit: Visit) -> Response:
    """Take back the operation that the form names, if it is still the last."""
    number = visit.form.whole("operation", 0, 10**9)

    def work() -> None:
        last = _undoable(visit.store.ledger.log(visit.namespace, _IN_A_LOG))
        if last != number:
            raise Refusal(409, "conflict", "something else was done meanwhile: look at the log again")
        visit.store.undo()

    await visit.gateway.write("undo", work)
    return visit.turn("/log", done="undone")


def form_page(
    visit: Visit,
    values: dict[str, Any],
    *,
    fact: Fact | None = None,
    on_conflict: OnConflict = "supersede",
    problem: ScrError | None = None,
    was: str | None = None,
    foresight: Foresight | None = None,
) -> Response:
    """The form of a fact, with what was written in it and what is wrong with that."""
    refusal = refusal_of(problem) if problem else None
    return visit.page(
        "form",
        refusal.status if refusal else 200,
        error=str(refusal) if refusal else None,
        values=values,
        fact=fact,
        was=was or (_mark(fact) if fact else None),
        on_conflict=on_conflict,
        foresight=foresight,
    )


def _mark(fact: Fact) -> str:
    """Of a fact as it was shown: another one once anything of it is changed."""
    return hashlib.sha256(json.dumps(fact.to_json()).encode()).hexdigest()


async def _foresee(
    visit: Visit, new: NewFact, on_conflict: OnConflict = "supersede", fact_id: str | None = None
) -> Foresight:
    decider = visit.gateway.editor.decider
    past = await visit.gateway.siblings.past(visit.namespace) if visit.may("read") else ()
    return await visit.gateway.read(
        lambda: foresee(visit.store, decider.scope, new, past, k=decider.k, on_conflict=on_conflict, fact_id=fact_id)
    )


def _values(visit: Visit) -> dict[str, Any]:
    return {name: visit.form.text(name) or "" for name in _NAMES}


def _on_conflict(visit: Visit) -> OnConflict:
    return cast(OnConflict, visit.form.choice("on_conflict", get_args(OnConflict)))


def _acceptable(visit: Visit, values: dict[str, Any]) -> NewFact:
    new, limit = NewFact.of(values), visit.gateway.settings.max_fact
    if len(new.text) > limit:
        raise FactError(f"the text is {len(new.text):,} characters long; the limit here is {limit:,}: shorten it")
    return new


def _undoable(operations: list[Operation]) -> int | None:
    """Number of the operation that an undo would take back, as far as the log goes."""
    taken_back = {one.reverts for one in operations}
    left = (one.number for one in operations if one.kind != "undo" and one.number not in taken_back)
    return next(left, None)
