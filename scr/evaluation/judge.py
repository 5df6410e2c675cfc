"""A language model as the judge of answers: optional, strict, and never a point for what it did not say.

Wording and reading are one contract: the order is fixed (A is correct, B is incorrect), one letter is asked for, and a
reply that is anything but that letter, with or without its word, is an error. So "INCORRECT" is never read as the
"CORRECT" within it, and a judge that rambles does not count as one that agrees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scr.engines import Completion, Engine, Message, Outcome, Sampling
from scr.shipped import shipped
from scr.templates import load_template, tag_for

if TYPE_CHECKING:
    from jinja2 import Template

SAMPLING = Sampling(max_tokens=12)
"""Room for "A: CORRECT" in any tokenizer; what goes on beyond it is no verdict."""

_VERDICT = re.compile(r"""["'`*(\[\s]*(?:(?P<right>A)(?:\W+CORRECT)?|(?P<wrong>B)(?:\W+INCORRECT)?)["'`*)\].\s]*""")
_QUOTED = 200


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to judge.

    Attributes:
        question: what was asked.
        right: the answers that count as right.
        answer: what was said.
    """

    question: str
    right: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge made of an answer.

    Attributes:
        correct: its verdict; None where there is none.
        said: its own words.
        error: why there is no verdict; None where there is one.
    """

    correct: bool | None
    said: str = ""
    error: str | None = None

    @property
    def point(self) -> bool:
        """Whether the answer scores; never without a verdict."""
        return self.correct is True


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a judge and exact match agree, over the answers that have a verdict.

    Attributes:
        n: how many have one.
        errors: how many have none.
        share: of the same verdict; None over nothing.
        kappa: Cohen's, which takes off what agrees by chance (Cohen 1960); None where both always say the same one
            thing, or over nothing.
    """

    n: int
    errors: int
    share: float | None
    kappa: float | None


def judge(engine: Engine, items: Iterable[Item]) -> list[Verdict]:
    """Ask a language model about each answer, in their order; a question that fails is an error among the verdicts."""
    template = load_template("judge", [shipped("prompts")])
    prompts = [_prompt(template, item) for item in items]
    verdicts = {place: _verdict(outcome) for place, outcome in engine.generate_each(prompts, SAMPLING)}
    return [verdicts[place] for place in range(len(prompts))]


def _prompt(template: Template, item: Item) -> list[Message]:
    tag = tag_for([item.question, *item.right, item.answer])
    text = template.render(question=item.question, right=item.right, answer=item.answer, tag=tag)
    return [{"role": "user", "content": text}]


def _verdict(outcome: Outcome) -> Verdict:
    if not isinstance(outcome, Completion):
        return Verdict(None, error=str(outcome))
    correct = read_verdict(outcome.text)
    if correct is None:
        said = " ".join(outcome.text.split())
        shown = said if len(said) <= _QUOTED else f"{said[: _QUOTED - 1]}…"
        return Verdict(None, outcome.text, f"the judge said neither A nor B but {shown!r}: choose a larger judge")
    return Verdict(correct, outcome.text)


def read_verdict(said: str) -> bool | None:
    """True for A, False for B, None for anything else."""
    found = _VERDICT.fullmatch(said)
    return None if found is None else found["right"] is not None


def agreement(verdicts: Sequence[Verdict], exact: Sequence[bool]) -> Agreement:
    """How a judge agrees with exact match on the same answers.

    Raises:
        ValueError: they are not of the same number of answers.
    """
    pairs = [(one.correct, match) for one, match in zip(verdicts, exact, strict=True) if one.correct is not None]
    n, errors = len(pairs), len(verdicts) - len(pairs)
    if not n:
        return Agreement(0, errors, None, None)
    share = sum(said == match for said, match in pairs) / n
    said, matched = sum(said for said, _ in pairs) / n, sum(match for _, match in pairs) / n
    chance = said * matched + (1 - said) * (1 - matched)
    return Agreement(n, errors, share, None if chance == 1 else (share - chance) / (1 - chance))
