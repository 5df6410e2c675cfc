"""Facts as edits: what a weight editor needs to know of a sentence."""

from __future__ import annotations

import re

from scr.editors import Edit
from scr.errors import EditError
from scr.facts import Fact, NewFact
from scr.scope.conflicts import read_sentence


def as_edit(fact: Fact | NewFact, subject: str | None = None, *, needed: bool = True) -> Edit:
    """A fact as prompt and target, from its fields or, where they are left out, from its sentence.

    Args:
        fact: its object is the target; without one, the sentence gives it away ("The capital of France is Lyon.").
        subject: what it is about, if the fact's own field does not say; it counts where it stands in the prompt.
        needed: whether the method needs the subject; an edit without one is else let be.

    Raises:
        EditError: it cannot be told what the target is, or what the fact is about.
    """
    read = read_sentence(fact.text)
    target = fact.object or (read.object if read else None)
    named = [fact.subject] if fact.subject else [subject, read.subject if read else None]
    said = [one for one in named if one]
    shown = repr(fact.text if len(fact.text) <= 80 else fact.text[:79] + "…")
    if not target:
        raise EditError(
            f'{shown} does not give away its new answer: state it as "object" in a file, or by `scr add --object`'
        )
    if needed and not said:
        raise EditError(
            f'{shown} does not give away what it is about: give --subject, or state it as "subject" in a file, '
            "or by `scr add --subject`"
        )
    prompt = _prompt(fact, target) or (read.prompt if read and read.object == target else None)
    about = next((one for one in said if prompt and one in prompt), None)
    if prompt is None or (needed and about is None):
        wanted, question = f"ends in {target!r}", "question"
        if needed:
            wanted, question = f"names {said[0]!r} and {wanted}", "question that names the first"
        raise EditError(f"{shown} cannot be asked for: write it so that it {wanted}, or give it a {question}")
    return Edit(fact.text, prompt, target, about)


def _prompt(fact: Fact | NewFact, target: str) -> str | None:
    """The sentence up to its end, if that is the target, or the question that it answers."""
    ending = re.search(rf"\s{re.escape(target)}[\s.!]*$", fact.text)
    return fact.text[: ending.start()] if ending else fact.question
