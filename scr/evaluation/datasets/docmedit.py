"""DocMEdit (Zeng et al. 2025): facts that change a whole article.

::

    {"title": ["…"], "normalized_inputs": "the article", "normalized_targets": "the article afterwards",
     "evidence": ["a fact", …], "r_evidence"?: ["a fact", …]}
"""

from __future__ import annotations

from typing import ClassVar

from scr.editors import Edit
from scr.evaluation.cases import Case
from scr.evaluation.datasets.layout import Layout, reliability
from scr.evaluation.datasets.records import Record


class DocMedit(Layout):
    """An edit of each fact, all with one prompt: to bring the article up to date. There is nothing else to ask.

    ``r_evidence`` goes before ``evidence``: those are the facts that bear on the change.
    """

    keys: ClassVar = (frozenset({"normalized_inputs", "normalized_targets", "evidence"}),)

    def case(self, record: Record) -> Case:
        """The case of a record."""
        before, after = record.text("normalized_inputs"), record.text("normalized_targets")
        title = next(iter(record.answers("title")), "").replace("_", " ") or None
        about = f" about {title}" if title else ""
        prompt = f"Bring this article{about} up to date. Answer with the whole article.\n\n{before}"
        facts = record.answers("r_evidence") or record.answers("evidence")
        if not facts:
            raise record.fail("evidence", "is missing or empty")
        edits = tuple(Edit(fact, prompt, after, title, before) for fact in facts)
        return Case(record.id, edits, (reliability(edits[0]),))
