"""Facts into a prompt, within a token budget.

The facts that govern a query are shown to the unmodified model in the turn that asks it. How they are
worded is a template's business (``prompts/chat.jinja``, ``prompts/completion.jinja``); what is promised here is
that nothing but that one turn changes and that every fact is shown as it was stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from scr.engines import Message, Prompt
from scr.errors import UsageError
from scr.facts import Fact
from scr.shipped import shipped
from scr.templates import filled, load_template, tag_for

if TYPE_CHECKING:
    from jinja2 import Template

Form: TypeAlias = Literal["chat", "completion"]
"""``chat``: a list of turns, whose last user turn is rendered. ``completion``: a text that the model continues."""

FORMS: tuple[Form, ...] = ("chat", "completion")

DEFAULT_BUDGET = 1_536
"""Most tokens of facts in a prompt; one English fact of the greatest length always fits."""

_PER_FACT = 4
# Tokens around each fact: the bullet and the line break, rounded up.

_BYTES_PER_TOKEN = 3
# Where no tokenizer is at hand. English has 4 to 5 bytes a token, Chinese and Japanese about 3, so prose is
# overestimated; digits and rare letters may have a token each.

_TEXT_PARTS = ("text", "input_text")


@dataclass(frozen=True)
class Context:
    """What the model is given.

    Attributes:
        prompt: turns or text; the very object that came in if no fact is shown.
        shown: facts in the prompt, in the order in which they stand there.
        dropped: facts that apply but did not fit the budget.
        tokens: length of the shown facts; an estimate, high for prose, where the engine cannot count.
    """

    prompt: Prompt
    shown: tuple[Fact, ...] = ()
    dropped: tuple[Fact, ...] = ()
    tokens: int = 0


class ContextBuilder:
    """Renders facts into prompts through the templates of one folder.

    Args:
        prompts: folder with templates of one's own, each in place of the shipped one of its name; None is
            ``SCR_PROMPTS`` or, without that, the shipped ones.
        budget: most tokens of facts in a prompt.
        count_tokens: an engine's way to count; without it, or where it says None, length is estimated.

    Attributes:
        folders: where templates are looked for, one's own first.

    Raises:
        UsageError: the folder is not there, or holds no template.
    """

    def __init__(
        self,
        prompts: Path | None = None,
        *,
        budget: int = DEFAULT_BUDGET,
        count_tokens: Callable[[str], int | None] | None = None,
    ) -> None:
        self.folders = _template_folders(prompts)
        self._budget = budget
        self._count_tokens = count_tokens
        self._templates: dict[Form, Template] = {}

    def count_with(self, count_tokens: Callable[[str], int | None]) -> None:
        """Measure facts with an engine's tokenizer from now on."""
        self._count_tokens = count_tokens

    def fingerprint(self) -> str:
        """Of the wording of every template, in few letters."""
        import xxhash

        found = {path.name: path for folder in reversed(self.folders) for path in folder.glob("*.jinja")}
        digest = xxhash.xxh64()
        for name, path in sorted(found.items()):
            digest.update(f"{name}\n".encode() + path.read_bytes())
        return digest.hexdigest()

    def build(self, prompt: Prompt, facts: Sequence[Fact]) -> Context:
        """Show facts to the model, or leave the prompt as it is where there are none.

        Args:
            prompt: turns in the OpenAI layout, or a text to continue. It is not altered.
            facts: those that apply, most relevant first; those that exceed the budget are dropped from the end.

        Raises:
            UsageError: the template is wrong, or no user turn holds text.
        """
        shown, tokens = self._within_budget(facts)
        dropped = tuple(facts[len(shown) :])
        if not shown:
            return Context(prompt, dropped=dropped)
        if isinstance(prompt, str):
            return Context(self._render("completion", prompt, shown), shown, dropped, tokens)
        return Context(self._with_last_user_turn(prompt, shown), shown, dropped, tokens)

    def _within_budget(self, facts: Sequence[Fact]) -> tuple[tuple[Fact, ...], int]:
        """The longest run of facts from the start that fits, and its length in tokens."""
        total = 0
        for place, fact in enumerate(facts):
            length = self._length(fact.text) + _PER_FACT
            if total + length > self._budget:
                return tuple(facts[:place]), total
            total += length
        return tuple(facts), total

    def _length(self, text: str) -> int:
        counted = self._count_tokens(text) if self._count_tokens else None
        return counted if counted is not None else -(-len(text.encode()) // _BYTES_PER_TOKEN)

    def _with_last_user_turn(self, turns: Sequence[Message], facts: tuple[Fact, ...]) -> list[Message]:
        for place in range(len(turns) - 1, -1, -1):
            if turns[place].get("role") == "user":
                break
        else:
            raise UsageError("no turn has the role 'user': facts are shown in the turn that asks")
        turn = turns[place]
        return [*turns[:place], {**turn, "content": self._content(turn.get("content"), facts)}, *turns[place + 1 :]]

    def _content(self, content: object, facts: tuple[Fact, ...]) -> str | list[Any]:
        """Render a turn's text; of a list of parts the last text is it, and every other part stays."""
        if isinstance(content, str):
            return self._render("chat", content, facts)
        parts = list(content) if isinstance(content, Sequence) else []
        for place in range(len(parts) - 1, -1, -1):
            part = parts[place]
            if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
                parts[place] = {**part, "text": self._render("chat", part["text"], facts)}
                return parts
        raise UsageError("the last user turn holds no text: facts are shown beside the question that they answer")

    def _render(self, form: Form, query: str, facts: tuple[Fact, ...]) -> str:
        """Fill the template; ``tag`` names the marks around the facts."""
        if form not in self._templates:
            self._templates[form] = load_template(form, self.folders)
        tag = tag_for([query, *(fact.text for fact in facts)])
        return filled(self._templates[form], _promised(query, facts), query=query, facts=facts, tag=tag)


def _promised(query: str, facts: Sequence[Fact]) -> list[tuple[str, str]]:
    return [("the query", query), *((f"fact {fact.id}", fact.text) for fact in facts)]


def _template_folders(prompts: Path | None) -> tuple[Path, ...]:
    """Where templates are looked for, in that order."""
    if prompts is None and (variable := os.environ.get("SCR_PROMPTS")):
        prompts = Path(variable)
    if prompts is None:
        return (shipped("prompts"),)
    if not prompts.is_dir():
        raise UsageError(f"there is no folder {prompts} with prompts: correct the path (SCR_PROMPTS) or leave it out")
    if not any((prompts / f"{form}.jinja").is_file() for form in FORMS):
        names = " nor ".join(f"{form}.jinja" for form in FORMS)
        raise UsageError(f"the folder {prompts} holds neither {names}: copy one there from {shipped('prompts')}")
    return (prompts, shipped("prompts"))
