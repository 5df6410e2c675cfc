"""The two data sets of EREN (Chen et al. 2024): counterfact-hard, with near-misses about the same subject, and FEVER.

::

    {"edit_statement", "subject_name", "edit_scope": [["question", "new answer"], …], "edit_scope_true_ans": […],
     "unrelated": {"neighbor_subj": […], "same_subj": […]}, "unrelated_true_ans": {"neighbor_subj": […], …}}
    {"edit_statement", "edit_scope": [["statement", "yes" | "no"], …], "edit_scope_true_ans": […]}
"""

from __future__ import annotations

from typing import Any, ClassVar

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, questions
from scr.evaluation.datasets.records import Record

_SUBS = {"neighbor_subj": "neighborhood", "same_subj": "same_subject"}


class Eren(Layout):
    """The first question of a scope is the edit's own, the others rephrase it. Records with an empty scope are skipped.

    Old answers and gold answers are aligned with the questions only where there are as many; elsewhere they are not
    known, and questions out of scope measure preservation alone.
    """

    keys: ClassVar = (frozenset({"edit_statement", "edit_scope", "unrelated"}),)

    def case(self, record: Record) -> Case | None:
        """The case of a record."""
        scope = _scope(record)
        if not scope:
            return None
        first = scope[0]
        edit = Edit(
            record.text("edit_statement"), first.prompt, first.answers[0], record.optional("subject_name"), first.old
        )
        return Case(record.id, (edit,), (*scope, *_unrelated(record)))


class Fever(Eren):
    """Statements to judge, put as "Is this true? …"; there are no questions out of scope."""

    keys: ClassVar = (frozenset({"edit_statement", "edit_scope"}),)

    def case(self, record: Record) -> Case | None:
        """The case of a record."""
        found = super().case(record)
        if found is None:
            return None
        asked = [_put(question) for question in found.questions]
        (edit,) = found.edits
        edit = Edit(edit.fact, asked[0].prompt, edit.target, edit.subject, edit.old)
        return Case(found.id, (edit,), tuple(asked))


def _put(question: Question) -> Question:
    return Question(f"Is this true? {question.prompt}", question.kind, question.sub, question.answers, question.old)


def _scope(record: Record) -> list[Question]:
    pairs = [_pair(record, place, one) for place, one in enumerate(record.items("edit_scope"))]
    before: tuple[str | None, ...] = record.texts("edit_scope_true_ans")
    if len(before) != len(pairs):
        before = (None,) * len(pairs)
    found: dict[str, Question] = {}
    for (prompt, answer), old in zip(pairs, before, strict=True):
        kind: Any = "generalization" if found else "reliability"
        found.setdefault(prompt, Question(prompt, kind, "", (answer,), old or None))
    return list(found.values())


def _pair(record: Record, place: int, value: Any) -> tuple[str, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise record.fail(f"edit_scope[{place}]", "has to be a list of a question and its answer")
    pair = Record({"question": value[0], "answer": value[1]}, record.where, record.number, f"edit_scope[{place}].")
    return pair.text("question"), pair.text("answer")


def _unrelated(record: Record) -> list[Question]:
    if not record.has("unrelated"):
        return []
    asked = record.child("unrelated")
    right = record.child("unrelated_true_ans") if record.has("unrelated_true_ans") else None
    found: list[Question] = []
    for key, sub in _SUBS.items():
        prompts = asked.texts(key)
        answers = right.texts(key) if right else ()
        if len(answers) != len(prompts):
            answers = ("",) * len(prompts)
        golden = dict(zip(prompts, answers, strict=True))
        for prompt, answer in golden.items():
            found += questions("locality", sub, [prompt], (answer,) if answer else ())
    return found
