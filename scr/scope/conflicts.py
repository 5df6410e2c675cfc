"""Does a new fact contradict a stored one? By subject and relation, never by similarity alone; see also `rivals`.

Similarity is the wrong question here: two facts about one city are similar and both true, and a fact and its
replacement may share few words. A fact's *statement* is its subject and relation, as given or as read from a sentence
whose grammar says that there is one value ("The capital of France is …", "Ada Lovelace was born in …"). Two facts of
one statement with different objects contradict each other while both are valid.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from scr.facts import Fact, NewFact
from scr.scope import Candidate

AnyFact: TypeAlias = "Fact | NewFact"


class ConflictDetector(Protocol):
    """Decides which stored facts a new one contradicts."""

    @property
    def neighbours(self) -> int:
        """How many of the nearest stored facts it wants to see as possible rivals; 0 for none."""
        ...

    def statement(self, fact: AnyFact) -> str | None:
        """Key of what the fact says something about; facts of one key are always compared. None if it has none."""
        ...

    def conflicts(self, new: AnyFact, stored: Sequence[Fact]) -> list[Fact]:
        """Those of the stored facts of its statement that the new one contradicts."""
        ...

    def rivals(self, new: AnyFact, near: Sequence[Candidate]) -> list[Fact]:
        """Those of the nearest stored facts, of whatever statement, that the new one contradicts; it may take long."""
        ...


_IS = r"(?:is|was|are|were|will be|has been)(?: now| currently)?"
# Participles after which a subject has one value: a person has one birthplace, a company one seat.
_SINGLE = (
    r"(?:born|founded|located|situated|headquartered|based|married|written|directed|composed|developed|created|invented"
    r"|designed|painted|owned|named|published|produced|manufactured|employed|buried|released|established|led|discovered"
    r"|built|programmed) (?:in|on|at|by|to|after|for|with)"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^the (?P<relation>(?:\S+ ){{1,6}}?)(?:of|for|in) (?P<subject>.+?) {_IS} (?P<object>.+)$",
        rf"^(?P<subject>.+?)['’]s? (?P<relation>(?:\S+ ){{1,6}}?){_IS} (?P<object>.+)$",
        rf"^(?P<object>.+?) {_IS} the (?P<relation>(?:\S+ ){{1,6}}?)(?:of|for) (?P<subject>.+)$",
        rf"^(?P<subject>.+?) {_IS} (?P<relation>(?:{_SINGLE}|(?:played|performed) by) )(?P<object>.+)$",
        r"^(?P<subject>.+?) (?P<relation>(?:(?:died|lives|resides) (?:in|on|at)|works (?:at|for)|plays for) )"
        r"(?P<object>.+)$",
    )
)
_OF_NOUNS = _PATTERNS[:2]
_FILLER = re.compile(r"\b(?:the|a|an|name of|current|currently|official|new|now)\b")
# An open class has many members, and what something is not leaves open what it is.
_OPEN = re.compile(
    r"^(?:one|some|part|member|many|several|a few|not|no longer|never)\b|\b(?:one|some|part) of\b", re.IGNORECASE
)
# "The Lord of the Rings is a novel", "… was first published in 1954": a title and what is said of it, no value.
_PREDICATE = re.compile(
    r"(?:an?|not) |(?:[a-z]+ly |first |best )?[a-z]+ (?:in|on|at|by|to|as|from|with|for|after|into|near|under)\b"
)
_DATE = re.compile(
    r"(?:(?:the|of|early|late|mid|about|around|circa|century|bce?|ad|ce|spring|summer|autumn|fall|winter"
    r"|\d{1,4}(?:s|st|nd|rd|th)?|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\W*)+",
    re.IGNORECASE,
)
_LONGEST_SENTENCE = 300
_TIME = " (time)"
# Not the marks that tell C from C# and C++, nor a number's minus.
_PUNCTUATION = re.compile(r"(?!(?<=\w)[+#]|(?<=\w[+#])[+#]|(?<!\w)-(?=\d))[^\w\s]")


def _normalise(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\N{MINUS SIGN}", "-")
    return " ".join(_PUNCTUATION.sub(" ", _FILLER.sub(" ", folded)).split())


def words(text: str) -> list[str]:
    """The words of a text, normalised as statements are."""
    return _normalise(text).split()


@dataclass(frozen=True, slots=True)
class Sentence:
    """What the grammar reads from a sentence, in the sentence's own words.

    Attributes:
        subject: what it is about.
        relation: what it says of it, with the words that lead to the object.
        object: the value.
        prompt: the sentence up to its object, or an equal one that ends where the object would begin.
    """

    subject: str
    relation: str
    object: str
    prompt: str


def read_sentence(text: str) -> Sentence | None:
    """Subject, relation and object of a sentence whose grammar says that there is one value; None for any other."""
    sentence = text.rstrip(" .!")
    if len(sentence) > _LONGEST_SENTENCE or re.search(r"[.!?;]\s|\n", sentence):
        return None
    for pattern in _PATTERNS:
        if (match := pattern.match(sentence)) and _is_value(match, pattern):
            subject, relation, said = match["subject"], match["relation"].strip(), match["object"]
            if match.end("object") == len(sentence):
                return Sentence(subject, relation, said, sentence[: match.start("object")].rstrip())
            return Sentence(subject, relation, said, f"The {relation} of {subject} is")
    return None


def _parts(fact: AnyFact) -> tuple[str, str, str] | None:
    """Subject, relation and object, normalised; the object may be empty."""
    if fact.subject and fact.relation:
        return _normalise(fact.subject), _normalise(fact.relation), _normalise(fact.object or fact.text)
    read = read_sentence(fact.text)
    if read is None:
        return None
    subject, relation, value = map(_normalise, (read.subject, read.relation, read.object))
    # Where and when something happened are two relations, though "in" serves for both.
    if relation.endswith((" in", " on", " at")) and _DATE.fullmatch(read.object):
        relation = relation.rpartition(" ")[0] + _TIME  # in May, on a day of it: one relation
    if subject and relation:
        return subject, relation, value
    return None


def _is_value(match: re.Match[str], pattern: re.Pattern[str]) -> bool:
    said = match["object"]
    return not _OPEN.search(said) and not (pattern in _OF_NOUNS and _PREDICATE.match(said))


def _differ(relation: str, one: str, other: str) -> bool:
    """Whether two normalised objects of a relation are two values; May 1950 and 1950 may be the same."""
    if not relation.endswith(_TIME):
        return one != other
    mine, theirs = set(one.split()), set(other.split())
    return not (mine <= theirs or theirs <= mine)


def overlap(one: AnyFact, other: AnyFact) -> bool:
    """Whether two facts hold at one time."""
    least, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    start = max(one.valid_from or least, other.valid_from or least)
    return start < min(one.valid_to or last, other.valid_to or last)


class StatementConflicts:
    """Facts of one subject and relation with different objects, valid at one time, contradict each other."""

    neighbours = 0

    def statement(self, fact: AnyFact) -> str | None:
        """Normalised subject and relation, or None where the sentence does not give them away."""
        parts = _parts(fact)
        return f"{parts[0]}\n{parts[1]}" if parts else None

    def conflicts(self, new: AnyFact, stored: Sequence[Fact]) -> list[Fact]:
        """Those of the stored facts that the new one contradicts."""
        mine = _parts(new)
        if mine is None:
            return []
        found = []
        for fact in stored:
            theirs = _parts(fact)
            if theirs and theirs[:2] == mine[:2] and _differ(*mine[1:], theirs[2]) and overlap(new, fact):
                found.append(fact)
        return found

    def rivals(self, new: AnyFact, near: Sequence[Candidate]) -> list[Fact]:
        """None: the statement decides."""
        del new, near
        return []
