"""CounterFact (Meng et al. 2022), as its authors publish it and as flat records.

::

    {"requested_rewrite": {"prompt": "… {} …", "subject", "target_new": {"str"}, "target_true": {"str"}},
     "paraphrase_prompts": […], "neighborhood_prompts": […], "generation_prompts": […]}
    {"prompt", "subject", "target_new", "ground_truth", "rephrase_prompt", "locality_prompt", "locality_ground_truth"}
"""

from __future__ import annotations

from typing import ClassVar

from scr.evaluation.cases import Case
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability
from scr.evaluation.datasets.records import Record

GENERATION_PROMPT = "generation_prompt"
"""Finer kind of the flat layout's rephrasings: most are prompts for free text, a foreign sentence before them."""


class CounterFact(Layout):
    """Both layouts; a record shows which it is.

    Neighbours share relation and old answer with the edit, not the subject. ``attribute_prompts`` are left out: what
    they ask is true of the new answer already, and no published score uses them.
    """

    keys: ClassVar = (
        frozenset({"requested_rewrite", "paraphrase_prompts", "neighborhood_prompts"}),
        frozenset({"prompt", "target_new", "locality_prompt"}),
    )

    def case(self, record: Record) -> Case:
        """The case of a record."""
        return self._published(record) if record.has("requested_rewrite") else self._flat(record)

    def _published(self, record: Record) -> Case:
        rewrite = record.child("requested_rewrite")
        subject, old = rewrite.text("subject"), rewrite.child("target_true").text("str")
        # Not str.format: the template is somebody else's.
        prompt = rewrite.text("prompt").replace("{}", subject)
        edit = composed(prompt, rewrite.child("target_new").text("str"), subject, old)
        found = [
            reliability(edit),
            *questions("generalization", "", record.texts("paraphrase_prompts"), (edit.target,), old),
            *questions("locality", "neighborhood", record.texts("neighborhood_prompts"), (old,)),
        ]
        generations = tuple(text for text in record.texts("generation_prompts") if text)
        return Case(record.id, (edit,), tuple(found), generations)

    def _flat(self, record: Record) -> Case:
        old = record.text("ground_truth")
        edit = composed(record.text("prompt"), record.text("target_new"), record.optional("subject"), old)
        rephrased, near = record.optional("rephrase_prompt"), record.optional("locality_prompt")
        found = [
            reliability(edit),
            *questions("generalization", GENERATION_PROMPT, [rephrased], (edit.target,), old),
            *questions("locality", "neighborhood", [near], record.answers("locality_ground_truth")),
        ]
        return Case(record.id, (edit,), tuple(found))
