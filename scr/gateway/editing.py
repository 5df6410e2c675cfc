"""What the model server is to be sent in place of what a client sent: the same, or the same with facts in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Literal, TypeAlias, TypeVar, get_args

from scr.context import Context, ContextBuilder, Form
from scr.engines import Prompt
from scr.errors import UsageError
from scr.facts import DEFAULT_NAMESPACE, Fact, check_namespace, parse_time
from scr.gateway.body import Body, Path
from scr.gateway.deciding import CannotDecide, Decider
from scr.gateway.keys import ANYONE, Key
from scr.pipeline import Decision
from scr.query import query_of, text_of

Mode: TypeAlias = Literal["on", "off", "explain"]
OnFailure: TypeAlias = Literal["pass", "refuse"]

EDITED: dict[str, Form] = {"/v1/chat/completions": "chat", "/v1/completions": "completion"}
"""Routes whose requests get facts, and the form of their prompts."""

STEERING = "scr"
"""The member of a body that speaks to the gateway; the model server never sees it."""

_GOES_BY = frozenset((STEERING, "mode", "namespace", "as_of", "messages", "prompt", "role", "content", "type", "text"))
"""Members that decide what is done; one that stands twice may be another one to the model server."""

_LARGE = 2**18
"""Bytes of a body that others are not to wait for while it is read."""

_HALVES = re.compile("[\ud800-\udfff]")

MOST_PROMPTS = 256
"""Most prompts of one completions request that are decided."""

MOST_CHARACTERS = 1_000_000
"""Most characters of its questions: they are taken to pieces whole, and others wait for that."""


_A = TypeVar("_A")
_B = TypeVar("_B")


class NotAllowed(UsageError):
    """The key has not the right to what the request asks for."""


@dataclass(frozen=True, slots=True)
class Steering:
    """How one request wants to be treated.

    Attributes:
        mode: ``off`` leaves it as it is, ``explain`` has the decision told in the reply.
        namespace: whose facts; None is the key's or the gateway's own.
        as_of: the store as it was then; None is now.
    """

    mode: Mode = "on"
    namespace: str | None = None
    as_of: datetime | None = None

    @classmethod
    def of(cls, given: object) -> Steering:
        """Check what a body's ``scr`` says.

        Raises:
            UsageError: it is not of the form.
        """
        if not isinstance(given, Mapping):
            raise UsageError('"scr" is no object: write {"scr": {"mode": "on|off|explain"}}')
        if unknown := sorted(set(map(str, given)) - {"mode", "namespace", "as_of"}):
            raise UsageError(f'"scr" has no {unknown[0][:60]!r}: it has mode, namespace and as_of')
        mode, namespace, as_of = given.get("mode", "on"), given.get("namespace"), given.get("as_of")
        if mode not in get_args(Mode):
            raise UsageError('the mode in "scr" is unknown: use on, off or explain')
        if not isinstance(namespace, str | None) or not isinstance(as_of, str | None):
            raise UsageError('namespace and as_of in "scr" are strings: put them in quotes')
        return cls(
            mode,
            check_namespace(namespace) if namespace is not None else None,
            parse_time(as_of) if as_of is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Edited:
    """A request as the model server is to get it.

    Attributes:
        content: the body; the very bytes that came if nothing was to be changed.
        facts: ids of the facts that were put in, best first.
        explanation: of each prompt the decision's public JSON; None unless the request asked for it.
        failure: why it could not be decided, in one word; None if it could.
        seconds: that reading, deciding and rendering took.
        namespace: where it was decided.
        decisions: on each prompt.
    """

    content: bytes
    facts: tuple[str, ...] = ()
    explanation: list[dict[str, Any]] | None = None
    failure: str | None = None
    seconds: float = 0.0
    namespace: str = DEFAULT_NAMESPACE
    decisions: tuple[Decision, ...] = ()

    @property
    def decision(self) -> Literal["edited", "passed"]:
        """What the reply's header says."""
        return "edited" if self.facts else "passed"


class Editor:
    """Puts the facts that govern a request into it.

    Args:
        decider: says which do.
        context: shows them to the model.
        namespace: whose facts, where a request does not say.
        on_failure: whether a request goes through unedited that cannot be decided, or is refused.
    """

    def __init__(
        self,
        decider: Decider,
        context: ContextBuilder,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        on_failure: OnFailure = "pass",
    ) -> None:
        self.decider, self.namespace, self.on_failure = decider, namespace, on_failure
        self._context = context

    def warm(self) -> None:
        """Open what the first request would else wait for.

        Raises:
            ScrError: it cannot be opened.
        """
        self.decider.warm()
        stated = dict.fromkeys(Fact.__dataclass_fields__) | {"id": "", "text": "It is so.", "supersedes": ()}
        for prompt in ("Is it so?", [{"role": "user", "content": "Is it so?"}]):
            self._context.build(prompt, [Fact(**stated)])  # type: ignore[arg-type]

    async def edit(self, form: Form, raw: bytes, key: Key = ANYONE) -> Edited:
        """The body of a chat or completions request as the model server is to get it.

        A body that makes no sense is left as it is: the model server says in its own words what is wrong with it.

        Raises:
            UsageError: the request's steering is not of its form.
            NotAllowed: the key may not have what it asks for.
            CannotDecide: it cannot be decided, and is then to be refused.
        """
        start = perf_counter()
        body = await _off_the_loop(raw, Body.read, raw)
        if body is None:
            return Edited(raw, seconds=perf_counter() - start)
        if twice := body.twice & _GOES_BY:
            raise UsageError(f"{min(twice)!r} stands twice in an object of the request: say it once, as servers differ")
        steering = Steering.of(body.value[STEERING]) if STEERING in body.value else Steering()
        namespace = self.allowed(steering, key)
        body = await _off_the_loop(raw, body.without, STEERING)
        prompts = dict(prompts_in(form, body.value)) if steering.mode != "off" else {}
        try:
            contexts = await self.contexts(list(prompts.values()), namespace, steering.as_of)
        except CannotDecide as problem:
            if self.on_failure == "refuse":
                problem.namespace = namespace
                raise
            return Edited(body.raw, failure=problem.reason, seconds=perf_counter() - start, namespace=namespace)
        changed: dict[Path, str] = {}
        for (path, prompt), (_, context) in zip(prompts.items(), contexts, strict=True):
            changed.update(differences(path, prompt, context))
        return Edited(
            await _off_the_loop(raw, body.with_strings, changed),
            tuple(dict.fromkeys(fact.id for _, context in contexts for fact in context.shown)),
            [decision.to_json() for decision, _ in contexts] if steering.mode == "explain" else None,
            seconds=perf_counter() - start,
            namespace=namespace,
            decisions=tuple(decision for decision, _ in contexts),
        )

    def allowed(self, steering: Steering, key: Key) -> str:
        """The namespace that a request is decided in.

        Raises:
            NotAllowed: the key may not have what the request asks for.
        """
        namespace = key.namespace(steering.namespace, self.namespace)
        if namespace is None:
            raise NotAllowed(f"the key has no rights in the namespace {steering.namespace!r}: leave it out")
        if steering.mode == "explain" and not key.may("read"):
            raise NotAllowed("the key may not read facts, so it may not have decisions explained: ask for that right")
        return namespace

    async def contexts(
        self, prompts: Sequence[Prompt], namespace: str, as_of: datetime | None = None
    ) -> list[tuple[Decision, Context]]:
        """Of each prompt the decision, and what the model is to be given.

        Raises:
            CannotDecide: that cannot be said.
        """
        if not prompts:
            return []
        if len(prompts) > MOST_PROMPTS:
            raise CannotDecide("large", f"more than {MOST_PROMPTS} prompts in one request: send fewer at once")
        if sum(len(query_of(prompt)) for prompt in prompts) > MOST_CHARACTERS:
            raise CannotDecide("large", f"more than {MOST_CHARACTERS:,} characters to look up: send fewer at once")
        decisions = await self.decider.decide(prompts, namespace, as_of)
        try:
            return [
                (decision, self._context.build(prompt, decision.applying))
                for prompt, decision in zip(prompts, decisions, strict=True)
            ]
        except UsageError as error:  # a template of the operator's own
            raise CannotDecide("internal", str(error)) from error


async def _off_the_loop(raw: bytes, work: Callable[[_A], _B], given: _A) -> _B:
    return await asyncio.to_thread(work, given) if len(raw) > _LARGE else work(given)


def prompts_in(form: Form, value: Mapping[str, Any]) -> Iterator[tuple[Path, Prompt]]:
    """The prompts of a request that ask something, and where they stand in it; token ids are left alone."""
    if form == "chat":
        turns = value.get("messages")
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            return
        # The question may lean on any turn.
        if _asks(query_of(turns)) and not any(_HALVES.search(text_of(turn)) for turn in turns):
            yield ("messages",), turns
        return
    prompt = value.get("prompt")
    if isinstance(prompt, str) and _asks(prompt):
        yield ("prompt",), prompt
    elif isinstance(prompt, list):
        for place, one in enumerate(prompt):
            if isinstance(one, str) and _asks(one):
                yield ("prompt", place), one


def _asks(query: str) -> bool:
    """Whether there is something to look up. Halves of characters are no text; the model server refuses them."""
    return bool(query.strip()) and not _HALVES.search(query)


def differences(path: Path, prompt: Prompt, context: Context) -> Iterator[tuple[Path, str]]:
    """The strings that a context changes of a prompt: where each stands, and what it says now."""
    if isinstance(context.prompt, str) or isinstance(prompt, str):
        if isinstance(context.prompt, str) and context.prompt != prompt:
            yield path, context.prompt
        return
    for place, (old, new) in enumerate(zip(prompt, context.prompt, strict=True)):
        if new is old:
            continue
        content = new["content"]
        if isinstance(content, str):
            yield (*path, place, "content"), content
            continue
        for number, (before, after) in enumerate(zip(old["content"], content, strict=True)):
            if after is not before:
                yield (*path, place, "content", number, "text"), after["text"]
