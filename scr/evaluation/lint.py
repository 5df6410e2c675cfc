"""What is wrong with a data set: questions that no right system can answer, and some to be read with care.

A *defect* takes a question out of the clean scores; a *notice* is listed and takes nothing out. Texts are compared
without capitals, punctuation and spacing. The whole set is looked at as if all of its edits were in force at once.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scr.editors import Edit
from scr.evaluation.cases import Case, Question
from scr.evaluation.datasets.counterfact import GENERATION_PROMPT
from scr.evaluation.datasets.hallueditbench import MULTIPLE_CHOICE
from scr.evaluation.metrics import contains

Severity: TypeAlias = Literal["defect", "notice"]

SHORT = 2
"""Most characters of an alias that is too short to be looked for inside an answer."""

RULES: Mapping[str, tuple[Severity, str]] = {
    "contradicted": ("defect", "another record edits what this asks, to something that is not among its answers"),
    "edited-relation": (
        "defect",
        "a locality question whose gold answer is the old answer of the edit, or that is the edit's own prompt",
    ),
    "conflicting-targets": ("defect", "several records edit one prompt to different targets"),
    "conflicting-questions": (
        "defect",
        "records ask other questions of one subject, with one old answer, and edit it to different targets",
    ),
    "answer-in-prompt": ("defect", "a right answer stands in the prompt, so that repeating it scores"),
    "unanswerable": ("defect", "no answer has a letter or a digit"),
    "no-rephrasing": ("defect", "the data set gives a prompt for free text as a rephrasing"),
    "short-alias": ("notice", "some alias has two characters or fewer: it counts only as the whole answer"),
    "only-short-aliases": ("notice", "every alias has two characters or fewer"),
    "repeated-prompt": ("notice", "an earlier record edits the same prompt"),
}
"""Every rule with its severity and what it finds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A flaw of a question, or of a whole case.

    Attributes:
        case: the case's id.
        question: the question's place in the case, from 0; None for all of them.
        rule: one of `RULES`.
        detail: what was found.
    """

    case: str
    question: int | None
    rule: str
    detail: str

    @property
    def severity(self) -> Severity:
        """Whether the question leaves the clean scores."""
        return RULES[self.rule][0]


def findings(cases: Sequence[Case]) -> list[Finding]:
    """Everything that the rules find, in the order of the cases; the time is linear in the questions."""
    edits = _Edits.of(cases)
    found: list[Finding] = []
    for case in cases:
        found += _of_case(case, edits)
        for place, question in enumerate(case.questions):
            for rule, detail in _of_question(case, question, edits):
                found.append(Finding(case.id, place, rule, detail))
    return found


def defects(cases: Sequence[Case], found: Iterable[Finding]) -> dict[tuple[str, int], tuple[str, ...]]:
    """The rules that each question breaks, by case and place; questions without a defect are not there."""
    sizes = {case.id: len(case.questions) for case in cases}
    broken: defaultdict[tuple[str, int], dict[str, None]] = defaultdict(dict)
    for one in found:
        if one.severity == "defect":
            places = range(sizes[one.case]) if one.question is None else [one.question]
            for place in places:
                broken[one.case, place][one.rule] = None
    return {key: tuple(rules) for key, rules in broken.items()}


def counts(cases: Sequence[Case], found: Iterable[Finding]) -> dict[str, int]:
    """How many questions break each rule, in the order of `RULES`; a finding of a whole case counts all of its own."""
    sizes = {case.id: len(case.questions) for case in cases}
    number = Counter[str]()
    for one in found:
        number[one.rule] += sizes[one.case] if one.question is None else 1
    return {rule: number[rule] for rule in RULES if number[rule]}


def normalised(text: str) -> str:
    """A text as its words, small, each between single spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


@dataclass(frozen=True, slots=True)
class _Edits:
    """What every prompt is edited to, and by which cases.

    Attributes:
        targets: by prompt, then by target, the first case that makes the edit; all normalised.
        cases: by prompt, the cases that edit it, in their order.
        asked: by subject and old answer, the first case that edits a question's prompt to a target.
    """

    targets: Mapping[str, Mapping[str, str]]
    cases: Mapping[str, Sequence[str]]
    asked: Mapping[_Known, Mapping[tuple[str, str], str]]

    @classmethod
    def of(cls, cases: Sequence[Case]) -> _Edits:
        targets: defaultdict[str, dict[str, str]] = defaultdict(dict)
        editing: defaultdict[str, list[str]] = defaultdict(list)
        asked: defaultdict[_Known, dict[tuple[str, str], str]] = defaultdict(dict)
        for case in cases:
            for prompt, target in {(normalised(one.prompt), normalised(one.target)) for one in case.edits}:
                targets[prompt].setdefault(target, case.id)
                editing[prompt].append(case.id)
            for edit in case.edits:
                if known := _known(edit):
                    asked[known].setdefault((normalised(edit.prompt), normalised(edit.target)), case.id)
        return cls(targets, editing, asked)


_Known: TypeAlias = tuple[str, str]
"""A subject and an answer before an edit, normalised."""


def _known(edit: Edit) -> _Known | None:
    """What tells that two questions ask the same in other words; None for an edit that does not say.

    Prompts to be continued ("Henri Estienne originated from", "… took up work in") often share both by chance.
    """
    if not (edit.subject and edit.old and edit.prompt.rstrip().endswith(("?", "？"))):
        return None
    return normalised(edit.subject), normalised(edit.old)


def _of_case(case: Case, edits: _Edits) -> Iterator[Finding]:
    for edit in case.edits:
        prompt, target = normalised(edit.prompt), normalised(edit.target)
        if others := [name for other, name in edits.targets[prompt].items() if other != target]:
            named = ", ".join(others[:3])
            yield Finding(
                case.id, None, "conflicting-targets", f"{edit.prompt!r}: {edit.target!r} here, not in {named}"
            )
            return
    for edit in case.edits:
        if detail := _in_other_words(edit, edits):
            yield Finding(case.id, None, "conflicting-questions", detail)
            return
    for place, question in enumerate(case.questions):
        first = edits.cases.get(normalised(question.prompt), [case.id])[0]
        if question.kind == "reliability" and first != case.id:
            yield Finding(case.id, place, "repeated-prompt", f"first in {first}")


def _in_other_words(edit: Edit, edits: _Edits) -> str:
    known, own = _known(edit), (normalised(edit.prompt), normalised(edit.target))
    others = edits.asked.get(known, {}) if known else {}
    for (prompt, target), case in others.items():
        if prompt != own[0] and target != own[1]:
            return f"{edit.prompt!r}: {edit.target!r} here, but {target!r} in {case}, which asks {prompt!r}"
    return ""


def _of_question(case: Case, question: Question, edits: _Edits) -> Iterator[tuple[str, str]]:
    answers = {normalised(answer) for answer in question.answers}
    for rule in (_contradicted, _edited_relation):
        if detail := rule(case, question, answers, edits):
            yield _NAMES[rule], detail
    if question.sub == GENERATION_PROMPT:
        yield "no-rephrasing", repr(question.prompt)
    if question.answers:
        yield from _of_answers(question)


def _contradicted(case: Case, question: Question, answers: set[str], edits: _Edits) -> str | None:
    if question.kind == "reliability" or not answers:
        return None
    for target, name in edits.targets.get(normalised(question.prompt), {}).items():
        if name != case.id and target not in answers:
            return f"gold {question.answers[0]!r}, but {name} edits it to {target!r}"
    return None


def _edited_relation(case: Case, question: Question, answers: set[str], edits: _Edits) -> str | None:
    del edits
    # Forgetfulness asks for the old answer, and neighbours share it, by design.
    if question.kind != "locality" or question.sub in ("forgetfulness", "neighborhood", "unrelated"):
        return None
    prompt = normalised(question.prompt)
    for edit in case.edits:
        if edit.old and normalised(edit.old) in answers:
            return f"gold {edit.old!r} is the old answer of {edit.prompt!r}"
        if prompt == normalised(edit.prompt) and answers and normalised(edit.target) not in answers:
            return "the edit's own prompt"
    return None


_Rule: TypeAlias = Callable[[Case, Question, set[str], _Edits], str | None]
_NAMES: Mapping[_Rule, str] = {_contradicted: "contradicted", _edited_relation: "edited-relation"}


def _of_answers(question: Question) -> Iterator[tuple[str, str]]:
    if not any(map(normalised, question.answers)):
        yield "unanswerable", repr(question.answers[0])
    short = [answer for answer in question.answers if len(answer) <= SHORT]
    if len(short) == len(question.answers):
        yield "only-short-aliases", repr(short[0])
    elif short:
        yield "short-alias", ", ".join(map(repr, short[:5]))
    if question.sub == MULTIPLE_CHOICE:
        return
    if inside := next((answer for answer in question.answers if contains(question.prompt, [answer])), None):
        yield "answer-in-prompt", repr(inside)
