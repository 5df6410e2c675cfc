"""Edits, checked before anything changes, in the model's own tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scr.editors import Edit
from scr.errors import EditError

LONGEST = 512
"""Most tokens of a prompt with its target; an edit is a sentence, and memory grows with it."""


@dataclass(frozen=True, slots=True)
class Request:
    """An edit that can be applied.

    Attributes:
        prompt: what is continued.
        target: the new answer, with the space that parts it from the prompt.
        subject: what it is about; empty where the method needs none.
        start: where the subject begins in the prompt, in characters.
        old: the answer before the edit, with its space; None if it was not given.
    """

    prompt: str
    target: str
    subject: str = ""
    start: int = 0
    old: str | None = None

    @property
    def end(self) -> int:
        """Where the subject ends in the prompt, in characters."""
        return self.start + len(self.subject)


def check(edits: Sequence[Edit], tokenizer: Any, *, subject: bool) -> list[Request]:
    """What is to be applied; an edit of the same prompt and subject as a later one gives way to it.

    Args:
        edits: as they came.
        tokenizer: of the model.
        subject: whether the method needs to know where the subject stands.

    Raises:
        EditError: one of them cannot be applied, and why.
    """
    if not edits:
        raise EditError("there is no edit to apply: give at least one")
    if not getattr(tokenizer, "is_fast", False):
        raise EditError("this model's tokenizer cannot tell where its tokens stand in a text: use a fast tokenizer")
    requests: dict[tuple[str, str], Request] = {}
    for number, edit in enumerate(edits, 1):
        request = _checked(edit, f"edit {number}", tokenizer, subject)
        key = (request.prompt, request.subject)
        requests.pop(key, None)
        requests[key] = request
    return list(requests.values())


def _checked(edit: Edit, name: str, tokenizer: Any, subject: bool) -> Request:
    prompt, target = _text(edit.prompt, f"the prompt of {name}"), _text(edit.target, f"the target of {name}")
    if subject and not edit.subject:
        raise EditError(f"{name} has no subject, which this method needs: say what {prompt[:60]!r} is about")
    found = _text(edit.subject, f"the subject of {name}") if subject and edit.subject else ""
    start = _find(found, prompt) if found else 0
    if start < 0:
        raise EditError(
            f"{name}: the subject {found[:60]!r} does not stand in the prompt {prompt[:80]!r}: "
            "give it as it is written there"
        )
    length = len(tokenizer(prompt + apart(prompt, target), verbose=False)["input_ids"])
    if length > LONGEST:
        raise EditError(f"{name} is {length:,} tokens long and an edit may have {LONGEST}: shorten its prompt")
    old = apart(prompt, edit.old) if edit.old and edit.old.strip() else None
    return Request(prompt, apart(prompt, target), found, start, old)


def _text(text: object, what: str) -> str:
    """A text that a tokenizer can read and that says something."""
    if not isinstance(text, str) or not text.strip():
        raise EditError(f"{what} is empty: write it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EditError(f"{what} holds half a character (a lone surrogate): correct it") from None
    if bad := re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text):
        raise EditError(f"{what} holds the control character {bad.group()!r}: remove it")
    return text.rstrip()


def _find(subject: str, prompt: str) -> int:
    """Where the subject begins: as a word of its own if it stands so, else wherever it stands first; -1 if nowhere."""
    whole = re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", prompt)
    return whole.start() if whole else prompt.find(subject)


def apart(prompt: str, answer: str) -> str:
    """The answer with what parts it from the prompt: a space, unless there is one."""
    return answer if answer[:1].isspace() or prompt[-1:].isspace() else " " + answer
