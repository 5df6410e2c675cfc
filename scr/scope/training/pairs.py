"""Records and labelled pairs: the two nouns of the training data."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Literal, Protocol

import xxhash

Split = Literal["train", "tune", "test"]


@dataclass(frozen=True)
class Probe:
    """A question of a record whose label the data set knows.

    Attributes:
        query: the question.
        kind: what it probes: `alias`, `reasoning`, `logical`, `specificity`, `forgetfulness`, `other_subject` or
            `general`.
        positive: whether the record's fact governs it.
    """

    query: str
    kind: str
    positive: bool


@dataclass(frozen=True)
class Record:
    """One edit of a data set.

    Attributes:
        source: the data set's short name.
        subject: what the fact is about.
        object: the new answer.
        prompt: the edit's own question or unfinished sentence.
        relation: key in the relation library; empty if unknown.
        paraphrases: other wordings of the prompt.
        statements: sentences that state the fact.
        probes: questions with known labels.
    """

    source: str
    subject: str
    object: str
    prompt: str
    relation: str = ""
    paraphrases: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = field(default=())


@dataclass(frozen=True)
class Pair:
    """One training example.

    Attributes:
        fact: the stored sentence.
        query: what is asked.
        label: 1 if the fact governs the query, else 0.
        kind: how the pair was made.
        source: data set of the fact.
        split: which part it belongs to.
    """

    fact: str
    query: str
    label: float
    kind: str
    source: str
    split: Split


class Source(Protocol):
    """A data set that can be read as records."""

    @property
    def name(self) -> str:
        """Its short name."""
        ...

    def records(self) -> list[Record]:
        """Every record, in the file's order."""
        ...


def normal(text: str) -> str:
    """A text without case, accents and punctuation: what overlap is judged by."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or text
    return re.sub(r"[^a-z0-9]+", " ", plain.lower()).strip()


def split_of(subject: str, source: str) -> Split:
    """The part that a subject's records belong to: the same in every run and for every data set.

    CounterFact gives 14 % of its subjects to a test that no tuning sees, since its own test records are not kept apart.
    """
    bucket = xxhash.xxh64_intdigest(normal(subject).encode()) % 100
    if bucket < 4:
        return "tune"
    return "test" if source == "counterfact" and bucket < 18 else "train"
