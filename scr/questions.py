"""Lines of bulk input: plain questions, or requests of OpenAI's batch format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from scr.engines import Prompt, Sampling
from scr.errors import QueryError, UsageError
from scr.facts import check_query
from scr.lines import lines_of
from scr.query import text_of

_LONGEST_LINE = 4_000_000

_CARRIED_OUT = ("messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "seed", "stop")
_NO_MATTER = ("model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key")
# What else a body may say: what holds without it.
_USUAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "stream": (False,),
    "echo": (False,),
    "suffix": ("",),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One line of the input.

    Attributes:
        id: its ``id`` or ``custom_id``; the line's number where it has none.
        prompt: what is asked; None if the line is bad.
        sampling: how its answer is drawn.
        openai: whether it came in the OpenAI batch format, and so is answered in it.
        flaw: what is wrong with the line; None if nothing is.
    """

    id: str | int
    prompt: Prompt | None
    sampling: Sampling
    openai: bool = False
    flaw: str | None = None


def read_questions(file: BinaryIO, sampling: Sampling, form: str) -> Iterator[Question]:
    """Read plain lines ``{"id", "query"}`` or OpenAI's ``{"custom_id", "method", "url", "body"}``."""
    for number, data in lines_of(file, _LONGEST_LINE):
        if data is None:
            flaw = f"line {number}: it is longer than {_LONGEST_LINE:,} bytes: shorten it"
            yield Question(number, None, sampling, flaw=flaw)
        elif data.strip():
            yield _question(number, data, sampling, form)


def _question(number: int, data: bytes, sampling: Sampling, form: str) -> Question:
    identity: str | int = number
    openai = False
    try:
        record = json.loads(data, parse_constant=_refuse)
        if not isinstance(record, dict):
            raise QueryError('not a JSON object: write {"id": …, "query": "…"}')
        openai = "body" in record
        identity = record.get("custom_id" if openai else "id", number)
        prompt, own = _from_openai(record, sampling) if openai else (_plain(record, form), sampling)
        return Question(identity, prompt, own, openai)
    except UnicodeDecodeError as error:
        flaw = f"not UTF-8 (byte {error.start + 1})"
    except json.JSONDecodeError as error:
        flaw = f"not JSON ({error.msg}, character {error.pos + 1})"
    except (ValueError, RecursionError) as error:  # a number may have too many digits
        flaw = f"not JSON ({error})"
    except UsageError as error:
        flaw = str(error)
    return Question(identity, None, sampling, openai, f"line {number}: {flaw}")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _plain(record: Mapping[str, Any], form: str) -> Prompt:
    query = record.get("query")
    if not isinstance(query, str):
        raise QueryError('no "query" with a text')
    text = check_query(query)
    return text if form == "completion" else [{"role": "user", "content": text}]


def _from_openai(record: Mapping[str, Any], sampling: Sampling) -> tuple[Prompt, Sampling]:
    body = record["body"]
    if not isinstance(body, dict):
        raise QueryError('"body" is not an object')
    own = replace(
        sampling,
        max_tokens=_number(body, "max_completion_tokens", int, _number(body, "max_tokens", int, sampling.max_tokens)),
        temperature=_number(body, "temperature", (int, float), sampling.temperature),
        seed=_number(body, "seed", int, sampling.seed),
        stop=_stop(body, sampling.stop),
    )
    url = str(record.get("url", "/v1/chat/completions"))
    if url.endswith("/chat/completions"):
        prompt = _turns(body.get("messages"))
    elif url.endswith("/completions") and isinstance(body.get("prompt"), str):
        prompt = check_query(body["prompt"])
    else:
        raise QueryError(f'"url" is {url!r}: use /v1/chat/completions, or /v1/completions with a text as "prompt"')
    _check_members(body)
    return prompt, own


def _check_members(body: Mapping[str, Any]) -> None:
    """Refuse what would change the answer and is not carried out; null is as if it were not said.

    Raises:
        QueryError: there is such a member.
    """
    known = {*_CARRIED_OUT, *_NO_MATTER}
    asked = {name: value for name, value in body.items() if value is not None and name not in known}
    if unmet := [name for name, value in asked.items() if not _is_usual(name, value)]:
        named = ", ".join(repr(name[:60]) for name in unmet[:5])
        raise QueryError(
            f'{named} in "body" would change the answer and is not carried out: leave it out (carried out are '
            f"{', '.join(_CARRIED_OUT)})"
        )


def _is_usual(name: str, value: Any) -> bool:
    # True is 1 to Python, and no number of answers.
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in _USUAL.get(name, ()))


def _turns(messages: Any) -> Prompt:
    turns = messages if isinstance(messages, list) else []
    if not turns or not all(isinstance(turn, dict) and "role" in turn for turn in turns):
        raise QueryError('"messages" is not a list of turns with "role" and "content"')
    for turn in turns:
        if text := text_of(turn):
            check_query(text)
    return turns


def _number(body: Mapping[str, Any], name: str, kind: type[int] | tuple[type, ...], default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, kind):
        raise QueryError(f"{name!r} is not a {'whole ' if kind is int else ''}number")
    return value


def _stop(body: Mapping[str, Any], default: tuple[str, ...]) -> tuple[str, ...]:
    value = body.get("stop")
    if value is None:
        return default
    strings = [value] if isinstance(value, str) else value
    if not isinstance(strings, list) or not all(isinstance(one, str) for one in strings):
        raise QueryError("'stop' is not a text or a list of texts")
    return tuple(strings)
