"""Options that go together, said once: commands take them as one parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from scr.commands import options

if TYPE_CHECKING:
    from scr.engines import Sampling


@dataclass(frozen=True, slots=True)
class Deciding:
    """How it is decided which facts apply."""

    scope: options.Scope = None
    threshold: options.Threshold = None
    top_k: options.TopK = 10


@dataclass(frozen=True, slots=True)
class Asking:
    """Which model is asked."""

    model: options.Model = None
    base_url: options.BaseUrl = None
    api_key: options.ApiKey = None
    prompts: options.Prompts = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """How answers are drawn."""

    max_tokens: options.MaxTokens = options.MAX_TOKENS
    temperature: options.Temperature = 0.0
    seed: options.Seed = None

    @property
    def sampling(self) -> Sampling:
        """As engines take it."""
        from scr.engines import Sampling

        return Sampling(max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Stating:
    """What is known of a fact besides its text."""

    subject: Annotated[str | None, typer.Option(metavar="TEXT", help="What the fact is about: France.")] = None
    relation: Annotated[str | None, typer.Option(metavar="TEXT", help="What it says of it: capital.")] = None
    object: Annotated[str | None, typer.Option(metavar="TEXT", help="The value: Lyon.")] = None
    question: Annotated[str | None, typer.Option(metavar="TEXT", help="A question that it answers.")] = None
    source: Annotated[str | None, typer.Option(metavar="TEXT", help="Where it comes from.")] = None
    valid_from: Annotated[str | None, typer.Option(metavar="DATE", help="From when it holds.")] = None
    valid_to: Annotated[str | None, typer.Option(metavar="DATE", help="Until when it holds.")] = None


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Give Typer, which knows single options alone, a command whose parameters may be dataclasses of options.

    The default of such a parameter, if it has one, holds the defaults of its options.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}

    def parameters() -> Iterator[Parameter]:
        for parameter in signature(command).parameters.values():
            if parameter.name in groups:
                yield from _options(groups[parameter.name], parameter.default)
            else:
                yield parameter.replace(annotation=hints[parameter.name], kind=Parameter.KEYWORD_ONLY)

    def spread_out(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    spread_out.__name__, spread_out.__doc__, spread_out.__module__ = (
        command.__name__,
        command.__doc__,
        command.__module__,
    )
    spread_out.__signature__ = Signature([*parameters()])  # type: ignore[attr-defined]
    return spread_out


def _options(kind: Any, defaults: Any) -> Iterator[Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        default = getattr(defaults, field.name, field.default)
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])
