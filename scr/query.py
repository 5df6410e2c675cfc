"""What a conversation asks: its last user turn, with what that leans on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from scr.engines import Message, Prompt
from scr.followups import in_full

_LEANING = re.compile(
    r"^\W*(?:and|or|but|so|what about|how about)\b"
    r"|\b(?:he|she|it|they|him|her|his|hers|its|their|them|the same|one)\b"
    r"|(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )\bthere\b(?! (?:is|are|was|were)\b)"
    # Not the "that" of "the river that flows through it".
    r"|(?:^\W*|\b(?:is|was|are|were|do|does|did|of|about|in|for|with|to|from|at|like|by|after|before|than) )"
    r"(?:this|that|these|those)\b"
    r"|\bth(?:is|ese) [a-z]+\b|\bth(?:is|at)\W*$",
    re.IGNORECASE,
)
_LONGEST_LEANING = 16
_FEWEST_WORDS = 3
_MOST_PARTS = 16
_MOST_CHARACTERS = 10_000
"""Of a query: more than the encoder and the classifier read, and far less than they would split into words first."""
_SENTENCE_END = re.compile(r"(?<=[.?!…。？！])[\"')\]]*\s+(?![a-z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s.(\"'])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|Jr|Sr|Gen|Col|Capt|Lt|Sgt|Sen|Rep|Gov|Rev|Mt|Ft|No|Nr|vs)\.$",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\?|^\W*(?:(?:first|second|third|then|also|and|please|so|now|finally|next|oh|ok)\b\W*)*(?:who|whom|whose|what|"
    r"where|when|which|why|how|is|are|was|were|do|does|did|has|have|can|could|would|will|tell|name|give|list|state|say|"
    r"find|look up|remind)\b",
    re.IGNORECASE,
)
_TEXT_PARTS = ("text", "input_text")


def text_of(message: Message) -> str:
    """The text of a turn; of a list of parts, the text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") in _TEXT_PARTS)
    return "\n".join(text for text in texts if isinstance(text, str))


def queries_of(prompt: Prompt) -> tuple[str, ...]:
    """What to look facts up for: the question, each sentence of it that asks something, and follow-ups told in full.

    A fact that is asked for in the third sentence of a turn is not found by the whole: the rest drowns it.
    """
    query = query_of(prompt)
    sentences = list(_sentences(query))
    asking = [_with_what_it_leans_on(sentences, place) for place in _asking(sentences)] if len(sentences) > 1 else []
    asking = [part for part in asking if len(part.split()) >= _FEWEST_WORDS]  # not the "Smith?" of "Who is Dr. Smith?"
    parts = [*asking[-_MOST_PARTS:], *islice(_in_full(prompt), _MOST_PARTS)]
    return tuple(dict.fromkeys(part[:_MOST_CHARACTERS] for part in (query, *parts)))


def _in_full(prompt: Prompt) -> Iterator[str]:
    """The last turn's follow-ups, told in full."""
    given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    turns = [turn for turn in given if turn.get("role") in ("user", "assistant")]
    texts = [text_of(turn).strip() for turn in turns if turn.get("role") == "user"] or [""]
    reply = text_of(turns[-2]) if len(turns) > 1 and turns[-2].get("role") == "assistant" else ""
    last, before = texts[-1][-_MOST_CHARACTERS:], texts[-2::-1]
    sentences = list(_sentences(last))
    for place in _asking(sentences)[-_MOST_PARTS:]:
        if len(sentences[place].split()) <= _LONGEST_LEANING:
            earlier = [*sentences[:place][::-1], *before]
            readings = in_full(sentences[place], earlier, "" if place else reply)
            # Not the "Ulmbach is" of "It is".
            yield from (one for one in readings if "?" in one or len(one.split()) >= _FEWEST_WORDS)


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a text; a line's end ends one too, and the point of "Dr." or of initials does not."""
    for line in text.splitlines():
        begun = ""
        for part in _SENTENCE_END.split(line.strip()):
            begun = f"{begun} {part}".strip()
            if not _ABBREVIATION.search(begun[-8:]):
                if begun:
                    yield begun
                begun = ""
        if begun:
            yield begun


def _asking(sentences: Sequence[str]) -> list[int]:
    """Places of the sentences that ask for something; the last may be an unfinished one."""
    last = len(sentences) - 1
    unfinished = bool(sentences) and not sentences[last].endswith((".", "!"))
    return [i for i, sentence in enumerate(sentences) if _ASKING.search(sentence) or (i == last and unfinished)]


def _with_what_it_leans_on(sentences: Sequence[str], place: int) -> str:
    return _joined(sentences[place - 1] if place else "", sentences[place])


def _joined(before: str, sentence: str) -> str:
    leans = before and len(sentence.split()) <= _LONGEST_LEANING and _LEANING.search(sentence)
    return f"{before} {sentence}" if leans else sentence


def query_of(prompt: Prompt) -> str:
    """The question to look facts up for.

    A short last turn with a pronoun ("And his wife?") is preceded by the user turn before it, so that what it
    speaks of can be found. No language model is asked.
    """
    if isinstance(prompt, str):
        return prompt
    turns = [text_of(message).strip() for message in prompt if message.get("role") == "user"]
    if not turns:
        return ""
    return _joined(turns[-2] if len(turns) > 1 else "", turns[-1])
