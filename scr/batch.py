"""Questions in bulk: read a line at a time, answered in parallel, written in order, gone on with after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias

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
    except (json.JSONDecodeError, RecursionError) as error:
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
        max_tokens=_number(body, "max_completion_tokens", _number(body, "max_tokens", sampling.max_tokens)),
        temperature=_number(body, "temperature", sampling.temperature),
        seed=_number(body, "seed", sampling.seed),
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


def _number(body: Mapping[str, Any], name: str, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise QueryError(f"{name!r} is not a number")
    return value


def resume(output: Path) -> list[str | int]:
    """Ids that an earlier run has written, in order; a last line that was cut off is taken away.

    Raises:
        UsageError: the file is not one that this wrote, or cannot be one.
    """
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise UsageError(f"cannot write {output}: it is a folder or lies in none: choose another -o")
    if not output.exists():
        return []
    done: list[str | int] = []
    with output.open("r+b") as file:
        end = 0
        for data in file:
            if not data.endswith(b"\n"):
                break
            try:
                record = json.loads(data)
                done.append(record["custom_id"] if "custom_id" in record else record["id"])
            except (ValueError, KeyError, TypeError):
                raise UsageError(f"{output} is not an output of `scr batch`: choose another -o") from None
            end += len(data)
        file.truncate(end)
    return done


class Batch:
    """Answers questions through a pipeline, chunk by chunk.

    Args:
        pipeline: with an engine.
        mode: with the facts, without them, or both.
        chunk: how many questions are decided and answered together.
    """

    def __init__(self, pipeline: Pipeline, mode: Mode = "edited", chunk: int = 256) -> None:
        self._pipeline, self._mode, self._chunk = pipeline, mode, chunk

    def run(
        self, questions: Iterable[Question], done: Sequence[str | int], out: TextIO, progress: Callable[[int], None]
    ) -> Counts:
        """Answer what is not done yet; every line that was written is complete.

        Raises:
            UsageError: the lines that are done are not the first ones of the input.
            EngineError: the server cannot be used at all; what was written stays.
        """
        remaining = iter(questions)
        for identity, question in zip(done, remaining, strict=False):
            if question.id != identity:
                raise UsageError(
                    f"the output goes on another input: it has {identity!r} where the input has {question.id!r}: "
                    "choose another -o"
                )
            progress(1)
        answered = failed = 0
        while chunk := list(islice(remaining, self._chunk)):
            records = self._answer(chunk)
            for record in records:
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
            out.flush()
            bad = sum(1 for record in records if record.get("error"))
            answered, failed = answered + len(records) - bad, failed + bad
            progress(len(records))
        return Counts(answered, failed, len(done))

    def _answer(self, chunk: Sequence[Question]) -> list[dict[str, Any]]:
        records: dict[int, dict[str, Any]] = {}
        good = [place for place, question in enumerate(chunk) if question.prompt is not None]
        for place, question in enumerate(chunk):
            if question.flaw:
                records[place] = _error(question, question.flaw)
        good.sort(key=lambda place: repr(chunk[place].sampling))
        for _, group in groupby(good, key=lambda place: chunk[place].sampling):
            places = list(group)
            records.update(zip(places, self._alike([chunk[place] for place in places]), strict=True))
        return [records[place] for place in range(len(chunk))]

    def _alike(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """Records for questions of one sampling; one that fails does not stop the others."""
        prompts = [question.prompt for question in questions if question.prompt is not None]
        edited = [_Edited()] * len(prompts) if self._mode == "bare" else self._edit(prompts)
        asked = {place: edit.given(prompts[place]) for place, edit in enumerate(edited) if edit.flaw is None}
        said = self._complete(asked, questions[0].sampling)
        bare: dict[int, Outcome] = said if self._mode != "edited" else {}
        if self._mode == "compare":
            # Out of scope the bare answer is the answer: the request was the same.
            again = [place for place in said if edited[place].shown and isinstance(said[place], Completion)]
            bare = {**said, **self._complete({place: prompts[place] for place in again}, questions[0].sampling)}
        return [
            _record(question, edited[place], said.get(place), bare.get(place))
            for place, question in enumerate(questions)
        ]

    def _edit(self, prompts: Sequence[Prompt]) -> list[_Edited]:
        edited = []
        for prompt, decision in zip(prompts, self._pipeline.decide_all(prompts), strict=True):
            try:
                edited.append(_Edited(decision, self._pipeline.messages(prompt, decision)))
            except UsageError as error:
                edited.append(_Edited(decision, flaw=str(error)))
        return edited

    def _complete(self, prompts: Mapping[int, Prompt], sampling: Sampling) -> dict[int, Outcome]:
        """Ask the model; keys are places, in and out."""
        engine = self._pipeline.engine
        if engine is None:
            raise ValueError("this pipeline has no engine: give it one to ask")
        places = list(prompts)
        said: dict[int, Outcome] = {}
        with ExitStack() as leaving:
            outcomes = engine.generate_each([prompts[place] for place in places], sampling)
            # Leaving it is what stops the questions that are under way; that is not left to the garbage collector.
            leaving.callback(getattr(outcomes, "close", lambda: None))
            for number, outcome in outcomes:
                if isinstance(outcome, _FATAL):
                    raise outcome
                said[places[number]] = outcome
        return said


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


def _record(question: Question, edited: _Edited, said: Outcome | None, bare: Outcome | None) -> dict[str, Any]:
    failure = edited.flaw or next((str(one) for one in (said, bare) if isinstance(one, EngineError)), None)
    if failure or not isinstance(said, Completion):
        return _error(question, failure or "the model gave no answer")
    facts = [fact.id for fact in edited.shown]
    plain = bare.text if isinstance(bare, Completion) and edited.decision else None
    if question.openai:
        return _openai_record(question, said, facts, plain)
    query = question.prompt if isinstance(question.prompt, str) else text_of((question.prompt or [{}])[-1])
    record: dict[str, Any] = {"id": question.id, "query": query, "answer": said.text}
    if edited.decision:
        record |= {"in_scope": edited.decision.in_scope, "facts": facts}
    return record if plain is None else {**record, "bare_answer": plain}


def _openai_record(
    question: Question, completion: Completion, facts: Sequence[str], bare: str | None
) -> dict[str, Any]:
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


def _error(question: Question, message: str) -> dict[str, Any]:
    if question.openai:
        return {"custom_id": question.id, "response": None, "error": {"code": "failed", "message": message}}
    return {"id": question.id, "error": message}
