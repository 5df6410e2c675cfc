"""The Python API: a store, a scope classifier, a model and what connects them, opened by one call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from scr.context import ContextBuilder
from scr.engines import Engine, Message, Prompt, Sampling
from scr.errors import UsageError
from scr.facts import DEFAULT_NAMESPACE, NewFact
from scr.pipeline import DEFAULT_K, Answer, Decision, Pipeline
from scr.scope import ScopeClassifier
from scr.scope.opening import open_scope
from scr.scope.rivals import LearnedConflicts
from scr.store import Added, FactStore, OnConflict


class Edits:
    """Facts and the model they correct.

    Attributes:
        store: the facts.
        pipeline: decides, renders and answers. Its engine is opened with the first question.
    """

    def __init__(self, store: FactStore, pipeline: Pipeline, engine: dict[str, Any]) -> None:
        self.store, self.pipeline = store, pipeline
        self._engine_options = engine
        self._opening = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The model, opened when it is first needed."""
        with self._opening:
            if self.pipeline.engine is None:
                from scr.engines.opening import open_engine

                engine = open_engine(**self._engine_options)
                self.pipeline.context.count_with(engine.count_tokens)
                self.pipeline.engine = engine
        return self.pipeline.engine

    def add(self, text: str, *, on_conflict: OnConflict = "supersede", **fields: Any) -> Added:
        """Insert a fact; ``fields`` are :class:`scr.facts.NewFact`'s.

        Raises:
            FactError: it is not acceptable.
        """
        return self.store.add(NewFact.of({"text": text, **fields}), on_conflict=on_conflict)

    def decide(self, query: str | Sequence[Message], *, as_of: datetime | None = None) -> Decision:
        """Which facts govern a question or a conversation; no language model is asked."""
        return self.pipeline.decide(turns(query), as_of=as_of)

    def messages(self, query: str | Sequence[Message], *, as_of: datetime | None = None) -> Prompt:
        """What a model is to be given; out of scope it is what came."""
        prompt = turns(query)
        return self.pipeline.messages(prompt, self.pipeline.decide(prompt, as_of=as_of)).prompt

    def ask(
        self, query: str | Sequence[Message], sampling: Sampling | None = None, *, as_of: datetime | None = None
    ) -> Answer:
        """The model's answer, with the facts that govern the question in its context."""
        _ = self.engine
        return self.pipeline.ask(turns(query), sampling, as_of=as_of)

    def close(self) -> None:
        """Give back files, connections and memory."""
        if self.pipeline.engine is not None:
            self.pipeline.engine.close()
        self.store.close()

    def __enter__(self) -> Edits:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def turns(query: str | Sequence[Message]) -> Sequence[Message]:
    """A question as a conversation of one turn."""
    return [{"role": "user", "content": query}] if isinstance(query, str) else query


def open_edits(
    store: str | Path,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    encoder: str | None = None,
    scope: str | ScopeClassifier | None = None,
    threshold: float | None = None,
    k: int = DEFAULT_K,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    engine: Engine | None = None,
    prompts: Path | None = None,
    make: bool = True,
) -> Edits:
    """Open a fact store and the model that it corrects. Nothing heavy is loaded before it is needed.

    Args:
        store: the store's folder.
        namespace: which facts to see and change.
        encoder: a folder or hub id; None is the one the store was made with, or the shipped MiniLM.
        scope: a classifier or the name of one; None is the default.
        threshold: least score at which a fact applies; None is the classifier's own.
        k: how many candidates to retrieve.
        model: a folder or hub id, or with ``base_url`` the served name; None is the shipped SmolLM2-135M-Instruct.
        base_url: an OpenAI-compatible server.
        api_key: its key.
        engine: a model that is open already, in place of these three; it is closed with the rest.
        prompts: folder with templates of one's own.
        make: whether to make the store where there is none.

    Raises:
        UsageError: a model is named beside an engine, or an option makes no sense.
        UnknownStore: there is none, and it is not to be made.
        StoreError: it cannot be opened; one of its subclasses.
    """
    if engine and (model or base_url or api_key):
        raise UsageError("give an engine, or a model, base_url and api_key to open one with: not both")
    context = ContextBuilder(prompts, count_tokens=engine.count_tokens if engine else None)
    if scope is None or isinstance(scope, str):
        # A classifier that asks the model opens it with the first question, as everything else does.
        scope = open_scope(scope, threshold, lambda: edits.engine, context.folders)
    opened = FactStore.open(
        store, namespace=namespace, encoder=encoder, make=make, detector=LearnedConflicts(open_scope)
    )
    pipeline = Pipeline(opened, scope, context, engine, k=k)
    edits = Edits(opened, pipeline, {"model": model, "base_url": base_url, "api_key": api_key})
    return edits
