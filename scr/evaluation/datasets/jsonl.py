"""A user's own data set.

::

    {"id"?, "fact", "prompt", "target", "subject"?, "old"?,
     "questions": [{"prompt", "kind", "sub"?, "answers": […], "old"?}]}
"""

from __future__ import annotations

import re
from typing import ClassVar, get_args

from scr.editors import Edit
from scr.evaluation.cases import Case, Kind, Question
from scr.evaluation.datasets.layout import Layout, reliability, sub_kind
from scr.evaluation.datasets.records import Record

_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Jsonl(Layout):
    """An edit a line. Its own prompt is always asked first, whether or not it is among the questions.

    A rephrasing without answers is to be answered by the target. Only questions out of scope may have none: then they
    measure preservation alone.
    """

    keys: ClassVar = (frozenset({"fact", "prompt", "target"}),)

    def case(self, record: Record) -> Case:
        """The case of a line."""
        name = record.optional("id")
        if name and not _ID.fullmatch(name):
            raise record.fail("id", "names a file: up to 100 letters, digits, dots, hyphens and underscores")
        target, old = record.text("target"), record.optional("old")
        edit = Edit(record.text("fact"), record.text("prompt"), target, record.optional("subject"), old)
        found = [_question(one, edit) for one in record.children("questions")]
        own = next((one for one in found if one.kind == "reliability" and one.prompt == edit.prompt), None)
        rest = [one for one in found if one is not own]
        return Case(name or record.id, (edit,), (own or reliability(edit), *rest))


def _question(one: Record, edit: Edit) -> Question:
    kind = _KINDS.get(one.text("kind"))
    if kind is None:
        raise one.fail("kind", f"has to be one of {', '.join(_KINDS)}")
    answers, old = one.answers("answers"), one.optional("old")
    if not answers and kind in ("reliability", "generalization"):
        answers, old = (edit.target,), old or edit.old
    if not answers and kind == "portability":
        raise one.fail("answers", "is missing or empty")
    return Question(one.text("prompt"), kind, sub_kind(one.optional("sub") or ""), answers, old)
