"""The relation library: the words people use for a relation, as questions, unfinished sentences and noun phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Relation:
    """One relation in many wordings; `{s}` is the subject's place and `{o}` the object's.

    Attributes:
        key: its name in the library.
        kinds: letters of the kinds of subject it fits.
        nouns: noun phrases ("place of birth").
        clozes: sentences that end where the object begins.
        questions: questions about the subject.
        inverse: questions about the object that the same fact answers.
        objects: made-up objects.
        statements: whole sentences that state the fact.
        near: keys of relations that a fact of this one may answer too.
        like: keys of relations that are easily mistaken for this one.
    """

    key: str
    kinds: str
    nouns: tuple[str, ...] = ()
    clozes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    near: frozenset[str] = frozenset()
    like: tuple[str, ...] = ()


_FIELDS = {"n": "nouns", "c": "clozes", "q": "questions", "i": "inverse", "o": "objects", "s": "statements"}


@cache
def library() -> dict[str, Relation]:
    """Every relation by key; `near` holds both ways."""
    rows: dict[str, dict[str, str]] = {}
    for line in files("scr.scope.training").joinpath("relations.txt").read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[(\w+)\] (\w+)", line):
            rows[head[1]] = row = {"kinds": head[2]}
        elif line and not line.startswith("#"):
            name, _, text = line.partition(": ")
            row[name] = text
    near: dict[str, set[str]] = {key: set(row.get("near", "").split()) for key, row in rows.items()}
    for key, others in list(near.items()):
        for other in others:
            near[other].add(key)
    return {key: _relation(key, row, near[key]) for key, row in rows.items()}


def _relation(key: str, row: dict[str, str], near: set[str]) -> Relation:
    lists = {
        name: tuple(part.strip() for part in row.get(mark, "").split(";") if part.strip())
        for mark, name in _FIELDS.items()
    }
    like = tuple(row.get("like", "").split())
    return Relation(key=key, kinds=row["kinds"], near=frozenset(near), like=like, **lists)


@cache
def wordings() -> dict[str, str]:
    """Wording with `{s}` in the subject's place → key, for the wordings that belong to one relation alone."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for relation in library().values():
        nouns = [form for noun in relation.nouns for form in noun_forms(noun)]
        for text in (*relation.clozes, *relation.questions, *nouns):
            if found.setdefault(text.lower(), relation.key) != relation.key:
                twice.add(text.lower())
    return {text: key for text, key in found.items() if text not in twice}


def noun_forms(noun: str) -> tuple[str, ...]:
    """The forms of a noun phrase that data sets use as prompts."""
    return (
        f"The {noun} of {{s}} is",
        f"The name of the {noun} of {{s}} is",
        f"{{s}}'s {noun} is",
        f"What is the {noun} of {{s}}?",
    )


def relation_of(prompt: str, subject: str) -> str:
    """Key of the relation that a prompt about a subject asks for; empty if the library does not know it."""
    if subject not in prompt:
        return ""
    text = prompt.replace(subject, "{s}", 1).lower().strip()
    return wordings().get(text) or _loose_wordings().get(_content(text), "")


_EMPTY = frozenset(
    [
        "what",
        "which",
        "is",
        "was",
        "are",
        "the",
        "a",
        "of",
        "name",
        "does",
        "did",
        "do",
        "in",
        "to",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "it",
        "that",
        "s",
        "apart",
        "be",
        "were",
        "who's",
    ]
)


def _content(text: str) -> frozenset[str]:
    """The words that carry a wording's meaning, without their endings."""
    words = re.findall(r"\{s\}|[a-z]+", text)
    return frozenset(re.sub(r"(?:ed|ing|s|e)$", "", word) for word in words if word not in _EMPTY)


@cache
def _loose_wordings() -> dict[frozenset[str], str]:
    """Content words of a question → key, where one relation alone has them."""
    found: dict[frozenset[str], str] = {}
    twice: set[frozenset[str]] = set()
    for text, key in wordings().items():
        words = _content(text)
        if len(words) > 1 and found.setdefault(words, key) != key:
            twice.add(words)
    return {words: key for words, key in found.items() if words not in twice}


def sharp(relation: str, other: str) -> bool:
    """Whether a fact of one relation surely says nothing about the other."""
    return relation != other and other not in library()[relation].near
