"""The facts over HTTP: what the command line does to a store, with the same checks and the same JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from io import BytesIO
from itertools import dropwhile, islice
from typing import Any, TypeAlias, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from scr.errors import FactError, UsageError
from scr.facts import Fact, NewFact, check_query, format_time
from scr.gateway.fields import Fields
from scr.gateway.keys import Key, Right
from scr.gateway.limits import read_body
from scr.gateway.refusals import Refusal, document
from scr.gateway.service import Gateway
from scr.importing import Format, Line, read_facts
from scr.ledger import Operation
from scr.store import Added, OnConflict

_LONGEST = 2**20
"""Bytes of a body with one fact or one question in it."""

_MOST_LISTED = 1_000
_MOST_ERRORS = 100

Act: TypeAlias = Callable[["Call"], Awaitable[Response]]


class Call:
    """A request to one of these routes.

    Attributes:
        key: who sent it.
        query: what its address says.
        body: its body.
        store: the facts of its namespace, changed in the name of its key.
    """

    def __init__(self, gateway: Gateway, request: Request, key: Key, body: bytes) -> None:
        self._gateway, self._request, self.key, self.body = gateway, request, key, body
        self.query = Fields(dict(request.query_params))
        self.store = gateway.facts_of(key, self.query.text("namespace"))

    @property
    def fact_id(self) -> str:
        """The id in its path."""
        return str(self._request.path_params["fact_id"])

    @property
    def gateway(self) -> Gateway:
        """Who answers it."""
        return self._gateway

    def json(self) -> Fields:
        """Its body's members; a namespace among them is where it goes."""
        fields = Fields.of_json(self.body)
        if (namespace := fields.text("namespace")) is not None:
            self.store = self._gateway.facts_of(self.key, namespace)
        return fields


def fact_routes(gateway: Gateway) -> list[BaseRoute]:
    """The routes below ``/scr``."""
    table: tuple[tuple[str, str, Right, Act], ...] = (
        ("GET", "/scr/facts", "read", _list),
        ("POST", "/scr/facts", "write", _add),
        ("POST", "/scr/facts/import", "write", _import),
        ("GET", "/scr/facts/{fact_id}", "read", _show),
        ("PATCH", "/scr/facts/{fact_id}", "write", _update),
        ("DELETE", "/scr/facts/{fact_id}", "write", _remove),
        ("GET", "/scr/facts/{fact_id}/history", "read", _history),
        ("POST", "/scr/undo", "write", _undo),
        ("GET", "/scr/log", "read", _log),
        ("POST", "/scr/search", "read", _search),
        ("POST", "/scr/check", "read", _check),
    )
    return [Route(path, _endpoint(gateway, right, act), methods=[method]) for method, path, right, act in table]


def _endpoint(gateway: Gateway, right: Right, act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        key = gateway.admit(request, right)
        longest = gateway.settings.max_body if act is _import else min(gateway.settings.max_body, _LONGEST)
        body = await read_body(request, longest)
        return await act(Call(gateway, request, key, body))

    return endpoint


async def _list(call: Call) -> Response:
    query = call.query
    limit, after = query.whole("limit", 100, _MOST_LISTED), query.text("after")
    every_status, as_of = query.flag("all"), query.moment("as_of")
    query.done()

    def work() -> list[Fact]:
        last = call.store.get(after).id if after is not None else None
        if as_of is None:
            return list(islice(call.store.facts(every_status=every_status, after=last), limit + 1))
        facts = call.store.facts(every_status=every_status, as_of=as_of)
        if last is not None:
            facts = islice(dropwhile(lambda fact: fact.id != last, facts), 1, None)
        return list(islice(facts, limit + 1))

    found = await call.gateway.read(work)
    shown = found[:limit]
    return document({"facts": [f.to_json() for f in shown], "next": shown[-1].id if len(found) > limit else None})


async def _add(call: Call) -> Response:
    fields = call.json()
    on_conflict = _on_conflict(fields)
    new = _acceptable(fields.rest(), call.gateway.settings.max_fact)
    call.query.done()
    added = await call.gateway.write("add", lambda: call.store.add(new, on_conflict=on_conflict))
    return document(_added(added), 200 if added.duplicate else 201)


async def _update(call: Call) -> Response:
    new = _acceptable(call.json().rest(), call.gateway.settings.max_fact)
    call.query.done()
    return document(_added(await call.gateway.write("update", lambda: call.store.update(call.fact_id, new))))


async def _remove(call: Call) -> Response:
    call.query.done()
    (fact,) = await call.gateway.write("remove", lambda: call.store.remove([call.fact_id]))
    return document(fact.to_json())


async def _show(call: Call) -> Response:
    call.query.done()
    return document((await call.gateway.read(lambda: call.store.get(call.fact_id))).to_json())


async def _history(call: Call) -> Response:
    call.query.done()
    steps = await call.gateway.read(lambda: call.store.ledger.history(call.store.get(call.fact_id).id))
    return document([{**_head(operation), "event": kind, "fact": fact.to_json()} for operation, kind, fact in steps])


async def _import(call: Call) -> Response:
    form = call.query.choice("format", get_args(Format))
    skip_bad, on_conflict = call.query.flag("skip_bad"), _on_conflict(call.query)
    call.query.done()
    limit = call.gateway.settings.max_fact
    lines = await call.gateway.read(lambda: _lines(call.body, cast(Format, form), limit))
    bad = [{"line": line.number, "reason": line.reason} for line in lines if line.fact is None]
    if bad and not skip_bad:
        refusal = Refusal(
            422,
            "import_refused",
            f"{len(bad):,} of {len(lines):,} lines are bad, so none was imported: mend them, or leave them out with "
            "skip_bad=true",
        )
        return document({**refusal.document, "errors": bad[:_MOST_ERRORS]}, 422)
    facts = [line.fact for line in lines if line.fact]
    done = await call.gateway.write("import", lambda: call.store.add_all(facts, on_conflict=on_conflict))
    counts = {"added": done.added, "duplicate": done.duplicate, "superseded": done.superseded, "rejected": len(bad)}
    return document({**counts, "errors": bad[:_MOST_ERRORS]})


async def _undo(call: Call) -> Response:
    fields = call.json() if call.body.strip() else Fields({})
    count = fields.whole("count", 1, _MOST_LISTED)
    fields.done()
    call.query.done()
    undone = await call.gateway.write("undo", lambda: call.store.undo(count))
    return document([{**_head(one.operation), "facts": [fact.to_json() for fact in one.facts]} for one in undone])


async def _log(call: Call) -> Response:
    limit = call.query.whole("limit", 20, _MOST_LISTED)
    call.query.done()
    operations = await call.gateway.read(lambda: call.store.ledger.log(call.store.namespace, limit))
    return document(
        [{**_head(one), "facts": [{"event": kind, **fact.to_json()} for kind, fact in one.facts]} for one in operations]
    )


async def _search(call: Call) -> Response:
    fields = call.json()
    text, k, as_of = fields.text("text"), fields.whole("k", 10, _MOST_LISTED), fields.moment("as_of")
    fields.done()
    call.query.done()
    query = check_query(text or "")
    (found,) = await call.gateway.read(lambda: call.store.search([query], k, as_of=as_of))
    return document([{**one.fact.to_json(), "similarity": round(one.similarity, 6)} for one in found])


async def _check(call: Call) -> Response:
    fields = call.json()
    text, as_of = fields.text("query"), fields.moment("as_of")
    fields.done()
    call.query.done()
    query = check_query(text or "")
    (decision,) = await call.gateway.editor.decider.decide([query], call.store.namespace, as_of)
    return document(decision.to_json())


def _on_conflict(fields: Fields) -> OnConflict:
    return cast(OnConflict, fields.choice("on_conflict", get_args(OnConflict)))


def _acceptable(record: dict[str, Any], limit: int) -> NewFact:
    new = NewFact.of(record)
    if flaw := _too_long(new, limit):
        raise FactError(flaw)
    return new


def _too_long(new: NewFact, limit: int) -> str | None:
    if len(new.text) <= limit:
        return None
    return f"the text is {len(new.text):,} characters long; the limit here is {limit:,}: shorten or split it"


def _lines(body: bytes, form: Format, limit: int) -> list[Line]:
    try:
        lines = list(read_facts(BytesIO(body), "the request", form))
    except UsageError as error:
        raise UsageError(f"{error}, or say another format") from None
    found = []
    for line in lines:
        flaw = _too_long(line.fact, limit) if line.fact else None
        found.append(Line(line.file, line.number, None, flaw) if flaw else line)
    return found


def _added(added: Added) -> dict[str, Any]:
    return {
        **added.fact.to_json(),
        "superseded": [one.id for one in added.superseded],
        "duplicate": added.duplicate,
    }


def _head(one: Operation) -> dict[str, Any]:
    return {
        "number": one.number,
        "at": format_time(one.at),
        "kind": one.kind,
        "namespace": one.namespace,
        "actor": one.actor,
        "reverts": one.reverts,
        "changes": one.size,
    }
