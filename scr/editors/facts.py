"""Facts as edits: what a weight editor needs to know of a sentence."""

from __future__ import annotations

import re

from scr.editors import Edit
from scr.errors import EditError
from scr.facts import Fact, NewFact
from scr.scope.conflicts import read_sentence


def as_edit(fact: Fact | NewFact, subject: str | None = None) -> Edit:
    """A fact as prompt and target, from its fields or, where they are left out, from its sentence.

    Args:
        fact: its object is the target; without one, the sentence gives it away ("The capital of France is Lyon.").
        subject: what it is about, if the fact does not say.

    Raises:
        EditError: it cannot be told what the target is, or what the fact is about.
    """
    read = read_sentence(fact.text)
    target = fact.object or (read.object if read else None)
    about = subject or fact.subject or (read.subject if read else None)
    shown = repr(fact.text if len(fact.text) <= 80 else fact.text[:79] + "…")
    if not target:
        raise EditError(
            f'{shown} does not give away its new answer: state it as "object" in a file, or by `scr add --object`'
        )
    if not about:
        raise EditError(
            f'{shown} does not give away what it is about: give --subject, or state it as "subject" in a file, '
            "or by `scr add --subject`"
        )
    prompt = _prompt(fact, target) or (read.prompt if read and read.object == target else None)
    if prompt is None or about not in prompt:
        raise EditError(
            f"{shown} cannot be asked for: write it so that it names {about!r} and ends in {target!r}, or give it a "
            "question that names the first"
        )
    return Edit(fact.text, prompt, target, about)


def _prompt(fact: Fact | NewFact, target: str) -> str | None:
    """The sentence up to its end, if that is the target, or the question that it answers."""
    ending = re.search(rf"\s{re.escape(target)}[\s.!]*$", fact.text)
    return fact.text[: ending.start()] if ending else fact.question
