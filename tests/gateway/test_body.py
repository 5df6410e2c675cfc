"""Changing a document's characters without touching the rest."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scr.gateway.body import Body, Path

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
DOCUMENTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)),
    min_size=1,
    max_size=5,
)
BLANKS = st.sampled_from(["", " ", "\n\t", "  \r\n"])


def strings_in(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, str):
        return [path]
    places = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for place, one in places for found in strings_in(one, (*path, place))]


def put(document: Any, path: Path, new: str) -> None:
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = new


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS, st.booleans(), BLANKS, BLANKS, st.data(), st.text(max_size=9))
def test_only_the_named_strings_change(
    document: dict[str, Any], escaped: bool, comma: str, colon: str, data: st.DataObject, new: str
) -> None:
    raw = json.dumps(document, ensure_ascii=escaped, separators=(comma + "," + comma, colon + ":" + colon))
    body = Body.read(f" {raw}\n".encode())
    assert body is not None
    assert body.value == document
    paths = strings_in(document)
    chosen = data.draw(st.lists(st.sampled_from(paths), unique=True)) if paths else []
    changed = body.with_strings(dict.fromkeys(chosen, new))
    expected = json.loads(raw)
    for path in chosen:
        put(expected, path, new)
    assert json.loads(changed) == expected
    if not chosen:
        assert changed is body.raw


@settings(max_examples=50, deadline=None)
@given(DOCUMENTS, st.data())
def test_a_member_is_cut_out(document: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(document)))
    body = Body.read(json.dumps(document, indent=1).encode())
    assert body is not None
    rest = {name: value for name, value in document.items() if name != key}
    cut = body.without(key)
    assert cut.value == rest
    assert json.loads(cut.raw) == rest
    assert body.without("no such key") is body


def test_a_key_given_twice() -> None:
    body = Body.read(b'{"a":"1","scr":1,"a":"2","scr":2,"n":1e999}')
    assert body is not None
    assert body.with_strings({("a",): "3"}) == b'{"a":"1","scr":1,"a":"3","scr":2,"n":1e999}'
    assert body.without("scr").raw == b'{"a":"1","a":"2","n":1e999}'


def test_what_is_no_document_is_not_read() -> None:
    for raw in (b"", b"[]", b"1", b"{", b"\xff", b'{"a":}', b'{"a":' * 50_000):
        assert Body.read(raw) is None
