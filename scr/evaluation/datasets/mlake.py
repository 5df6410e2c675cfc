"""MLaKE (Wei et al. 2025): single-hop edits in five languages, and multi-hop questions about them.

::

    single_hop/qa/en_qa.json         {"question", "e_prompt", "e_answer", "e_answer_aliases", "o_prompt", "o_answer", …}
    multi_hop/qa/new_en_qa.json      {"question", "e_prompt", "e_answer", "e_answer_aliases", "o_answer"?}
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, questions, reliability
from scr.evaluation.datasets.reading import read
from scr.evaluation.datasets.records import Record


class Mlake(Layout):
    """A file of single hops, with the multi-hop questions of the same language where the repository lies around it.

    Both files give the new fact as the same sentence, and it joins them.
    """

    keys: ClassVar = (frozenset({"question", "e_prompt", "e_answer", "o_prompt"}),)

    def __init__(self, chains: Iterable[Record] = ()) -> None:
        self._chains: defaultdict[str, list[Record]] = defaultdict(list)
        for one in chains:
            self._chains[one.text("e_prompt")].append(one)

    @classmethod
    def beside(cls, path: Path | None) -> Self:
        """With the multi-hop questions, where they are."""
        chains = path.absolute().parents[2] / "multi_hop" / "qa" / f"new_{path.name}" if path else None
        return cls(read(chains) if chains and chains.exists() else ())

    def case(self, record: Record) -> Case:
        """The case of a record."""
        if not record.has("o_prompt"):
            raise record.fail("o_prompt", "is missing: give the file of single hops, which finds the multi-hop one")
        fact, old = record.text("e_prompt"), record.optional("o_answer")
        edit = Edit(fact, record.text("question"), record.text("e_answer"), None, old)
        found: list[Question] = [reliability(edit, record.answers("e_answer_aliases"))]
        for one in self._chains.get(fact, ()):
            answers = one.answers("e_answer", "e_answer_aliases")
            found += questions("portability", "multi_hop", [one.text("question")], answers, one.optional("o_answer"))
        return Case(record.id, (edit,), tuple(found))
