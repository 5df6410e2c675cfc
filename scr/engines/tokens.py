"""From a prompt to token ids, such that text stays text.

A tokenizer turns ``<|im_end|>`` into the token that ends a turn wherever it reads it, in a template or in
what a user wrote. Here only the chat template's own control tokens count; the same characters in a
message are encoded as the plain characters they are.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from scr.engines import Message, Prompt
from scr.engines.scoring import ANCHOR, after_anchor, empty_target
from scr.errors import EngineError


class PromptEncoder:
    """Encodes prompts with a Hugging Face tokenizer and its chat template."""

    def __init__(self, tokenizer: Any, model: str, context: int | None) -> None:
        """Take the tokenizer of a model whose prompt and answer may be ``context`` tokens long (None: no bound)."""
        self._tokenizer = tokenizer
        self._model = model
        self._context = context
        tokens = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        tokens |= {str(token) for token in tokenizer.all_special_tokens}
        # The longest first, so that a token that begins like another is found whole.
        alternatives = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True) if token)
        self._special = re.compile(alternatives) if alternatives else None
        self._special_ids = frozenset(tokenizer.convert_tokens_to_ids(sorted(tokens)))

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt, with the model's own opening tokens and none that the text smuggled in.

        Raises:
            EngineError: the model has no chat template, its template refuses these turns, or the prompt fills
                the whole context.
        """
        ids = self._completion(prompt) if isinstance(prompt, str) else self._chat(prompt)
        if not ids:
            raise EngineError("the prompt is empty: write a question")
        if self._context is not None and len(ids) >= self._context:
            raise EngineError(
                f"the prompt is {len(ids):,} tokens long and {self._model} reads at most {self._context:,}, answer "
                "included: shorten it, or use a model with a longer context"
            )
        return ids

    def room(self, ids: Sequence[int], max_tokens: int) -> int:
        """How many tokens may be generated after these."""
        return max_tokens if self._context is None else min(max_tokens, self._context - len(ids))

    def continued(self, prompt: Prompt, target: str) -> tuple[list[int], list[int]]:
        """Token ids of a prompt, and of a text that goes on from it.

        Raises:
            EngineError: the prompt cannot be encoded, the text is empty, or both together exceed the context.
        """
        ids = self.encode(prompt)
        rest = after_anchor(self.plain(ANCHOR + target), self.plain(ANCHOR)) if target else []
        rest = self.plain(target) if rest is None else rest
        if not rest:
            raise empty_target()
        if self.room(ids, len(rest)) < len(rest):
            raise EngineError(
                f"the prompt and the target are {len(ids) + len(rest):,} tokens long and {self._model} reads at most "
                f"{self._context:,}: shorten them, or use a model with a longer context"
            )
        return ids, rest

    def plain(self, text: str) -> list[int]:
        """Token ids of a text, all of it ordinary text."""
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        ids: list[int] = self._tokenizer(text, **options)["input_ids"]
        if self._special_ids.isdisjoint(ids) or len(text) < 2:
            return ids
        # A tokenizer that does not honour split_special_tokens: no token survives being cut in two.
        half = len(text) // 2
        return self.plain(text[:half]) + self.plain(text[half:])

    def _completion(self, text: str) -> list[int]:
        if self._special is None or not self._special.search(text):
            ids: list[int] = self._tokenizer(text, verbose=False)["input_ids"]
            return ids
        opening: list[int] = self._tokenizer("")["input_ids"]
        return opening + self.plain(text)

    def _chat(self, messages: Sequence[Message]) -> list[int]:
        """Render the template around placeholders where a message holds a special token, then put those back as text.

        Messages without one, nearly all, are encoded exactly as the model's makers do it.
        """
        if not self._tokenizer.chat_template:
            raise EngineError(f"{self._model} has no chat template: use the prompt form 'completion', or a chat model")
        hidden: list[str] = []
        mark = f"\ufdd0{secrets.token_hex(8)}\ufdd1"  # noncharacters and 64 random bits: no text can contain it

        def hide(match: re.Match[str]) -> str:
            hidden.append(match.group())
            return f"{mark}{len(hidden) - 1}{mark}"

        turns = [self._turn(message, hide) for message in messages]
        pieces = re.split(f"{mark}(\\d+){mark}", self._render(turns))
        ids: list[int] = []
        for place, piece in enumerate(pieces):
            if place % 2:
                ids += self.plain(hidden[int(piece)])
            elif piece:
                ids += self._tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _turn(self, message: Message, hide: Any) -> dict[str, Any]:
        turn = {**message, "content": content_text(message)}
        return {key: self._hidden(value, hide) for key, value in turn.items()}

    def _hidden(self, value: Any, hide: Any) -> Any:
        """The value with every special token in its strings, however deep, replaced by a placeholder."""
        if self._special is None:
            return value
        if isinstance(value, str):
            return self._special.sub(hide, value)
        if isinstance(value, list | tuple):
            return [self._hidden(item, hide) for item in value]
        if isinstance(value, dict):
            return {key: self._hidden(item, hide) for key, item in value.items()}
        return value

    def _render(self, turns: list[dict[str, Any]]) -> str:
        from jinja2 import TemplateError

        # A last turn of the assistant is the beginning of the answer: the model goes on from there.
        begun = bool(turns) and turns[-1].get("role") == "assistant"
        try:
            text: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
            )
        except (TemplateError, TypeError, ValueError, KeyError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"the chat template of {self._model} refuses these turns: {reason}") from error
        return text


def content_text(message: Message) -> str:
    """The text of a message whose content is a string or a list of text parts.

    Raises:
        EngineError: it holds something other than text.
    """
    content = message.get("content")
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple) and all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content
    ):
        return "".join(part["text"] for part in content)
    raise EngineError("a message holds something other than text: this engine reads text alone")
