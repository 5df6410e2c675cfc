"""Follow-up questions told in full: what a pronoun stands for, and what was left out since it was said before.

"Where was she born?" after "Tell me about Lena Hofstad." is asked as "Where was Lena Hofstad born?", and "And of
Spain?" after "What is the capital of France?" as "What is the capital of Spain?". Neither a parser nor a language model
is asked: names are words in capitals, or the last words that carry meaning, and every reading is looked up. A wrong
one finds no fact that governs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

_CANDIDATES = 3
"""Names that one follow-up is read with."""

_FURTHEST = 3
"""Earlier texts that are searched for names."""

_LONGEST_NAMED = 1_000
"""Characters of an earlier text that are searched: those at its end."""

_SMALL = frozenset("of the de la le van von der den di da du del al bin ibn".split())  # noqa: SIM905
_CAPITAL = r"(?:(?:[A-Z]\.)+|(?:St|Dr|Mr|Mrs|Ms)\.|[^\W\d_a-zß-öø-ÿ][\w&-]*(?:['’](?!s\b)\w+)?)"
_NAME = re.compile(
    rf"[\"“«]([^\"“”«»]{{2,80}})[\"”»]"
    rf"|\b((?:\d+ )?{_CAPITAL}(?:(?: (?:{'|'.join(sorted(_SMALL))}))* (?:{_CAPITAL}|\d+))*)"
)
_OPENING = frozenset(
    """
    a about actually also am an and any are as ask at be been but by can check compare could define describe did
    discuss do does don't explain find for from gave get give given had has have he hello help her here hey hi his how i
    i'm i've if in is it its just know let like list look love many may me mention might much must my name no not of oh
    ok okay on one or our outline please provide read recommend remind said say see shall she should show so some state
    suggest summarise summarize suppose sure talk tell thank thanks that the their them then there these they think this
    those to translate up us use was we well were what when where which who whom whose why will with would write yes you
    your
    """.split()  # noqa: SIM905
)
"""Words that begin a sentence and are no names, and that carry no meaning of their own."""

_ABBREVIATIONS = frozenset({"US", "WHO"})
"""Names that would be such words in small letters."""

_LINK = re.compile(r"^\W*(?:(?:and|or|but|so|then|also|ok|okay|what about|how about)\b\W*)+", re.IGNORECASE)
_POSSESSIVE = re.compile(r"\b(?:his|hers|its|their|theirs|her(?= [^\W\d_]))\b", re.IGNORECASE)
_TIME = "year|week|month|day|time|morning|afternoon|evening|night|weekend|century|decade|way|case"
_FUNCTION = "a|an|the|is|are|was|were|near|in|on|at|of|to|from|by|with|about|for|also|still|not|true|really|mean|work"
_PERSONAL = re.compile(
    r"\b(?:he|she|it|they|him|her|them)\b"
    rf"|\bth(?:is|ese)\b(?! (?:{_TIME})s?\b)(?: (?!(?:{_FUNCTION})\b)[a-z]+)?"
    # Not the "that" of "the river that flows through it".
    r"|(?<=\b(?:of|in|at|to|by|is) )that\b|(?<=\b(?:was|did|for|are) )that\b|(?<=\b(?:from|with|does) )that\b"
    r"|\bthat\b(?=\W*$)",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(r"(?:(?:of|in|for|to|about|with|at|on|by|from|the)\s+)*", re.IGNORECASE)
_DEFINITE = re.compile(r"\b(?:is|was|are|were|has|have) the (?:[a-z-]+ ){0,2}[a-z-]+\W*$", re.IGNORECASE)
_NOUN_PHRASE = re.compile(r"(?:(?:the|a|an) )?[a-z][\w'-]*(?: [a-z][\w'-]*){0,3}\W*")
_MOST_WORDS = 8
"""Of a question that ends in a thing of something: "Who is the mayor?"."""


def in_full(question: str, before: Sequence[str], reply: str = "") -> list[str]:
    """Readings of a question that leans on what was said before it; none if it stands alone.

    Args:
        question: a short one.
        before: what the user said earlier, the latest first.
        reply: what was answered to the latest of these, if that is known.
    """
    rest = _LINK.sub("", question).strip()
    linked, own = rest != question.strip(), names_in(rest)
    if _POSSESSIVE.search(rest) or _PERSONAL.search(rest):  # Where was she born?
        return [_filled(rest, name) for name in _candidates(before, reply)]
    if own and _PREPOSITION.sub("", rest, count=1).strip(" ?.!\"'“”") == own[0]:  # And of Spain?
        return list(_exchanged(own[0], before))
    if not own and _DEFINITE.search(rest) and len(rest.split()) <= _MOST_WORDS:  # Who is the mayor?
        return _completed(rest, before, reply)
    if not linked or not rest:
        return []
    if own or not _NOUN_PHRASE.fullmatch(rest) or rest.split()[0].lower() in _OPENING - _SMALL - {"a", "an"}:
        return [rest]  # And who founded Ulmbach?
    alone = _PREPOSITION.sub("", rest.rstrip(" ?.!"), count=1)
    stands = rest.removeprefix("the ").startswith(alone)
    return [*(_completed(rest, before, reply) if stands else []), *_exchanged(alone, before)]  # And the mayor?


def names_in(text: str) -> list[str]:
    """Names of a text, in their order: in quotes, or words in capitals."""
    found = []
    kept: frozenset[str] = frozenset() if text.isupper() else _ABBREVIATIONS
    for match in _NAME.finditer(text[-_LONGEST_NAMED:]):
        name = match[1] or match[2]
        words = name.split()
        while words and words[0].lower() in _OPENING | _SMALL and words[0] not in kept:
            words.pop(0)
        if words:
            found.append(" ".join(words))
    return list(dict.fromkeys(found))


def _spoken_of(text: str) -> list[str]:
    """What a text is about: its names; where it has none, the last of its words that carry meaning."""
    if names := names_in(text):
        return names
    runs: list[list[str]] = [[]]
    for word in re.findall(r"[\w'’-]+|[^\w\s]", text[-_LONGEST_NAMED:]):
        if word.lower() in _OPENING or not word[0].isalnum():
            runs.append([])
        else:
            runs[-1].append(word)
    runs = [run for run in runs if run]
    return [" ".join(runs[-1])] if runs else []


def _candidates(before: Sequence[str], reply: str) -> list[str]:
    """Names that a pronoun may stand for: of the latest text with any its last ones, of the reply its first."""
    named: Iterator[list[str]] = (names for text in before[:_FURTHEST] if (names := names_in(text)))
    spoken = next(named, None) or (_spoken_of(before[0]) if before else [])
    candidates = [*spoken[:-_CANDIDATES:-1], *_named_in_reply(reply[:_LONGEST_NAMED])[:1]]
    return list(dict.fromkeys(candidates))[:_CANDIDATES]


def _completed(question: str, before: Sequence[str], reply: str) -> list[str]:
    return [f"{question.rstrip(' ?.!')} of {name}?" for name in _candidates(before, reply)]


def _named_in_reply(reply: str) -> list[str]:
    """Its names, but for single words that begin a sentence: these are mostly none ("Gladly.")."""
    begun = set(re.findall(r"(?:^|[.!?\n]\s+)\W*(\w+)", reply))
    return [name for name in names_in(reply) if name not in begun]


def _exchanged(name: str, before: Sequence[str]) -> Iterator[str]:
    """The earlier question with this name in the place of its own."""
    for text in before[:_FURTHEST]:
        names = [other for other in (names_in(text) if name != name.lower() else _spoken_of(text)) if other != name]
        # A follow-up that was itself no more than a name leans on the same question.
        if names and len(_LINK.sub("", text).split()) > len(names[-1].split()) + 1:
            yield from (text.replace(other, name) for other in islice(reversed(names), _CANDIDATES - 1))
            return


def _filled(question: str, name: str) -> str:
    """The question with a name for its pronouns."""
    own: Callable[[re.Match[str]], str] = lambda _: f"{name}'s"  # noqa: E731
    return _PERSONAL.sub(lambda _: name, _POSSESSIVE.sub(own, question))
