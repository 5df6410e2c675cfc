"""The gateway's own routes, described as OpenAPI 3.1."""

from __future__ import annotations

from typing import Any, TypeAlias, get_args

from scr.facts import MAX_FIELD, MAX_TEXT, NewFact
from scr.importing import Format
from scr.store import OnConflict
from scr.version import __version__

Json: TypeAlias = dict[str, Any]


def openapi() -> Json:
    """The document; the routes of the OpenAI protocol are not in it, as the model server's own describes them."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "scr gateway", "version": __version__, "description": "Facts that correct a language model."},
        "security": [{"key": []}, {}],
        "paths": {**_facts(), **_one_fact(), **_operations(), **_questions(), **_state()},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "responses": {"error": _answer("What was wrong and what to do.", _ref("Error"))},
        },
    }


def _facts() -> Json:
    listing = [
        _query("limit", _whole(1000, 100), "How many."),
        _query("after", {"type": "string"}, "Go on after the fact with this id: `next` of the page before."),
        _query("all", {"type": "boolean", "default": False}, "Superseded and removed ones too."),
        _AS_OF,
    ]
    page = _object({"facts": _array(_ref("Fact")), "next": {"type": ["string", "null"]}})
    added = _object({**_new(), "namespace": {"type": "string"}, "on_conflict": _words(get_args(OnConflict))}, "text")
    importing = [
        _query("format", _words(get_args(Format)), "How facts are written; auto goes by the first line."),
        _query("skip_bad", {"type": "boolean", "default": False}, "Leave bad lines out and take the rest."),
        _query("on_conflict", _words(get_args(OnConflict)), "What becomes of the facts that they contradict."),
    ]
    lines = {kind: {"schema": {"type": "string"}} for kind in ("application/jsonl", "text/csv", "text/plain")}
    refused = _answer("Some lines are bad; none was imported.", _object({"error": {}, "errors": _array(_ref("Bad"))}))
    counts = _object({name: {"type": "integer"} for name in ("added", "duplicate", "superseded", "rejected")})
    counts["properties"]["errors"] = _array(_ref("Bad"))
    return {
        "/scr/facts": {
            "get": _route("List facts, oldest first.", page, parameters=listing),
            "post": {
                **_route("Add a fact; it is durable and seen by every process.", _ref("Added"), body=added),
                "responses": {
                    "200": _answer("It was there already.", _ref("Added")),
                    "201": _answer("Added.", _ref("Added")),
                    **_errors(409, 413),
                },
            },
        },
        "/scr/facts/import": {
            "post": {
                **_route("Add many facts as one operation: all or none.", counts, parameters=importing),
                "requestBody": {"required": True, "content": lines},
                "responses": {"200": _answer("Imported.", counts), **_errors(409, 413), "422": refused},
            }
        },
    }


def _one_fact() -> Json:
    place = {"name": "fact_id", "in": "path", "required": True, "schema": {"type": "string"}}
    place["description"] = "The fact's id, or at least four characters of its beginning."
    step = _object({"at": {"type": "string"}, "actor": {"type": "string"}, "event": {}, "fact": _ref("Fact")})
    return {
        "/scr/facts/{fact_id}": {
            "get": _route("Show a fact.", _ref("Fact"), parameters=[place]),
            "patch": _route(
                "Change what a fact says; its id and history stay.",
                _ref("Added"),
                parameters=[place],
                body=_object({**_new(), "namespace": {"type": "string"}}, "text"),
            ),
            "delete": _route("Take a fact out of service; undo brings it back.", _ref("Fact"), parameters=[place]),
        },
        "/scr/facts/{fact_id}/history": {
            "get": _route("What happened to a fact, oldest first.", _array(step), parameters=[place])
        },
    }


def _operations() -> Json:
    count = _object({"count": _whole(1000, 1), "namespace": {"type": "string"}})
    limit = _query("limit", _whole(1000, 20), "How many.")
    return {
        "/scr/undo": {"post": _route("Take back the last operations.", _array(_ref("Operation")), body=count)},
        "/scr/log": {
            "get": _route("What was done, newest first.", _array(_ref("Operation")), parameters=[limit]),
        },
    }


def _questions() -> Json:
    common = {"as_of": {"type": "string"}, "namespace": {"type": "string"}}
    search = _object({"text": {"type": "string", "minLength": 1}, "k": _whole(1000, 10), **common}, "text")
    check = _object({"query": {"type": "string", "minLength": 1}, **common}, "query")
    return {
        "/scr/search": {"post": _route("The facts nearest in meaning.", _array(_ref("Fact")), body=search)},
        "/scr/check": {
            "post": _route("Which facts govern a question; no model is asked.", _ref("Decision"), body=check)
        },
    }


def _state() -> Json:
    health = _object({name: _words(("ok", "failing")) for name in ("status", "upstream", "store")})
    return {
        "/health": {
            "get": {
                "summary": "Whether the gateway, its store and the model server are well; needs no key.",
                "security": [{}],
                "responses": {"200": _answer("All are.", health), "503": _answer("One is not.", health)},
            }
        },
        "/metrics": {
            "get": {
                "summary": "Counters, for Prometheus.",
                "responses": {"200": {"description": "Text.", "content": {"text/plain": {}}}, **_errors()},
            }
        },
        "/scr/openapi.json": {"get": _route("This document.", {"type": "object"}, namespace=False)},
    }


def _schemas() -> Json:
    nullable: Json = {"type": ["string", "null"]}
    fact = dict.fromkeys(NewFact.__dataclass_fields__, nullable) | {
        "id": {"type": "string"},
        "text": {"type": "string"},
        "namespace": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "supersedes": _array({"type": "string"}),
        "status": _words(("active", "superseded", "removed")),
    }
    judged = _object({"id": {"type": "string"}, "text": {"type": "string"}, "applies": {"type": "boolean"}})
    judged["properties"] |= {name: {"type": "number"} for name in ("score", "threshold")}
    return {
        "Fact": _object(fact, "id", "text", "namespace", "status"),
        "Added": _object({**fact, "superseded": _array({"type": "string"}), "duplicate": {"type": "boolean"}}, "id"),
        "Operation": _object(
            {
                "number": {"type": "integer"},
                "at": {"type": "string", "format": "date-time"},
                "kind": _words(("add", "import", "update", "remove", "undo")),
                "namespace": {"type": "string"},
                "actor": {"type": "string", "description": "The name of the key."},
                "reverts": {"type": ["integer", "null"]},
                "changes": {"type": "integer"},
                "facts": _array({"type": "object"}),
            }
        ),
        "Decision": _object(
            {
                "query": {"type": "string"},
                "in_scope": {"type": "boolean"},
                "facts": _array(judged),
                "timings_ms": {"type": "object"},
            }
        ),
        "Bad": _object({"line": {"type": "integer"}, "reason": {"type": "string"}}),
        "Error": _object({"error": _object({"message": {"type": "string"}, "type": {}, "param": {}, "code": {}})}),
    }


def _new() -> Json:
    short: Json = {"type": ["string", "null"], "maxLength": MAX_FIELD}
    return dict.fromkeys(NewFact.__dataclass_fields__, short) | {
        "text": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}
    }


def _route(
    summary: str,
    answer: Json,
    *,
    parameters: list[Json] | None = None,
    body: Json | None = None,
    namespace: bool = True,
) -> Json:
    route: Json = {"summary": summary, "responses": {"200": _answer("Done.", answer), **_errors(404, 413)}}
    route["parameters"] = [*(parameters or []), *([_NAMESPACE] if namespace else [])]
    if body is not None:
        route["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return route


def _errors(*more: int) -> Json:
    error = {"$ref": "#/components/responses/error"}
    return {str(status): error for status in sorted({400, 401, 403, 408, 429, 503, *more})}


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _array(items: Json) -> Json:
    return {"type": "array", "items": items}


def _whole(most: int, default: int) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _words(words: tuple[str, ...]) -> Json:
    return {"type": "string", "enum": list(words)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


_NAMESPACE = _query("namespace", {"type": "string"}, "Whose facts; the key's own if it is not said.")
_AS_OF = _query("as_of", {"type": "string"}, "The store as it was then: a date or time of ISO 8601.")
