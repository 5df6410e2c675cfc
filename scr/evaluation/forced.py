"""Teacher-forced probabilities of right answers, for the legacy columns.

What is compared, in one rule for every kind of question: the right answer with its rival. In scope the rival is the
answer before the edit. On a neighbour, a question out of scope to which the edit's old answer is the right one, the
rival is the edit's new answer (Meng et al. 2022: P(o*) > P(oᶜ) on the edit and its paraphrases, P(oᶜ) > P(o*) on
neighbours). So an editor has done well wherever ``Forced.target`` is above ``Forced.old``.

Probabilities are those of whole answers, as in the paper's text; its authors' code divides their logarithm by the
number of tokens, which gives the same comparison for answers of equal length.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from scr.editors import Edit, Prepared
from scr.engines import Prompt
from scr.engines.scoring import Scorer
from scr.engines.tokens import content_text
from scr.evaluation.cases import Question
from scr.evaluation.metrics import exact_match, in_unspaced_script, normalise
from scr.evaluation.results import Forced


@dataclass(frozen=True, slots=True)
class Wanted:
    """The answers to a question whose probabilities are wanted.

    Attributes:
        target: the right answer, as the data set words it.
        rival: the answer to compare it with; None where there is none.
    """

    target: str
    rival: str | None = None


def wanted(question: Question, edits: Sequence[Edit]) -> Wanted | None:
    """What to look at for a question of a record; None where no right answer is given.

    Args:
        question: of the record.
        edits: of the record; a neighbour is a neighbour of the first.
    """
    right = next((answer for answer in question.answers if answer.strip()), None)
    if right is None:
        return None
    if question.in_scope:
        return Wanted(right, question.old or None)
    neighbour = bool(edits) and _is_neighbour(question, edits[0])
    return Wanted(right, edits[0].target if neighbour else None)


def _is_neighbour(question: Question, edit: Edit) -> bool:
    """Whether it asks about another subject for which the old answer is true.

    A question about the edit's own subject with the old answer is a defect of its data set, no neighbour.
    """
    if not edit.old or not exact_match(edit.old, question.answers):
        return False
    return not edit.subject or normalise(edit.subject) not in normalise(question.prompt)


def forced(scorer: Scorer, prepared: Sequence[Prepared], answers: Sequence[Wanted | None]) -> list[Forced | None]:
    """Probabilities under an edited model, in the order of the questions.

    Args:
        scorer: the edited model.
        prepared: what it is given for each question.
        answers: of the same questions; None for one to leave out.

    Raises:
        EngineError: it cannot tell probabilities, or a prompt does not fit it.
    """
    pairs: dict[tuple[int, str], tuple[Prompt, str]] = {}
    for place, (one, answer) in enumerate(zip(prepared, answers, strict=True)):
        for text in (answer.target, answer.rival) if answer else ():
            if text:
                pairs[place, text] = _continued(one.prompt, text)
    scored = dict(zip(pairs, scorer.score(list(pairs.values())), strict=True))
    found: list[Forced | None] = []
    for place, answer in enumerate(answers):
        if answer is None:
            found.append(None)
            continue
        target = scored[place, answer.target]
        rival = scored[place, answer.rival].logprob if answer.rival else None
        found.append(Forced(target.accuracy, target.logprob, rival))
    return found


def _continued(prompt: Prompt, target: str) -> tuple[Prompt, str]:
    """A prompt and the text that goes on from it; a chat turn that has not begun goes on with the target alone."""
    if isinstance(prompt, str):
        return _parted(prompt, target)
    if not prompt or prompt[-1].get("role") != "assistant":
        return prompt, target
    begun, rest = _parted(content_text(prompt[-1]), target)
    return [*prompt[:-1], {**prompt[-1], "content": begun}], rest


def _parted(before: str, target: str) -> tuple[str, str]:
    """Two texts with a blank between them, unless there is one or their scripts know none.

    A blank at the end of the first goes over to the second, for tokenizers keep a blank with the word behind it.
    """
    if target[:1].isspace() or not before.rstrip(" "):
        return before, target
    if before.endswith(" "):
        return before.rstrip(" "), f" {target}"
    last, first = before[-1], target[:1]
    wide = in_unspaced_script(last) or unicodedata.east_asian_width(last) in "WF"
    return before, target if last.isspace() or (wide and in_unspaced_script(first)) else f" {target}"
