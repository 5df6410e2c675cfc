"""zsRE (Levy et al. 2017) as Mitchell et al. (2022) prepared it for MEND.

::

    {"subject", "src", "alt", "rephrase", "loc", "loc_ans", "answers"?: […], "pred"?}
"""

from __future__ import annotations

from typing import ClassVar

from scr.evaluation.cases import Case
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record

_MARK = "nq question: "


class ZsreMend(Layout):
    """One rephrasing and one unrelated question a record.

    That question is from Natural Questions and begins with ``nq question:``, a mark for the T5 models of the time; it
    is taken off, for it is no part of what is asked.
    """

    keys: ClassVar = (frozenset({"src", "alt", "loc"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        old = next(iter(record.answers("answers", "pred")), None)
        edit = composed(record.text("src"), record.text("alt"), record.optional("subject"), old)
        unrelated = (record.optional("loc") or "").removeprefix(_MARK)
        found = [
            reliability(edit),
            *questions("generalization", "", [record.optional("rephrase")], (edit.target,), old),
            *questions("locality", "unrelated", [unrelated], record.answers("loc_ans")),
        ]
        return Case(record.id, (edit,), tuple(found))
