"""What a layout of data sets is, and what several of them need: fact sentences and questions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from scr.editors import Edit
from scr.evaluation.cases import Case, Kind, Question
from scr.evaluation.datasets.records import Record


class Layout:
    """How the records of one family of data sets become cases.

    Attributes:
        keys: sets of keys; a record that has all of one set is of this layout.
    """

    keys: ClassVar[tuple[frozenset[str], ...]]

    @classmethod
    def beside(cls, path: Path | None) -> Self:
        """With what lies beside the file; None for records that come from no file.

        Raises:
            UsageError: what lies there is damaged.
        """
        del path
        return cls()

    def case(self, record: Record) -> Case | None:
        """The case of a record; None if it asks nothing about its own edit.

        Raises:
            UsageError: a key is missing, or holds something else than it should.
        """
        raise NotImplementedError


def sentence(prompt: str, target: str) -> str:
    """A fact's sentence where the data set has none: the prompt, the target and a full stop.

    A question becomes "Who wrote Nilo? Ann Lee.", which the reader of a context takes as well as a statement.
    """
    text = f"{prompt} {target}"
    return text if text.endswith((".", "!", "?", "。")) else f"{text}."


def composed(prompt: str, target: str, subject: str | None = None, old: str | None = None) -> Edit:
    """An edit whose sentence is made of its prompt and target."""
    return Edit(sentence(prompt, target), prompt, target, subject, old)


def reliability(edit: Edit, aliases: Iterable[str] = ()) -> Question:
    """The question that every case begins with: the edit's own prompt."""
    return Question(edit.prompt, "reliability", "", tuple(dict.fromkeys((edit.target, *aliases))), edit.old)


def questions(
    kind: Kind, sub: str, prompts: Iterable[str | None], answers: tuple[str, ...], old: str | None = None
) -> list[Question]:
    """A question of each prompt that is there, each once; none in scope where nothing is known to be right."""
    if kind != "locality" and not answers:
        return []
    return [Question(prompt, kind, sub, answers, old) for prompt in dict.fromkeys(prompts) if prompt]


def sub_kind(name: str) -> str:
    """A name as a finer kind: ``Relation_Specificity`` → ``relation_specificity``."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
