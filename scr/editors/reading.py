"""Methods in which the language model itself reads what was retrieved, and says whether it matters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from scr.context import ContextBuilder
from scr.editors import Asked, Considered, Edit, Prepared, Traits
from scr.editors.baselines import Bare, shown_to_model
from scr.editors.registry import Workbench, refuse_option
from scr.editors.retrieval import Everything, Stored
from scr.engines import Engine, Prompt, Sampling
from scr.errors import UsageError
from scr.templates import filled, load_template, tag_for

if TYPE_CHECKING:
    from jinja2 import Template

_RETRIEVED = 5
_NOTHING = re.compile(r"\bno (relevant|matching|such) fact|\bnone of\b|\bno fact\b", re.IGNORECASE)
_UNANSWERABLE = re.compile(r"unanswerable|not (?:be )?answerable|cannot be answered", re.IGNORECASE)


class Ike(Bare):
    """In-context editing: demonstrations and the record's own fact before every question, in scope or not.

    As published, the method is told which edit a question belongs to; what it has to tell by itself, from
    demonstrations of copying, updating and retaining, is whether the edit matters. The demonstrations are the same
    for every question (the paper takes the nearest of a training corpus), so that a server keeps their prefix.
    """

    traits: ClassVar[Traits] = Traits(
        "ike", "context", "Zheng et al. 2023, Can We Edit Factual Knowledge by In-Context Learning?"
    )

    def __init__(self, engine: Engine, context: ContextBuilder) -> None:
        super().__init__(engine)
        self._context = context

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Ike:
        """See :func:`scr.editors.registry.open_editor`."""
        refuse_option(cls.traits.name, option)
        return cls(bench.engine, bench.context)

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question after the demonstrations and the facts of its record.

        Raises:
            UsageError: the template cannot be used.
        """
        template = load_template("ike", self._context.folders)
        facts = [[edit.fact for edit in one.record] for one in asked]
        return [
            Prepared(_demonstrated(template, one.prompt, shown), tuple(shown))
            for one, shown in zip(asked, facts, strict=True)
        ]


class _Reader(Stored):
    """Retrieves facts, asks the model about them, and prepares the question by what it says."""

    template: ClassVar[str]
    longest: ClassVar[int]

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question by what the model says to the facts that were retrieved for it.

        Raises:
            UsageError: the template cannot be used.
        """
        found = super().prepare(asked)
        template = load_template(self.template, self.pipeline.context.folders)
        prompts = [
            _asking(template, one.prompt, before.shown) if before.shown else one.prompt
            for one, before in zip(asked, found, strict=True)
        ]
        places = [place for place, before in enumerate(found) if before.shown]
        said = self.engine.generate([prompts[place] for place in places], Sampling(max_tokens=self.longest))
        answers = dict(zip(places, (completion.text for completion in said), strict=True))
        return [
            self._by(one, prompt, before, answers[place]) if place in answers else Prepared(one.prompt)
            for place, (one, prompt, before) in enumerate(zip(asked, prompts, found, strict=True))
        ]

    def _by(self, asked: Asked, prompt: Prompt, found: Prepared, said: str) -> Prepared:
        raise NotImplementedError


class _Confirming(_Reader):
    template = "scr-2025"
    longest = 64

    def _by(self, asked: Asked, prompt: Prompt, found: Prepared, said: str) -> Prepared:
        del prompt
        words = said.strip()
        if not words or _NOTHING.search(words):
            return Prepared(asked.prompt, considered=_none_of(found), calls=1)
        stated = [one.fact for one in found.considered if one.fact in words] or [words.splitlines()[0]]
        shown = shown_to_model(self.pipeline.context, asked, stated[:1])
        considered = tuple(
            Considered(one.fact, one.score, one.threshold, one.fact in shown.shown) for one in found.considered
        )
        return Prepared(shown.prompt, shown.shown, considered, calls=1)


class Scr2025:
    """Selective contextual reasoning as published: retrieve, have the model confirm a fact, answer from what it said.

    What the model says is what is shown to it, be it the fact or its own words.
    """

    traits: ClassVar[Traits] = Traits(
        "scr-2025",
        "context",
        "He, Song and Sun 2025, Knowledge Updating? No More Model Editing! Just Selective Contextual Reasoning",
    )

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Scr2025:
        """See :func:`scr.editors.registry.open_editor`."""
        refuse_option(cls.traits.name, option)
        return cls(bench)

    def apply(self, edits: Sequence[Edit]) -> Stored:
        """A store with these edits in it."""
        return _Confirming.holding(edits, self._bench, Everything(), _RETRIEVED)


class _Comprehending(_Reader):
    template = "eren"
    longest = 32

    def _by(self, asked: Asked, prompt: Prompt, found: Prepared, said: str) -> Prepared:
        if not said.strip() or _UNANSWERABLE.search(said):
            return Prepared(asked.prompt, considered=_none_of(found), calls=1)
        # The answer that counts is the one to this very prompt, so that no further call is made for it.
        return Prepared(prompt, found.shown, found.considered)


class Eren:
    """EREN: the model reads the notes as in reading comprehension, and falls back to itself on "unanswerable"."""

    traits: ClassVar[Traits] = Traits(
        "eren", "context", "Chen et al. 2024, Robust and Scalable Model Editing for Large Language Models"
    )

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Eren:
        """See :func:`scr.editors.registry.open_editor`."""
        refuse_option(cls.traits.name, option)
        return cls(bench)

    def apply(self, edits: Sequence[Edit]) -> Stored:
        """A store with these edits in it."""
        return _Comprehending.holding(edits, self._bench, Everything(), _RETRIEVED)


def _none_of(found: Prepared) -> tuple[Considered, ...]:
    return tuple(Considered(one.fact, one.score, one.threshold, False) for one in found.considered)


def _rendered(template: Template, query: str, facts: Sequence[str], **more: Any) -> str:
    promised = [("the question", query), *((f"the fact {fact[:60]!r}", fact) for fact in facts)]
    return filled(template, promised, query=query, facts=facts, **more)


def _asking(template: Template, prompt: Prompt, facts: Sequence[str]) -> Prompt:
    """The template with question and facts in it, in place of the question: in the last turn, or as the text."""
    query = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
    text = _rendered(template, query, facts, tag=tag_for([query, *facts]), completion=isinstance(prompt, str))
    return text if isinstance(prompt, str) else [*prompt[:-1], {**prompt[-1], "content": text}]


def _demonstrated(template: Template, prompt: Prompt, facts: Sequence[str]) -> Prompt:
    """The question after demonstrations: earlier turns of a chat, or earlier paragraphs of a text."""
    shots = _rendered(template, "", ()).rpartition("\n\n")[0]
    pairs = [shot.split("\nAnswer: ") for shot in shots.split("\n\n")] if shots else []
    if any(len(pair) != 2 for pair in pairs):
        raise UsageError(
            f"the template {template.filename} is not understood: every demonstration is a paragraph of its own, with "
            "its answer in the last line, behind 'Answer: '"
        )
    query = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
    last = _rendered(template, query, facts)[len(shots) :].lstrip("\n")
    if isinstance(prompt, str):
        return "\n\n".join([*(f"{asked} {answer}" for asked, answer in pairs), last])
    turns = [(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]
    return [
        *prompt[:-1],
        *({"role": role, "content": text} for role, text in turns),
        {**prompt[-1], "content": last},
    ]
