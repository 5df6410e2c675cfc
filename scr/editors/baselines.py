"""The two rows that every table has: the unmodified model, and the unmodified model with the right fact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from scr.context import ContextBuilder
from scr.editors import Asked, Edit, EditReport, Prepared, Traits
from scr.editors.registry import Workbench, refuse_option
from scr.engines import Engine
from scr.facts import DEFAULT_NAMESPACE, Fact


class Bare:
    """The unmodified model on the question as it came."""

    traits: ClassVar[Traits] = Traits("bare", "baseline")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reports: list[EditReport] = []

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Bare:
        """See :func:`scr.editors.registry.open_editor`."""
        refuse_option(cls.traits.name, option)
        return cls(bench.engine)

    def apply(self, edits: Sequence[Edit]) -> Bare:
        """The same model: nothing is applied."""
        del edits
        return self

    add = apply

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question as it came."""
        return [Prepared(one.prompt) for one in asked]

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        return


class Oracle(Bare):
    """The unmodified model, given exactly the record's own facts on what they govern, and nothing on the rest.

    No decision is better; what it still gets wrong is the model's doing.
    """

    traits: ClassVar[Traits] = Traits("oracle", "baseline")

    def __init__(self, engine: Engine, context: ContextBuilder) -> None:
        super().__init__(engine)
        self._context = context

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Oracle:
        """See :func:`scr.editors.registry.open_editor`."""
        refuse_option(cls.traits.name, option)
        return cls(bench.engine, bench.context)

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question in scope with its facts."""
        return [self._prepared(one) if one.in_scope else Prepared(one.prompt) for one in asked]

    def _prepared(self, asked: Asked) -> Prepared:
        return shown_to_model(self._context, asked, [edit.fact for edit in asked.record])


def shown_to_model(context: ContextBuilder, asked: Asked, facts: Sequence[str]) -> Prepared:
    """A question with sentences in its context, by the template that `scr` itself uses."""
    built = context.build(asked.prompt, [_unstored(text, place) for place, text in enumerate(facts, 1)])
    return Prepared(built.prompt, tuple(fact.text for fact in built.shown))


def _unstored(text: str, place: int) -> Fact:
    """A sentence as a fact that no store holds."""
    return Fact(str(place), text, DEFAULT_NAMESPACE, None, None, None, None, None, None, None, datetime.now(UTC))
