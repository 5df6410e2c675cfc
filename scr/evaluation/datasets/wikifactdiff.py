"""WikiFactDiff (Ammar Khodja et al. 2024) in the multilingual layout of BMIKE-53 (Nie et al. 2025).

::

    {"en": {"subject", "src", "rephrase", "alt", "old", "loc", "loc_ans"}}
"""

from __future__ import annotations

from typing import ClassVar

from scr.evaluation.cases import Case
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record


class WikiFactDiff(Layout):
    """One rephrasing and one neighbour a record; English, or else the record's first language."""

    keys: ClassVar = (frozenset({"en"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        inside = record.child("en" if record.has("en") else next(iter(record.fields), "en"))
        edit = composed(inside.text("src"), inside.text("alt"), inside.optional("subject"), inside.optional("old"))
        found = [
            reliability(edit),
            *questions("generalization", "", [inside.optional("rephrase")], (edit.target,), edit.old),
            *questions("locality", "neighborhood", [inside.optional("loc")], inside.answers("loc_ans")),
        ]
        return Case(record.id, (edit,), tuple(found))
