"""Questions in bulk: read a line at a time, answered in parallel, each answer written when it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, BinaryIO, Literal, TypeAlias

from scr.answers import Answers, Record
from scr.context import Context
from scr.engines import Completion, Outcome, Prompt, Sampling
from scr.errors import EngineError, EngineRefused, EngineUnavailable, ModelNotFound, QueryError, UsageError
from scr.facts import Fact, check_query
from scr.pipeline import Decision, Pipeline
from scr.query import text_of

Mode: TypeAlias = Literal["edited", "bare", "compare"]

_LONGEST_LINE = 4_000_000
# These concern every question alike, so the run ends; what was written is kept and the next run goes on there.
_FATAL = (EngineUnavailable, EngineRefused, ModelNotFound)


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


_Placed: TypeAlias = tuple[int, Question]
"""A question with its place in the input, from 0."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did: lines answered, lines that failed, lines that an earlier run had done."""

    answered: int
    failed: int
    resumed: int


def read_questions(file: BinaryIO, sampling: Sampling, form: str) -> Iterator[Question]:
    """Read plain lines ``{"id", "query"}`` or OpenAI's ``{"custom_id", "method", "url", "body"}``."""
    for number, data in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
        if data.strip():
            yield _question(number, data, sampling, form)


def _question(number: int, data: bytes, sampling: Sampling, form: str) -> Question:
    identity: str | int = number
    openai = False
    try:
        record = json.loads(data)
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
    )
    url = str(record.get("url", "/v1/chat/completions"))
    if url.endswith("/chat/completions"):
        return _turns(body.get("messages")), own
    if url.endswith("/completions") and isinstance(body.get("prompt"), str):
        return check_query(body["prompt"]), own
    raise QueryError(f'"url" is {url!r}: use /v1/chat/completions, or /v1/completions with a text as "prompt"')


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


class Batch:
    """Answers questions through a pipeline, chunk by chunk.

    Args:
        pipeline: with an engine.
        mode: with the facts, without them, or both.
        chunk: how many questions are decided and answered together.
    """

    def __init__(self, pipeline: Pipeline, mode: Mode = "edited", chunk: int = 256) -> None:
        self._pipeline, self._mode, self._chunk = pipeline, mode, chunk

    def run(self, questions: Iterable[Question], answers: Answers, progress: Callable[[int], None]) -> Counts:
        """Answer what is not done yet; each answer is written when it is there.

        Raises:
            UsageError: the lines that are done are not the first ones of the input.
            EngineError: the server cannot be used at all; what was answered stays.
        """
        remaining = enumerate(questions)
        _pass_over(remaining, answers.done, progress)
        answered = failed = 0
        resumed = len(answers.done)
        while chunk := list(islice(remaining, self._chunk)):
            asked = list(_unclaimed(chunk, answers, progress))
            resumed += len(chunk) - len(asked)
            with closing(self._answer(asked)) as records:
                for place, record in records:
                    answers.put(place, record)
                    progress(1)
                    failed += bool(record.get("error"))
                    answered += not record.get("error")
        return Counts(answered, failed, resumed)

    def _answer(self, asked: Sequence[_Placed]) -> Generator[tuple[int, Record], None, None]:
        """Places and records, each as soon as it is there."""
        for place, question in asked:
            if question.flaw:
                yield place, _error(question, question.flaw)
        good = [one for one in asked if one[1].prompt is not None]
        good.sort(key=lambda one: repr(one[1].sampling))
        for sampling, group in groupby(good, key=lambda one: one[1].sampling):
            yield from self._alike(list(group), sampling)

    def _alike(self, asked: Sequence[_Placed], sampling: Sampling) -> Generator[tuple[int, Record], None, None]:
        """Records for questions of one sampling; one that fails does not stop the others."""
        prompts = [question.prompt for _, question in asked if question.prompt is not None]
        edited = [_Edited()] * len(prompts) if self._mode == "bare" else self._edit(prompts)
        requests: list[tuple[int, Prompt]] = []
        for number, (edit, prompt) in enumerate(zip(edited, prompts, strict=True)):
            if edit.flaw is None:
                # Out of scope the bare answer is the answer: the request is the same.
                both = self._mode == "compare" and edit.shown
                requests += [(number, edit.given(prompt)), *([(number, prompt)] if both else [])]
            else:
                yield asked[number][0], _error(asked[number][1], edit.flaw)
        with closing(self._outcomes([prompt for _, prompt in requests], sampling)) as outcomes:
            for number, said in _whole([number for number, _ in requests], outcomes):
                bare = said[-1] if self._mode == "compare" else None
                yield asked[number][0], _record(asked[number][1], edited[number], said[0], bare)

    def _edit(self, prompts: Sequence[Prompt]) -> list[_Edited]:
        edited = []
        for prompt, decision in zip(prompts, self._pipeline.decide_all(prompts), strict=True):
            try:
                edited.append(_Edited(decision, self._pipeline.messages(prompt, decision)))
            except UsageError as error:
                edited.append(_Edited(decision, flaw=str(error)))
        return edited

    def _outcomes(self, prompts: Sequence[Prompt], sampling: Sampling) -> Generator[tuple[int, Outcome], None, None]:
        """Ask the model: the place of each prompt and what became of it, as it comes."""
        engine = self._pipeline.engine
        if engine is None:
            raise ValueError("this pipeline has no engine: give it one to ask")
        with ExitStack() as leaving:
            outcomes = engine.generate_each(prompts, sampling)
            # Leaving it is what stops the questions that are under way; that is not left to the garbage collector.
            leaving.callback(getattr(outcomes, "close", lambda: None))
            for place, outcome in outcomes:
                if isinstance(outcome, _FATAL):
                    raise outcome
                yield place, outcome


def _pass_over(questions: Iterator[_Placed], done: Sequence[str | int], progress: Callable[[int], None]) -> None:
    for identity, (_, question) in zip(done, questions, strict=False):
        if question.id != identity:
            raise UsageError(
                f"the output goes on another input: it has {identity!r} where the input has {question.id!r}: "
                "choose another -o"
            )
        progress(1)


def _unclaimed(chunk: Iterable[_Placed], answers: Answers, progress: Callable[[int], None]) -> Iterator[_Placed]:
    """The questions whose answers did not wait for their turn when an earlier run ended."""
    for place, question in chunk:
        if record := answers.claim(place, question.id):
            answers.put(place, record)
            progress(1)
        else:
            yield place, question


def _whole(
    numbers: Sequence[int], outcomes: Iterable[tuple[int, Outcome]]
) -> Iterator[tuple[int, tuple[Outcome, ...]]]:
    """Gather the outcomes of the prompts that share a number, in their order; yields a number when all are there."""
    places: dict[int, list[int]] = {}
    for place, number in enumerate(numbers):
        places.setdefault(number, []).append(place)
    there: dict[int, Outcome] = {}
    for place, outcome in outcomes:
        there[place] = outcome
        wanted = places[numbers[place]]
        if all(one in there for one in wanted):
            yield numbers[place], tuple(there.pop(one) for one in wanted)


@dataclass(frozen=True, slots=True)
class _Edited:
    """A question with what the facts make of it; the bare one has neither decision nor context."""

    decision: Decision | None = None
    context: Context | None = None
    flaw: str | None = None

    @property
    def shown(self) -> tuple[Fact, ...]:
        return self.context.shown if self.context else ()

    def given(self, prompt: Prompt) -> Prompt:
        return self.context.prompt if self.context else prompt


def _record(question: Question, edited: _Edited, said: Outcome, bare: Outcome | None) -> Record:
    failure = next((str(one) for one in (said, bare) if isinstance(one, EngineError)), None)
    if failure or not isinstance(said, Completion):
        return _error(question, failure or "the model gave no answer")
    facts = [fact.id for fact in edited.shown]
    plain = bare.text if isinstance(bare, Completion) and edited.decision else None
    if question.openai:
        return _openai_record(question, said, facts, plain)
    query = question.prompt if isinstance(question.prompt, str) else text_of((question.prompt or [{}])[-1])
    record: Record = {"id": question.id, "query": query, "answer": said.text}
    if edited.decision:
        record |= {"in_scope": edited.decision.in_scope, "facts": facts}
    return record if plain is None else {**record, "bare_answer": plain}


def _openai_record(question: Question, completion: Completion, facts: Sequence[str], bare: str | None) -> Record:
    chat = not isinstance(question.prompt, str)
    said = {"message": {"role": "assistant", "content": completion.text}} if chat else {"text": completion.text}
    body: dict[str, Any] = {
        "object": "chat.completion" if chat else "text_completion",
        "choices": [{"index": 0, **said, "finish_reason": completion.finish_reason}],
        "usage": {
            "prompt_tokens": completion.prompt_tokens,
            "completion_tokens": completion.completion_tokens,
            "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        },
        "scr": {"facts": list(facts)} | ({"bare_answer": bare} if bare is not None else {}),
    }
    return {"custom_id": question.id, "response": {"status_code": 200, "body": body}, "error": None}


def _error(question: Question, message: str) -> Record:
    if question.openai:
        return {"custom_id": question.id, "response": None, "error": {"code": "failed", "message": message}}
    return {"id": question.id, "error": message}
