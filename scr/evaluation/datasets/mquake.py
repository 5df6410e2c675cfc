"""MQuAKE (Zhong et al. 2023): CF, T and hard, and the corrected MQuAKE-Remastered (Zhong et al. 2025).

::

    {"requested_rewrite": [{"prompt": "… {} …", "subject", "question", "target_new": {"str"}, "target_true": {"str"}}],
     "questions": […], "answer", "new_answer", "new_answer_alias": […],
     "new_single_hops": [{"question", "cloze", "answer", "answer_alias": […]}]}

MQuAKE-Remastered has ``target_new_str`` and ``target_true_str`` instead of the objects.
"""

from __future__ import annotations

from typing import ClassVar

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record


class Mquake(Layout):
    """Several edits a record, and questions that need a chain of facts.

    Reliability is each edit as a statement to complete, generalization the same as a question, portability the chain.
    """

    keys: ClassVar = (frozenset({"requested_rewrite", "questions", "new_answer"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        rewrites = record.children("requested_rewrite")
        if not rewrites:
            raise record.fail("requested_rewrite", "is missing or empty")
        edits = [_edit(rewrite) for rewrite in rewrites]
        aliases = {
            (hop.optional("cloze") or "", hop.optional("answer")): hop.answers("answer_alias")
            for hop in record.children("new_single_hops")
        }
        asked: list[Question] = []
        reworded: list[Question] = []
        for edit, rewrite in zip(edits, rewrites, strict=True):
            right = reliability(edit, aliases.get((edit.prompt, edit.target), ()))
            asked.append(right)
            reworded += questions("generalization", "", [rewrite.optional("question")], right.answers, edit.old)
        chain = questions(
            "portability",
            "multi_hop",
            record.texts("questions"),
            record.answers("new_answer", "new_answer_alias"),
            record.optional("answer"),
        )
        return Case(record.id, tuple(edits), (*asked, *reworded, *chain))


def _edit(rewrite: Record) -> Edit:
    subject = rewrite.text("subject")
    # Some subjects stand between two spaces in RippleEdits' templates.
    prompt = " ".join(rewrite.text("prompt").replace("{}", subject).split())
    target = rewrite.optional("target_new_str") or rewrite.child("target_new").text("str")
    old = rewrite.optional("target_true_str")
    if old is None and rewrite.has("target_true"):
        old = rewrite.child("target_true").optional("str")
    return composed(prompt, target, subject, old)
