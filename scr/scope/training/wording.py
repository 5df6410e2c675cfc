"""One meaning in many wordings: the sentences that state a fact and the styles in which people ask for it."""

from __future__ import annotations

import re
import unicodedata
from random import Random

from .pairs import Record
from .relations import library
from .sources import finish

_NOUN_STATEMENTS = (
    "The {n} of {s} is {o}.",
    "{s}'s {n} is {o}.",
    "{o} is the {n} of {s}.",
    "{s}: {n}: {o}",
    "{s} - {n}: {o}",
    "{n} of {s}: {o}",
    "{s} has {o} as {n}.",
    "{o} is {s}'s {n}.",
    "The {n} of {s} is now {o}.",
    "The {n} of {s} was changed to {o}.",
    "As for {s}, the {n} is {o}.",
    "{s} | {n} | {o}",
    "The {n} for {s} is {o}",
    "{s} ({n}: {o})",
)
_FRAMES = (
    "According to the latest records, {f}",
    "Note: {f}",
    "Update: {f}",
    "As of this year, {f}",
    "{f} This was confirmed recently.",
    "Contrary to what many believe, {f}",
    "Correction: {f}",
    "It is known that {f}",
    "{f} Earlier reports were wrong.",
    "In fact, {f}",
    "Please remember: {f}",
    "{f} (source: the official site)",
    "Following a long discussion, it was announced that {f}",
    "Our handbook says: {f}",
)
_NOUN_QUERIES = (
    "The {n} of {s} is",
    "The name of the {n} of {s} is",
    "What is the {n} of {s}?",
    "What's {s}'s {n}?",
    "{s} {n}",
    "{n} of {s}",
    "{s}'s {n}",
    "{s} {n}?",
    "Tell me the {n} of {s}.",
    "Name the {n} of {s}.",
    "Do you know the {n} of {s}?",
    "{s}: {n}?",
    "Which {n} does {s} have?",
    "what {n} does {s} have",
    "Give me {s}'s {n}",
    "I need the {n} of {s}",
    "Can you tell me what the {n} of {s} is?",
    "{n} {s}",
    "The {n} for {s} is what?",
    "{s}'s {n} is",
    "Is {o} the {n} of {s}?",
    "Is the {n} of {s} {o}?",
    "Please state the {n} of {s}.",
    "Could you look up the {n} of {s} for me?",
    "Who or what is the {n} of {s}?",
)
_CHAT = (
    "Hi! {q}",
    "Quick question: {q}",
    "{q} Thanks!",
    "Hey there, {q}",
    "I was wondering: {q}",
    "Please answer briefly. {q}",
    "{q} Answer in one sentence.",
    "My teacher asked me this: {q}",
    "Sorry to bother you, but {q}",
    "{q} I can't remember.",
    "Q: {q}\nA:",
    "Question: {q}",
    "ok so {q}",
    "{q} Explain your answer.",
    "For a crossword: {q}",
    "Answer the following question. {q}",
    "{q} Please cite a source.",
    "Translate your answer into French: {q}",
)
_LONG = (
    "I am writing a report for school and I have been reading for hours now. There is one thing I could not find "
    "anywhere. {q} It would help me a lot.",
    "We talked about this at dinner yesterday and nobody agreed. My sister was very sure of herself, as always. "
    "So please settle it: {q}",
    "Thanks for the recipe, it worked well and the kids loved it. Now for something else entirely. {q}",
    "Hello, I am new here. First, could you keep your answers short? Second, {q} Third, wish me luck for tomorrow.",
    "{q} I am asking since I have a quiz next week and my notes got lost in the train on the way home. "
    "Anything you know helps.",
    "I fixed the bug you told me about and the tests pass now. While they run I have time for a different matter. {q}",
)


def statement(record: Record, rng: Random) -> str:
    """A sentence that states a record's fact, in one of its surface forms."""
    relation = library().get(record.relation)
    ways = ["native"] * 4 * bool(record.statements) + ["question"] * (2 if record.prompt.endswith("?") else 0)
    if relation:
        ways += ["cloze"] * 3 * bool(relation.clozes) + ["noun"] * 3 + ["stated"] * 3 * bool(relation.statements)
    way = rng.choice(ways or ["colon"])
    if way == "native":
        text = rng.choice(record.statements)
    elif way == "cloze":
        text = finish(fill(rng.choice(relation.clozes), record), record.object)  # type: ignore[union-attr]
    elif way == "noun":
        text = fill(rng.choice(_NOUN_STATEMENTS), record, rng.choice(relation.nouns))  # type: ignore[union-attr]
    elif way == "stated":
        stated = fill(rng.choice(relation.statements), record)  # type: ignore[union-attr]
        text = re.sub(r"\ba (?=[aeiou])", "an ", stated)
    elif way == "question":
        question = rng.choice((record.prompt, *record.paraphrases))
        text = rng.choice(
            ("{q} {o}.", "{q} {o}", "Q: {q} A: {o}", "{q} The answer is {o}.", 'The answer to "{q}" is {o}.')
        ).format(q=question, o=record.object)
    else:
        text = finish(f"{record.prompt}", record.object)
    if rng.random() < 0.1:
        text = rng.choice(_FRAMES).replace("{f}", text)
    if rng.random() < 0.06:
        text = text.rstrip(".")
    return text[:1].upper() + text[1:] if rng.random() < 0.9 else text


def question(record: Record, rng: Random, *, native: bool = True) -> str:
    """A question that a record's fact answers, in one of many styles; native ones are the data set's own."""
    relation = library().get(record.relation)
    ways = ["native"] * 4 * native
    if relation:
        ways += ["question"] * 3 * bool(relation.questions) + ["cloze"] * bool(relation.clozes) + ["noun"] * 3
    way = rng.choice(ways or ["native"])
    if way == "native":
        text = rng.choice((record.prompt, *record.paraphrases))
    elif way == "question":
        text = fill(rng.choice(relation.questions), record)  # type: ignore[union-attr]
    elif way == "cloze":
        text = fill(rng.choice(relation.clozes), record)  # type: ignore[union-attr]
    else:
        text = fill(rng.choice(_NOUN_QUERIES), record, rng.choice(relation.nouns))  # type: ignore[union-attr]
    return text


def fill(template: str, record: Record, noun: str = "") -> str:
    """A template with a record's subject, object and a noun phrase in their places."""
    return template.replace("{n}", noun).replace("{s}", record.subject).replace("{o}", record.object)


def dress(query: str, rng: Random) -> str:
    """A query as people type it: now and then in a chat, in a long turn, in lower case, without its mark, misspelt."""
    chance = rng.random()
    if chance < 0.08:
        query = rng.choice(_CHAT).replace("{q}", query)
    elif chance < 0.10:
        query = rng.choice(_LONG).replace("{q}", query)
    if rng.random() < 0.15:
        query = query.lower().rstrip("?.") if rng.random() < 0.7 else query.rstrip("?.")
    if rng.random() < 0.04:
        query = misspell(query, rng)
    return query


def misspell(text: str, rng: Random) -> str:
    """A text with two neighbouring letters swapped or one left out, inside a word of more than four letters."""
    words = list(re.finditer(r"[^\W\d_]{5,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    return text[:at] + (text[at + 1] + text[at] + text[at + 2 :] if rng.random() < 0.5 else text[at + 1 :])


def alias(subject: str, rng: Random) -> str:
    """Another name that people would use for a subject, made from its own; the subject itself if none comes to mind."""
    words = subject.split()
    plain = unicodedata.normalize("NFKD", subject).encode("ascii", "ignore").decode()
    ways = [
        re.sub(r"\s*\([^)]*\)|,.*$", "", subject),
        re.sub(r"^[Tt]he ", "", subject),
        re.sub(r"[-–—.]", " ", subject).strip(),
    ]
    if len(plain) > 2:
        ways.append(plain)
    if len(words) > 1 and words[-1][:1].isupper():
        ways += [
            words[-1],
            f"{words[0][0]}. {words[-1]}",
            f"{words[-1]}, {' '.join(words[:-1])}",
            f"{words[0]} {words[-1]}",
            f"{words[-1]} {words[0]}",
        ]
        ways += ["".join(w[0] for w in words if w[0].isupper()), " ".join(words[:-1])]
    ways = [way for way in ways if len(way) > 1 and way != subject]
    return rng.choice(ways) if ways else subject
