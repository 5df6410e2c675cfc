"""A LangChain runnable that puts the facts into the messages before a chat model: ``Facts(edits) | model``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scr.api import Edits, open_edits
from scr.engines import Message
from scr.errors import MissingExtra
from scr.pipeline import Decision
from scr.query import query_of

try:
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import BaseMessage, convert_to_messages
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import Runnable, RunnableConfig
except ModuleNotFoundError as error:
    raise MissingExtra("langchain", "the LangChain runnable") from error

_ROLES = {"human": "user", "ai": "assistant"}


class Facts(Runnable[LanguageModelInput, LanguageModelInput]):
    """Shows a chat model the facts that govern what it is asked.

    Takes what a chat model takes, a text, a prompt's value or messages, and gives what the model is to be given. Where
    no fact applies that is the very object that came; else a list of messages, of which the last human one has other
    text and every other is the object that came. A batch is decided as one. Asynchronous calls decide in a thread.

    Args:
        edits: the facts, or the folder of their store.

    Raises:
        StoreError: the store cannot be opened; one of its subclasses.
    """

    def __init__(self, edits: Edits | str | Path) -> None:
        self.edits = edits if isinstance(edits, Edits) else open_edits(edits)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **_: Any) -> LanguageModelInput:
        """One input with the facts that govern it."""
        return self._call_with_config(self._shown, input, config)

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **_: Any,
    ) -> LanguageModelInput:
        """:meth:`invoke` for an event loop."""

        async def shown(given: LanguageModelInput) -> LanguageModelInput:
            return await asyncio.to_thread(self._shown, given)

        return await self._acall_with_config(shown, input, config)

    def batch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[LanguageModelInput]:
        """Many inputs, decided as one; with ``return_exceptions`` one that fails does not stop the rest."""
        return self._batch_with_config(self._all_shown, inputs, config, return_exceptions=return_exceptions)

    async def abatch(
        self,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **_: Any,
    ) -> list[LanguageModelInput]:
        """:meth:`batch` for an event loop."""

        async def shown(given: list[LanguageModelInput]) -> list[Exception | LanguageModelInput]:
            return await asyncio.to_thread(self._all_shown, given)

        return await self._abatch_with_config(shown, inputs, config, return_exceptions=return_exceptions)

    def _shown(self, given: LanguageModelInput) -> LanguageModelInput:
        messages = _messages(given)
        turns = [_turn(message) for message in messages]
        if not query_of(turns).strip():
            return given
        return self._with_facts(given, messages, turns, self.edits.pipeline.decide(turns))

    def _all_shown(self, inputs: list[LanguageModelInput]) -> list[Exception | LanguageModelInput]:
        try:
            messages = [_messages(given) for given in inputs]
            turns = [[_turn(message) for message in each] for each in messages]
            asking = [place for place, each in enumerate(turns) if query_of(each).strip()]
            decisions = self.edits.pipeline.decide_all([turns[place] for place in asking])
            shown: list[Exception | LanguageModelInput] = list(inputs)
            for place, decision in zip(asking, decisions, strict=True):
                shown[place] = self._with_facts(inputs[place], messages[place], turns[place], decision)
        except Exception as error:
            if len(inputs) == 1:
                return [error]
            return [found for given in inputs for found in self._all_shown([given])]
        return shown

    def _with_facts(
        self, given: LanguageModelInput, messages: Sequence[BaseMessage], turns: Sequence[Message], decision: Decision
    ) -> LanguageModelInput:
        prompt = self.edits.pipeline.messages(turns, decision).prompt
        if prompt is turns or isinstance(prompt, str):
            return given
        return [
            message if new is old else message.model_copy(update={"content": new["content"]})
            for message, old, new in zip(messages, turns, prompt, strict=True)
        ]


def _messages(given: LanguageModelInput) -> Sequence[BaseMessage]:
    if isinstance(given, PromptValue):
        return given.to_messages()
    return convert_to_messages([("human", given)] if isinstance(given, str) else given)


def _turn(message: BaseMessage) -> Message:
    """A message in the OpenAI layout, as far as deciding and rendering look at it."""
    content = message.content
    if not isinstance(content, str):
        content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"role": _ROLES.get(message.type, message.type), "content": content}
