"""Methods that keep the edits in a fact store and show the model what they find there."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scr.editors import Asked, Considered, Edit, EditReport, Prepared, Traits
from scr.editors.registry import Workbench, refuse_option
from scr.engines import Engine
from scr.errors import EditError, FactError, UsageError
from scr.facts import NewFact
from scr.pipeline import Decision, Pipeline
from scr.query import queries_of
from scr.scope import Candidate, ScopeClassifier
from scr.store import FactStore


class Stored:
    """A store that holds the edits, for as long as the context manager lasts.

    Args:
        bench: the model and what else a method works with.
        scope: decides which of the retrieved facts are shown.
        k: how many facts to retrieve.
        tally: of the calls of a language model that the decisions take; None for a scope that makes none.
    """

    def __init__(self, bench: Workbench, scope: ScopeClassifier, k: int, tally: Tallied | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="scr-edits-", ignore_cleanup_errors=True)
        self._store = FactStore.open(Path(self._folder.name), encoder=bench.encoder())
        self.pipeline = Pipeline(self._store, scope, bench.context, bench.engine, k)
        self.engine: Engine = bench.engine
        self.reports: list[EditReport] = []
        self._tally = tally

    @classmethod
    def holding(
        cls,
        edits: Sequence[Edit],
        bench: Workbench,
        scope: ScopeClassifier,
        k: int,
        tally: Tallied | None = None,
    ) -> Self:
        """A store with these edits in it.

        Raises:
            EditError: one of them is no acceptable fact.
        """
        stored = cls(bench, scope, k, tally)
        try:
            stored.add(edits)
        except BaseException:
            stored.__exit__()
            raise
        return stored

    def add(self, edits: Sequence[Edit]) -> None:
        """Insert the edits' sentences; where two say different things of the same, the later one holds."""
        start = perf_counter()
        try:
            self._store.add_all([NewFact.of({"text": edit.fact}) for edit in edits])
        except FactError as error:
            raise EditError(f"an edit is no acceptable fact: {error}") from None
        self.reports.append(EditReport(len(edits), perf_counter() - start))

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question with the facts that the decision lets through; untouched where there are none."""
        if self._tally:
            self._tally.clear()
        decisions = self.pipeline.decide_all([one.prompt for one in asked])
        return [self._prepared(one, decision) for one, decision in zip(asked, decisions, strict=True)]

    def _prepared(self, asked: Asked, decision: Decision) -> Prepared:
        context = self.pipeline.messages(asked.prompt, decision)
        considered = tuple(
            Considered(judged.fact.text, judged.score, judged.threshold, judged.applies) for judged in decision.facts
        )
        calls = sum(map(self._tally.calls, queries_of(asked.prompt))) if self._tally else 0
        return Prepared(context.prompt, tuple(fact.text for fact in context.shown), considered, calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
        self._folder.cleanup()


class Scr:
    """This project: the scope decision over retrieved facts.

    Its option is the scope classifier, its threshold or both: ``scr:cosine``, ``scr:threshold=0.2``,
    ``scr:cosine;threshold=0.7``.
    """

    traits: ClassVar[Traits] = Traits("scr", "context", "this project, after He, Song and Sun 2025 and SERAC")

    def __init__(self, bench: Workbench, scope: ScopeClassifier, k: int, tally: Tallied | None = None) -> None:
        self._bench, self._scope, self._k, self._tally = bench, scope, k, tally

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Scr:
        """See :func:`scr.editors.registry.open_editor`."""
        from scr.scope.llm import CascadeClassifier, LanguageModelClassifier
        from scr.scope.opening import open_scope

        name, threshold = _scope_and_threshold(option)
        if name not in (LanguageModelClassifier.name, CascadeClassifier.name):
            return cls(bench, open_scope(name or None, threshold), bench.k)
        folders = bench.context.folders
        judge = Tallied(open_scope(LanguageModelClassifier.name, engine=lambda: bench.engine, folders=folders))
        if name == CascadeClassifier.name:
            return cls(bench, CascadeClassifier(open_scope(threshold=threshold), judge), bench.k, judge)
        if threshold is not None:
            raise UsageError(f"scr:{option} takes no threshold, as the model answers yes or no: write scr:{name}")
        return cls(bench, judge, bench.k, judge)

    def apply(self, edits: Sequence[Edit]) -> Stored:
        """A store with these edits in it."""
        return Stored.holding(edits, self._bench, self._scope, self._k, self._tally)


def _scope_and_threshold(option: str) -> tuple[str, float | None]:
    """The parts of ``SCOPE;threshold=P``, of which either may be left out."""
    from scr.scope.opening import read_threshold

    name, found, value = option.rpartition("threshold=")
    if not found or (name and not name.endswith(";")):
        return option, None
    return name.removesuffix(";"), read_threshold(value, f"scr:{option}")


class Tallied:
    """A language model as the scope decision, with the calls that each query takes: one a fact that it is asked about.

    What the decision remembers counts too, so that a query's calls do not depend on what was asked before it.
    """

    def __init__(self, judge: ScopeClassifier) -> None:
        self._judge = judge
        self._asked: defaultdict[str, set[str]] = defaultdict(set)
        self.name, self.threshold = judge.name, judge.threshold

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """See :class:`scr.scope.ScopeClassifier`."""
        for query, candidate in pairs:
            self._asked[query].add(candidate.fact.text)
        return self._judge.score(pairs)

    def calls(self, query: str) -> int:
        """How many calls deciding on a query took since the tally was cleared."""
        return len(self._asked.get(query, ()))

    def clear(self) -> None:
        """Begin anew."""
        self._asked.clear()


class SeracInContext(Scr):
    """SERAC's routing, with the language model in context in place of its counterfactual model.

    The nearest edit alone is looked at, and applies from a score of one half on (Mitchell et al. 2022, section 3).
    """

    traits: ClassVar[Traits] = Traits(
        "serac-icl", "context", "Mitchell et al. 2022, Memory-Based Model Editing at Scale (routing)"
    )

    @classmethod
    def open(cls, bench: Workbench, option: str) -> SeracInContext:
        """See :func:`scr.editors.registry.open_editor`."""
        from scr.scope.opening import open_scope

        refuse_option(cls.traits.name, option)
        return cls(bench, open_scope("serac"), k=1)


class Rag(Scr):
    """Retrieval without a decision: the k nearest facts are always shown. Its option is k: ``rag:1``."""

    traits: ClassVar[Traits] = Traits("rag", "context", "Lewis et al. 2020, Retrieval-Augmented Generation (retrieval)")
    default_k: ClassVar[int] = 5

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Rag:
        """See :func:`scr.editors.registry.open_editor`."""
        if option and not (option.isascii() and option.isdigit() and 0 < int(option) <= 1000):
            raise UsageError(f"rag:{option} is unknown: the option is how many facts to show, such as rag:1")
        return cls(bench, Everything(), int(option or cls.default_k))


class Everything:
    """Lets every candidate through."""

    name = "everything"
    threshold = -1.0

    def score(self, pairs: Sequence[tuple[str, Candidate]]) -> NDArray[np.float32]:
        """The cosine, so that the nearest come first; shape (len(pairs),), in [-1, 1]."""
        return np.array([candidate.similarity for _, candidate in pairs], np.float32)
