"""Questions in bulk: drawn as they are needed, answered in parallel, each answer written when it is there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from scr.answers import Answers, Record
from scr.context import Context
from scr.engines import Completion, Engine, Mixing, Outcome, Prompt, Sampling
from scr.engines.local import LocalEngine
from scr.errors import EngineError, EngineRefused, EngineUnavailable, ModelNotFound, UsageError
from scr.facts import Fact
from scr.pipeline import Decision, Pipeline
from scr.query import text_of
from scr.questions import Question

Mode: TypeAlias = Literal["edited", "bare", "compare"]

# These concern every question alike, so the run ends; what was written is kept and the next run goes on there.
_FATAL = (EngineUnavailable, EngineRefused, ModelNotFound)


_Placed: TypeAlias = tuple[int, Question]
"""A question with its place in the input, from 0."""

_Request: TypeAlias = tuple[Prompt, Sampling]

_Ask: TypeAlias = Callable[[Iterable[_Request]], Iterator[tuple[int, Outcome]]]
"""Asks the model: gives the place of each prompt and what became of it, as it comes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run did: lines answered, lines that failed, lines that an earlier run had done."""

    answered: int
    failed: int
    resumed: int


class Batch:
    """Answers questions through a pipeline: a chunk is decided while a server answers the ones before it.

    Args:
        pipeline: with an engine.
        mode: with the facts, without them, or both.
        chunk: how many questions are decided together.
    """

    def __init__(self, pipeline: Pipeline, mode: Mode = "edited", chunk: int = 64) -> None:
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
        with closing(self._records(_unclaimed(remaining, answers, progress))) as records:
            for place, record in records:
                answers.put(place, record)
                progress(1)
                failed += bool(record.get("error"))
                answered += not record.get("error")
        return Counts(answered, failed, len(answers.done) + answers.claimed)

    def _records(self, asked: Iterator[_Placed]) -> Generator[tuple[int, Record], None, None]:
        """Places and records, each as soon as it is there."""
        with closing(self._decided(asked)) as decided:
            if isinstance(engine := self._engine, Mixing):
                yield from self._answered(decided, engine.generate_mixed)
                return
            for sampling, alike in groupby(decided, key=lambda one: one.question.sampling):
                yield from self._answered(alike, _of_one(engine, sampling))

    @property
    def _engine(self) -> Engine:
        if self._pipeline.engine is None:
            raise ValueError("this pipeline has no engine: give it one to ask")
        return self._pipeline.engine

    def _decided(self, asked: Iterator[_Placed]) -> Generator[_Asked, None, None]:
        """The questions with what the facts make of them; within a chunk, those of one sampling together."""
        chunks = iter(lambda: list(islice(asked, self._chunk)), [])
        engine: object = self._engine
        if isinstance(engine, LocalEngine):  # its model and tokenizer serve one thread at a time
            for chunk in chunks:
                yield from self._edit(chunk)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="scr-decide") as thread:
            ahead: deque[Future[list[_Asked]]] = deque()
            for chunk in chunks:
                ahead.append(thread.submit(self._edit, chunk))
                if len(ahead) > 1:
                    yield from ahead.popleft().result()
            for last in ahead:
                yield from last.result()

    def _edit(self, chunk: Sequence[_Placed]) -> list[_Asked]:
        prompts = [question.prompt for _, question in chunk if question.prompt is not None]
        decisions = iter([None] * len(prompts) if self._mode == "bare" else self._pipeline.decide_all(prompts))
        found = []
        for place, question in chunk:
            decision = next(decisions) if question.prompt is not None else None
            found.append(self._asked(place, question, decision))
        return sorted(found, key=lambda one: repr(one.question.sampling))

    def _asked(self, place: int, question: Question, decision: Decision | None) -> _Asked:
        if question.prompt is None or decision is None:
            return _Asked(place, question, flaw=question.flaw)
        try:
            context = self._pipeline.messages(question.prompt, decision)
        except UsageError as error:
            return _Asked(place, question, decision, flaw=str(error))
        return _Asked(place, question, decision, context)

    def _answered(self, asked: Iterable[_Asked], ask: _Ask) -> Generator[tuple[int, Record], None, None]:
        """Records for questions; one that fails does not stop the others."""
        flawed: list[_Asked] = []
        waiting: dict[int, _Answer] = {}
        with closing(_outcomes(ask(self._requests(asked, waiting, flawed)))) as outcomes:
            for place, outcome in outcomes:
                answer = waiting.pop(place)
                answer.said[place - answer.first] = outcome
                if None not in answer.said:
                    yield answer.asked.place, _record(answer, self._engine.model)
                yield from _errors(flawed)
        yield from _errors(flawed)

    def _requests(
        self, asked: Iterable[_Asked], waiting: dict[int, _Answer], flawed: list[_Asked]
    ) -> Iterator[_Request]:
        """What the model is asked; notes by its place whose answer it will be, and what cannot be asked."""
        place = 0
        for one in asked:
            if one.flaw is not None or one.question.prompt is None:
                flawed.append(one)
                continue
            # Out of scope the bare answer is the answer: the request is the same.
            both = self._mode == "compare" and one.shown
            answer = _Answer(one, place, [None, None] if both else [None], self._mode == "compare")
            for prompt in (one.given, one.question.prompt)[: len(answer.said)]:
                waiting[place] = answer
                place += 1
                yield prompt, one.question.sampling


def _of_one(engine: Engine, sampling: Sampling) -> _Ask:
    """Asks an engine for answers of one sampling."""
    return lambda requests: engine.generate_each((prompt for prompt, _ in requests), sampling)


def _outcomes(given: Iterator[tuple[int, Outcome]]) -> Generator[tuple[int, Outcome], None, None]:
    """The place of each prompt and what became of it, as it comes; what no other prompt would be spared is raised."""
    with ExitStack() as leaving:
        # Leaving it is what stops the questions that are under way; that is not left to the garbage collector.
        leaving.callback(getattr(given, "close", lambda: None))
        for place, outcome in given:
            if isinstance(outcome, _FATAL):
                raise outcome
            yield place, outcome


def _pass_over(questions: Iterator[_Placed], done: Iterable[str | int], progress: Callable[[int], None]) -> None:
    for identity, (_, question) in zip(done, questions, strict=False):
        if question.id != identity:
            raise UsageError(
                f"the output goes on another input: it has {identity!r} where the input has {question.id!r}: "
                "choose another -o"
            )
        progress(1)


def _unclaimed(questions: Iterable[_Placed], answers: Answers, progress: Callable[[int], None]) -> Iterator[_Placed]:
    """The questions whose answers did not wait for their turn when an earlier run ended."""
    for place, question in questions:
        if record := answers.claim(place, question.id):
            answers.put(place, record)
            progress(1)
        else:
            yield place, question


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what the facts make of it; the bare one has neither decision nor context."""

    place: int
    question: Question
    decision: Decision | None = None
    context: Context | None = None
    flaw: str | None = None

    @property
    def shown(self) -> tuple[Fact, ...]:
        return self.context.shown if self.context else ()

    @property
    def given(self) -> Prompt:
        assert self.question.prompt is not None  # noqa: S101 - for the type checker
        return self.context.prompt if self.context else self.question.prompt


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the model says to a question: with the facts, and then without them where that is asked apart.

    Attributes:
        asked: the question.
        first: place of its first prompt among all.
        said: what became of each prompt; None is still under way.
        compared: whether the answer without the facts is to be told.
    """

    asked: _Asked
    first: int
    said: list[Outcome | None]
    compared: bool


def _errors(flawed: list[_Asked]) -> Iterator[tuple[int, Record]]:
    """Records of what cannot be asked; they are taken off the list."""
    while flawed:
        one = flawed.pop(0)
        yield one.place, _error(one.question, one.flaw or "there is nothing to ask")


def _record(answer: _Answer, model: str) -> Record:
    asked, said, bare = answer.asked, answer.said[0], answer.said[-1]
    failure = next((str(one) for one in answer.said if isinstance(one, EngineError)), None)
    if failure or not isinstance(said, Completion):
        return _error(asked.question, failure or "the model gave no answer")
    facts = [fact.id for fact in asked.shown]
    plain = bare.text if isinstance(bare, Completion) and answer.compared else None
    if asked.question.openai:
        return _openai_record(asked.question, model, said, facts, plain)
    prompt = asked.question.prompt
    query = prompt if isinstance(prompt, str) else text_of((prompt or [{}])[-1])
    record: Record = {"id": asked.question.id, "query": query, "answer": said.text}
    if asked.decision:
        record |= {"in_scope": asked.decision.in_scope, "facts": facts}
    return record if plain is None else {**record, "bare_answer": plain}


def _openai_record(
    question: Question, model: str, completion: Completion, facts: Sequence[str], bare: str | None
) -> Record:
    chat = not isinstance(question.prompt, str)
    said = {"message": {"role": "assistant", "content": completion.text}} if chat else {"text": completion.text}
    body: dict[str, Any] = {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid4().hex}",
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": model,
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
