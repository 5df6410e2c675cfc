"""QAEdit (Yang et al. 2025): edits from Natural Questions, TriviaQA and SimpleQA.

::

    {"prompt", "target", "subject", "rephrase", "locality": [{"loc", "loc_ans"}, …]}
"""

from __future__ import annotations

from typing import ClassVar

from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record


class QaEdit(Layout):
    """One rephrasing and some unrelated questions a record; what a model said before is not given."""

    keys: ClassVar = (frozenset({"prompt", "target", "rephrase", "locality"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        edit = composed(record.text("prompt"), record.text("target"), record.optional("subject"))
        found: list[Question] = [
            reliability(edit),
            *questions("generalization", "", [record.optional("rephrase")], (edit.target,)),
        ]
        for one in record.children("locality"):
            found += questions("locality", "unrelated", [one.text("loc")], one.answers("loc_ans"))
        return Case(record.id, (edit,), tuple(found))
