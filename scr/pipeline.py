"""The whole product: query → candidates → decision → messages → answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from time import perf_counter
from typing import Any

from scr.context import Context, ContextBuilder
from scr.engines import Completion, Engine, Prompt, Sampling
from scr.facts import Fact
from scr.query import queries_of
from scr.scope import Candidate, Judged, ScopeClassifier
from scr.store import FactStore

DEFAULT_K = 10
"""Candidates that are retrieved for a query."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which facts govern a query, and why.

    Attributes:
        query: what was looked up.
        facts: every candidate with its score and threshold; those that apply first, best first.
        timings_ms: milliseconds by step.
    """

    query: str
    facts: tuple[Judged, ...]
    timings_ms: dict[str, float]

    @property
    def applying(self) -> tuple[Fact, ...]:
        """The facts that govern the query, best first."""
        return tuple(judged.fact for judged in self.facts if judged.applies)

    @property
    def in_scope(self) -> bool:
        """Whether any fact governs the query."""
        return any(judged.applies for judged in self.facts)

    def to_json(self) -> dict[str, Any]:
        """The public JSON shape."""
        return {
            "query": self.query,
            "in_scope": self.in_scope,
            "facts": [
                {
                    "id": judged.fact.id,
                    "text": judged.fact.text,
                    "score": round(judged.score, 6),
                    "threshold": round(judged.threshold, 6),
                    "applies": judged.applies,
                }
                for judged in self.facts
            ],
            "timings_ms": {step: round(value, 3) for step, value in self.timings_ms.items()},
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its explanation.

    Attributes:
        decision: which facts governed the query.
        context: what the model was given.
        completion: what it said.
        model: its name.
    """

    decision: Decision
    context: Context
    completion: Completion
    model: str

    @property
    def text(self) -> str:
        """What the model said."""
        return self.completion.text

    def to_json(self) -> dict[str, Any]:
        """The public JSON shape."""
        return {
            **self.decision.to_json(),
            "answer": self.text,
            "model": self.model,
            "messages": self.context.prompt,
            "finish_reason": self.completion.finish_reason,
        }


class Pipeline:
    """Decides, renders and answers.

    Args:
        store: the facts.
        scope: says which of the retrieved ones govern a query.
        context: shows them to the model.
        engine: the unmodified model; not needed to decide.
        k: how many candidates to retrieve.
    """

    def __init__(
        self,
        store: FactStore,
        scope: ScopeClassifier,
        context: ContextBuilder,
        engine: Engine | None = None,
        k: int = DEFAULT_K,
    ) -> None:
        self.store, self.scope, self.context, self.engine, self.k = store, scope, context, engine, k

    def decide(self, prompt: Prompt, *, as_of: datetime | None = None) -> Decision:
        """Which facts govern a conversation or a text; no language model is asked."""
        return self.decide_all([prompt], as_of=as_of)[0]

    def decide_all(self, prompts: Sequence[Prompt], *, as_of: datetime | None = None) -> list[Decision]:
        """:meth:`decide` for many prompts, which encoder and classifier see as one batch; timings are shares of it."""
        return list(self.decide_each(prompts, as_of=as_of, at_once=len(prompts)))

    def decide_each(
        self, prompts: Sequence[Prompt], *, as_of: datetime | None = None, at_once: int = 1
    ) -> Iterator[Decision]:
        """:meth:`decide` for many prompts, in their order, each decision as soon as it is made.

        Candidates are retrieved for all together; the classifier sees those of ``at_once`` prompts as one batch.
        """
        asked = [queries_of(prompt) for prompt in prompts]
        start = perf_counter()
        found = iter(self.store.search([query for parts in asked for query in parts], self.k, as_of=as_of))
        retrieve = (perf_counter() - start) * 1000 / max(len(prompts), 1)
        for first in range(0, len(asked), max(at_once, 1)):
            some = asked[first : first + at_once]
            yield from self._judge_all(some, [list(islice(found, len(parts))) for parts in some], retrieve)

    def _judge_all(
        self, asked: Sequence[tuple[str, ...]], found: Sequence[list[list[Candidate]]], retrieve: float
    ) -> list[Decision]:
        """Decisions on prompts by their queries and what was retrieved for each query, in ``retrieve`` ms a prompt."""
        start = perf_counter()
        by_query = [each for parts, lists in zip(asked, found, strict=True) for each in zip(parts, lists, strict=True)]
        scores = iter(self.scope.score([(query, one) for query, some in by_query for one in some]).tolist())
        facts = [_merged([[self._judged(one, next(scores)) for one in some] for some in lists]) for lists in found]
        score = (perf_counter() - start) * 1000 / len(asked)
        timings = {"retrieve": retrieve, "score": score, "total": retrieve + score}
        return [Decision(parts[0], each, dict(timings)) for parts, each in zip(asked, facts, strict=True)]

    def _judged(self, candidate: Candidate, score: float) -> Judged:
        return Judged(candidate.fact, candidate.similarity, score, self.scope.threshold)

    def messages(self, prompt: Prompt, decision: Decision) -> Context:
        """What the model is to be given; out of scope it is the very object that came."""
        return self.context.build(prompt, decision.applying)

    def ask(self, prompt: Prompt, sampling: Sampling | None = None, *, as_of: datetime | None = None) -> Answer:
        """Decide, render and answer."""
        return self.ask_all([prompt], sampling, as_of=as_of)[0]

    def ask_all(
        self, prompts: Sequence[Prompt], sampling: Sampling | None = None, *, as_of: datetime | None = None
    ) -> list[Answer]:
        """:meth:`ask` for many prompts, answered as one batch, in their order."""
        if self.engine is None:
            raise ValueError("this pipeline has no engine: give it one to ask")
        decisions = self.decide_all(prompts, as_of=as_of)
        contexts = [self.messages(prompt, decision) for prompt, decision in zip(prompts, decisions, strict=True)]
        start = perf_counter()
        completions = self.engine.generate([context.prompt for context in contexts], sampling or Sampling())
        spent = (perf_counter() - start) * 1000 / max(len(prompts), 1)
        return [
            Answer(_with_timing(decision, spent), context, completion, self.engine.model)
            for decision, context, completion in zip(decisions, contexts, completions, strict=True)
        ]

    def ask_bare(self, prompts: Sequence[Prompt], sampling: Sampling | None = None) -> list[Completion]:
        """What the unmodified model says to the prompts as they are."""
        if self.engine is None:
            raise ValueError("this pipeline has no engine: give it one to ask")
        return self.engine.generate(prompts, sampling or Sampling())


def _merged(parts: list[list[Judged]]) -> tuple[Judged, ...]:
    """The candidates of all parts of a query, each once, at its best; those that apply first, best first."""
    best: dict[str, Judged] = {}
    for judged in (one for part in parts for one in part):
        if judged.fact.id not in best or judged.score > best[judged.fact.id].score:
            best[judged.fact.id] = judged
    return tuple(sorted(best.values(), key=lambda one: (not one.applies, -one.score)))


def _with_timing(decision: Decision, generate: float) -> Decision:
    timings = {**decision.timings_ms, "generate": generate}
    timings["total"] = decision.timings_ms["total"] + generate
    return replace(decision, timings_ms=timings)
