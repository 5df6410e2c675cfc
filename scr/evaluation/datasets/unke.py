"""UnKE (Deng et al. 2025): long, unstructured edits.

::

    {"question", "para_question", "answer", "sub_question": […], "sub_answer": […]}
"""

from __future__ import annotations

from typing import ClassVar

from scr.evaluation.cases import Case
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record


class Unke(Layout):
    """The whole text answers the question and its rephrasing; parts of it answer the sub-questions."""

    keys: ClassVar = (frozenset({"question", "para_question", "answer"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        edit = composed(record.text("question"), record.text("answer"))
        parts, answers = record.texts("sub_question"), record.texts("sub_answer")
        if len(parts) != len(answers):
            raise record.fail("sub_answer", f"has {len(answers)} answers to {len(parts)} sub-questions")
        found = [
            reliability(edit),
            *questions("generalization", "", [record.optional("para_question")], (edit.target,)),
        ]
        for part, answer in zip(parts, answers, strict=True):
            found += questions("portability", "sub_question", [part], (answer,) if answer else ())
        return Case(record.id, (edit,), tuple(found))
