"""Editors: every way to change what a model says, behind one interface.

An editor takes edits and gives back an *edited* model: for each question, what the model is to be given, and the model
that is to be given it. Methods in context change the first and leave the model alone; weight editors change the second
and leave the question alone. Nothing else tells them apart, so that one runner scores them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from scr.engines import Engine, Prompt

Family: TypeAlias = Literal["baseline", "context", "weights", "memory"]
"""``baseline``: a row to compare with; ``context``: the prompt is changed; ``weights``: the parameters are;
``memory``: modules are added beside them."""

Need: TypeAlias = Literal["subject", "statistics", "training"]
"""What a method needs beyond the edit: its subject, second moments of the model's keys, or a training run."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of knowledge, in the words of the field.

    Attributes:
        fact: the new knowledge as a sentence ("The mother tongue of Danielle Darrieux is English.").
        prompt: what is continued or answered by the target ("The mother tongue of Danielle Darrieux is").
        target: the new answer ("English").
        subject: what it is about, as it stands in the prompt ("Danielle Darrieux"); None if unknown.
        old: the answer before the edit ("French"); None if unknown.
    """

    fact: str
    prompt: str
    target: str
    subject: str | None = None
    old: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that an edited model is to answer.

    Attributes:
        prompt: as the user puts it.
        record: the edits of the record that the question belongs to. Only methods that are defined by knowing them
            (the oracle, in-context editing as published) may look.
        in_scope: whether these edits govern it; for the oracle alone.
    """

    prompt: Prompt
    record: tuple[Edit, ...] = ()
    in_scope: bool = False


@dataclass(frozen=True, slots=True)
class Considered:
    """A fact that was weighed for a question.

    Attributes:
        fact: its text.
        score: what the method made of it, higher is likelier to apply.
        threshold: least score at which it applies.
        applies: whether the model sees it.
    """

    fact: str
    score: float
    threshold: float
    applies: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the model is given for a question.

    Attributes:
        prompt: the very object that was asked if nothing was changed.
        shown: texts of the facts in it, in their order.
        considered: the facts that were weighed, where the method weighs any.
        calls: calls of a language model that it took to get here.
    """

    prompt: Prompt
    shown: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()
    calls: int = 0


@dataclass(frozen=True, slots=True)
class EditReport:
    """What applying edits took.

    Attributes:
        edits: how many.
        seconds: wall clock.
        peak_bytes: most memory that was held beyond the model's, where it was measured.
        changed: relative change ‖ΔW‖/‖W‖ by parameter; empty where no parameter changes.
        prepared: seconds before the first edit, once for a model and not in `seconds`: contexts, statistics.
    """

    edits: int
    seconds: float
    peak_bytes: int | None = None
    changed: dict[str, float] = field(default_factory=dict)
    prepared: float = 0.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What a method is and needs; asked for instead of its name.

    Attributes:
        name: lower case, as on the command line.
        family: where it acts.
        paper: authors, year and title; empty for a baseline.
        needs: what it needs beyond the edit.
        batch: whether it takes several edits at once.
        sequential: whether it takes further edits on top of earlier ones.
        resumable: whether it also takes them on top of edits that were saved (:class:`Resumable`).
    """

    name: str
    family: Family
    paper: str = ""
    needs: tuple[Need, ...] = ()
    batch: bool = True
    sequential: bool = True
    resumable: bool = False

    @property
    def changes_weights(self) -> bool:
        """Whether the model itself is another one after an edit."""
        return self.family in ("weights", "memory")


class Edited(Protocol):
    """A model with edits; leaving it as a context manager takes them all back, exactly."""

    @property
    def engine(self) -> Engine:
        """The model that is to be given what :meth:`prepare` returns."""
        ...

    @property
    def reports(self) -> Sequence[EditReport]:
        """What each application took, in order."""
        ...

    def add(self, edits: Sequence[Edit]) -> None:
        """Apply further edits on top of the earlier ones.

        Raises:
            EditError: one of them cannot be applied; nothing has changed then.
        """
        ...

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """What the model is to be given for each question, in their order."""
        ...

    def __enter__(self) -> Edited: ...

    def __exit__(self, *exception: object) -> None: ...


@runtime_checkable
class Exportable(Protocol):
    """An edited model that can be kept as a model of its own."""

    def export(self, folder: Path) -> None:
        """Write it as a Hugging Face folder.

        Raises:
            EditError: the folder is in use, or cannot be written.
        """
        ...


@runtime_checkable
class Savable(Protocol):
    """An edited model whose changes can be kept alone."""

    def save(self, path: Path) -> None:
        """Write what was added to the weights.

        Raises:
            EditError: it cannot be written.
        """
        ...


@runtime_checkable
class Resumable(Protocol):
    """An editor that goes on from edits which were saved; it says so in its traits."""

    def resume(self, path: Path) -> Edited:
        """The model with edits that this method saved, to which further ones can be added.

        Raises:
            EditError: there is no such file, or its edits are another model's, another method's, or of other tensors.
        """
        ...


class Editor(Protocol):
    """A way to change what a model says."""

    traits: ClassVar[Traits]

    def apply(self, edits: Sequence[Edit]) -> Edited:
        """The model with these edits; until it is left, no other edits of this editor's are to be applied.

        Raises:
            EditError: one of them cannot be applied; nothing has changed then.
        """
        ...
