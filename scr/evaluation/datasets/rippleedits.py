"""RippleEdits (Cohen et al. 2023), as its authors publish it and in the layout of MQuAKE.

::

    {"example_type", "edit": {"prompt": "The mother tongue of Ann is French.", "previous_fact"?: {"prompt"}},
     "Relation_Specificity": [{"test_queries": [{"prompt", "answers": [{"value", "aliases": […]}]}]}], …}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from scr.editors import Edit
from scr.evaluation.cases import Case, Kind, Question
from scr.evaluation.datasets.layout import Layout, questions, reliability, sub_kind
from scr.evaluation.datasets.mquake import Mquake
from scr.evaluation.datasets.records import Record

_GROUPS: dict[str, Kind] = {
    "Logical_Generalization": "portability",
    "Subject_Aliasing": "portability",
    "Compositionality_I": "portability",
    "Compositionality_II": "portability",
    "Relation_Specificity": "locality",
    "Forgetfulness": "locality",
}
# Where the templates of the data set's relations end: "The capital of X is", "X follows", "X is followed by".
_END = re.compile(r"\b(?:is followed by|follows|is|are)\s")


class RippleEdits(Layout):
    """Each of the six criteria is a finer kind; each test query is a question."""

    keys: ClassVar = (frozenset({"edit", "Compositionality_I"}), frozenset({"edit", "Logical_Generalization"}))

    def case(self, record: Record) -> Case:
        """The case of a record."""
        if record.has("requested_rewrite"):
            return Mquake().case(record)
        grouped = [(name, one) for name in _GROUPS for one in _queries(record, name)]
        edit = _edit(record.child("edit"), {text for _, one in grouped for text in _answers(one)})
        found: list[Question] = [reliability(edit)]
        for name, one in grouped:
            old = edit.old if name == "Subject_Aliasing" else None
            found += questions(_GROUPS[name], sub_kind(name), [one.text("prompt")], _answers(one), old)
        return Case(record.id, (edit,), tuple(found))


def _queries(record: Record, name: str) -> Iterator[Record]:
    for test in record.children(name):
        yield from test.children("test_queries")


def _answers(query: Record) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for one in query.children("answers") for text in one.answers("value", "aliases")))


def _edit(edit: Record, answers: set[str]) -> Edit:
    """The edit is published as a sentence alone: prompt and target are where the relation's template ends in it."""
    fact = edit.text("prompt")
    previous = edit.child("previous_fact").text("prompt").removesuffix(".") if edit.has("previous_fact") else ""
    body = fact.removesuffix(".")
    ends = [match.end() for match in _END.finditer(body)]
    if not ends or ends[-1] == len(body):
        raise edit.fail("prompt", 'has to be a sentence such as "The capital of Nilo is Ann."')
    # Names hold such words too: best is an end that a known answer follows, then one that the fact before shares.
    known = [end for end in ends if body[end:] in answers]
    shared = [end for end in ends if previous.startswith(body[:end])]
    end = (known or shared or ends)[-1]
    old = previous[end:].strip() if previous.startswith(body[:end]) else None
    return Edit(fact, body[:end].strip(), body[end:].strip(), None, old or None)
