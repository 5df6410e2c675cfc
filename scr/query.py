"""What a conversation asks: its last user turn, with what that leans on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scr.engines import Message, Prompt

_LEANING = re.compile(
    r"^\W*(?:and|or|but|so|what about|how about)\b|\b(?:he|she|it|they|him|her|his|hers|its|their|them|there|this|that"
    r"|these|those|the same|one)\b",
    re.IGNORECASE,
)
_LONGEST_LEANING = 16
_TEXT_PARTS = ("text", "input_text")


def text_of(message: Message) -> str:
    """The text of a turn; of a list of parts, the text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = (part for part in content if isinstance(part, dict) and part.get("type") in _TEXT_PARTS)
    return "\n".join(str(part.get("text", "")) for part in parts)


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
    last = turns[-1]
    if len(turns) > 1 and len(last.split()) <= _LONGEST_LEANING and _LEANING.search(last):
        return f"{turns[-2]} {last}"
    return last
