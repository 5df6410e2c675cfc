"""Cases: records of a data set, each with its edits and the questions that measure them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from scr.editors import Edit

Kind: TypeAlias = Literal["reliability", "generalization", "portability", "locality"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what is right for it.

    Attributes:
        prompt: a question, or a text to go on with.
        kind: which promise of an edit it measures.
        sub: finer kind in lower case with underscores ("subject_aliasing", "forgetfulness"); empty for none.
        answers: every answer that counts as right, the first as the data set words it; empty where only
            preservation can be measured.
        old: the answer that was right before the edit, for P(new) > P(old); None where it is not given.
    """

    prompt: str
    kind: Kind
    sub: str
    answers: tuple[str, ...]
    old: str | None = None

    @property
    def in_scope(self) -> bool:
        """Whether the edits of its record govern it."""
        return self.kind != "locality"


@dataclass(frozen=True, slots=True)
class Case:
    """One record.

    Attributes:
        id: unique in its data set, and good as a file's name.
        edits: what is changed; several for a chain of facts.
        questions: what is asked then; the first is the first edit's own prompt.
        generations: prompts for free text, whose entropy measures fluency; most data sets have none.
    """

    id: str
    edits: tuple[Edit, ...]
    questions: tuple[Question, ...]
    generations: tuple[str, ...] = ()
