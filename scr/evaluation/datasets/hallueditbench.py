"""HalluEditBench (Huang et al. 2025): edits that correct what a named model has made up; CSV files by topic.

::

    topic,subject,relation,object,question,output_MODEL,eval_MODEL,paraphrased_question,multiple_choice_with_letters,
    multiple_choice_labels,yes_question,no_question,locality_question,reversed_relation_question,
    question_2hop,answer_2hop,…,question_6hop,answer_6hop
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record

MULTIPLE_CHOICE = "multiple_choice"


class HalluEditBench(Layout):
    """Five ways to ask for the edit, chains of two to six hops, and one question about something else.

    That last question has no gold answer. A file is one topic; a folder stands for all of its files.
    """

    keys: ClassVar = (frozenset({"question", "object", "paraphrased_question"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        said = [key for key in record.fields if key.startswith("output_")]
        old = record.optional(said[0]) if said else None
        edit = composed(record.text("question"), record.text("object"), record.optional("subject"), old)
        found = [
            reliability(edit),
            *_reworded(record, edit),
            *_chained(record),
            *questions("locality", "same_subject", [record.optional("locality_question")], ()),
        ]
        return Case(record.id, (edit,), tuple(found))


def _reworded(record: Record, edit: Edit) -> Iterator[Question]:
    def ask(sub: str, prompt: str | None, answers: tuple[str, ...]) -> list[Question]:
        return questions("generalization", sub, [prompt], answers)

    yield from questions(
        "generalization", "rephrase", [record.optional("paraphrased_question")], (edit.target,), edit.old
    )
    letters, label = record.optional("multiple_choice_with_letters"), record.optional("multiple_choice_labels")
    if letters and label:
        yield from ask(MULTIPLE_CHOICE, f"{edit.prompt} {letters}", (label, edit.target))
    yield from ask("yes", record.optional("yes_question"), ("Yes",))
    yield from ask("no", record.optional("no_question"), ("No",))
    if edit.subject:
        yield from ask("reversed_relation", record.optional("reversed_relation_question"), (edit.subject,))


def _chained(record: Record) -> Iterator[Question]:
    for hops in range(2, 7):
        prompt = record.optional(f"question_{hops}hop")
        yield from questions("portability", f"{hops}_hop", [prompt], record.answers(f"answer_{hops}hop"))
