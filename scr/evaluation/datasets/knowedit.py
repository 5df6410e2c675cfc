"""KnowEdit (Zhang et al. 2024): WikiData_counterfact, WikiData_recent and ZsRE, in the layout of its authors.

::

    {"subject", "prompt", "target_new", "ground_truth"?, "rephrase"? | "rephrase_prompt"?,
     "portability": {"Reasoning": [{"prompt", "ground_truth"}], …}, "locality": {"Forgetfulness": […], …}}

``NAME.sentences.jsonl`` beside ``NAME.json`` gives the facts as sentences, a line ``{"question", "answer",
"sentence"}`` a record, as He, Song and Sun (2025) use them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.layout import Layout, composed, questions, reliability, sub_kind
from scr.evaluation.datasets.reading import read
from scr.evaluation.datasets.records import Record


class KnowEdit(Layout):
    """Each group of portability and locality is a finer kind."""

    keys: ClassVar = (
        frozenset({"prompt", "target_new", "locality"}),
        frozenset({"prompt", "target_new", "portability"}),
    )

    def __init__(self, sentences: Sequence[Record] = ()) -> None:
        self._sentences = sentences

    @classmethod
    def beside(cls, path: Path | None) -> Self:
        """With the file of sentences, where there is one."""
        sentences = path.with_suffix(".sentences.jsonl") if path else None
        return cls(read(sentences) if sentences and sentences.exists() else ())

    def case(self, record: Record) -> Case:
        """The case of a record."""
        old = next(iter(record.answers("ground_truth")), None)
        edit = composed(record.text("prompt"), record.text("target_new"), record.optional("subject"), old)
        if self._sentences:
            edit = Edit(self._sentence(record, edit), edit.prompt, edit.target, edit.subject, edit.old)
        rephrased = [record.optional("rephrase"), record.optional("rephrase_prompt")]
        found = [
            reliability(edit),
            *questions("generalization", "", rephrased, (edit.target,), old),
            *_grouped(record, "portability", old),
            *_grouped(record, "locality", None),
        ]
        return Case(record.id, (edit,), tuple(found))

    def _sentence(self, record: Record, edit: Edit) -> str:
        if record.number > len(self._sentences):
            raise record.fail(
                "prompt", "has no line in the file of sentences beside it: remove that file or complete it"
            )
        line = self._sentences[record.number - 1]
        if (line.text("question"), line.text("answer")) != (edit.prompt, edit.target):
            raise line.fail("question", f"and the answer are not those of {record.where}: align the files")
        return line.text("sentence")


def _grouped(record: Record, kind: Literal["portability", "locality"], old: str | None) -> Iterator[Question]:
    if not record.has(kind):
        return
    groups = record.child(kind)
    for name in groups.fields:
        sub = sub_kind(name)
        for one in groups.children(name):
            # An alias of the subject asks for the edited relation itself; other questions have other old answers.
            before = old if sub == "subject_aliasing" else None
            yield from questions(kind, sub, [one.text("prompt")], one.answers("ground_truth"), before)
