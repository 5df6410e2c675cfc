"""How well a scope classifier decides, on facts and queries with labels; and a threshold for an error budget."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scr.context import ContextBuilder
from scr.encoder import Encoder
from scr.errors import FactError, UsageError
from scr.evaluation.datasets.reading import read_lines
from scr.facts import NewFact
from scr.pipeline import DEFAULT_K, Decision, Pipeline
from scr.scope import ScopeClassifier
from scr.scope.measure import auroc, average_precision
from scr.store import FactStore

_DEPTHS = (1, 5, 20)
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Labelled:
    """A query and what is right for it.

    Attributes:
        query: the text.
        facts: ids of the facts that apply; empty for none.
        kind: what kind of query it is, for figures by kind.
    """

    query: str
    facts: frozenset[str]
    kind: str


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Facts that are loaded together, and queries put to them.

    Attributes:
        facts: texts by id.
        queries: in the order of the file.
    """

    facts: dict[str, str]
    queries: tuple[Labelled, ...]


def read_labelled(facts: Path, queries: Path) -> LabelledSet:
    """Read two JSONL files: ``{"id", "text"}``, and ``{"query", "facts": [ids], "kind"}``.

    Raises:
        UsageError: a file cannot be read, a line is not of that shape, or names an unknown fact.
    """
    texts, ids = _read_facts(facts)
    asked = []
    for where, record in ((one.where, one.fields) for one in read_lines(queries)):
        applying = record.get("facts", [])
        if not isinstance(applying, list):
            raise UsageError(f'{where}: "facts" has to be a list of ids, empty for none')
        if unknown := sorted({str(one) for one in applying} - ids.keys()):
            raise UsageError(f"{where}: no fact in {facts.name} has the id {unknown[0]!r}")
        right = frozenset(ids[str(one)] for one in applying)
        kind = record.get("kind") or ("in scope" if right else "out of scope")
        asked.append(Labelled(_string(record, "query", where), right, str(kind)))
    if not asked:
        raise UsageError(f'{queries} holds no queries: write {{"query": "…", "facts": ["1"], "kind": "…"}} lines')
    return LabelledSet(texts, tuple(asked))


def _read_facts(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by id, each once, and for every id of the file that of its text: a store keeps equal texts once."""
    texts: dict[str, str] = {}
    ids: dict[str, str] = {}
    by_text: dict[str, str] = {}
    for where, record in ((one.where, one.fields) for one in read_lines(path)):
        name = _string(record, "id", where)
        try:
            text = NewFact.of({"text": _string(record, "text", where)}).text
        except FactError as error:
            raise UsageError(f"{where}: {error}") from None
        if name in ids and texts[ids[name]] != text:
            raise UsageError(f"{where}: another fact has the id {name!r} already: give each its own")
        ids[name] = by_text.setdefault(text, name)
        texts.setdefault(ids[name], text)
    if not ids:
        raise UsageError(f'{path} holds no facts: write {{"id": "1", "text": "…"}} lines')
    return texts, ids


def _string(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and name == "id":
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f'{where}: "{name}" is missing or no text')
    return value


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided on one labelled query.

    Attributes:
        labelled: the query and its label.
        scored: (id, score, applies) of the candidates that were judged, best first.
        nearest: ids of the nearest facts, nearest first.
        cosine: of the nearest.
    """

    labelled: Labelled
    scored: tuple[tuple[str, float, bool], ...]
    nearest: tuple[str, ...]
    cosine: float

    @property
    def score(self) -> float:
        """The highest among the candidates; 0 where there is none."""
        return max((score for _, score, _ in self.scored), default=0.0)

    @property
    def fired(self) -> bool:
        """Whether anything applied."""
        return any(applies for _, _, applies in self.scored)

    @property
    def hit(self) -> bool:
        """Whether a right fact applied."""
        return any(applies and name in self.labelled.facts for name, _, applies in self.scored)

    @property
    def right(self) -> bool:
        """Whether the fact that applied with the highest score is a right one."""
        return self.fired and self.scored[0][0] in self.labelled.facts


@contextmanager
def loaded(data: LabelledSet, encoder: Encoder) -> Iterator[tuple[FactStore, dict[str, str]]]:
    """A temporary store with every fact, and the label's id of each fact's id."""
    with tempfile.TemporaryDirectory(prefix="scr-scope-") as folder, FactStore.open(folder, encoder=encoder) as store:
        store.add_all([NewFact(text) for text in data.facts.values()], on_conflict="keep")
        by_text = {fact.text: fact.id for fact in store.facts()}
        yield store, {by_text[text]: name for name, text in data.facts.items()}


def decide(
    data: LabelledSet,
    scope: ScopeClassifier,
    encoder: Encoder,
    *,
    k: int = DEFAULT_K,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Decided], float]:
    """Every fact loaded, every query decided, as the pipeline does it.

    Returns:
        what was decided, and decided queries per second (encoding, retrieval and scoring).
    """
    decided: list[Decided] = []
    seconds = 0.0
    with loaded(data, encoder) as (store, names):
        pipeline = Pipeline(store, scope, ContextBuilder(), k=k)
        for begin in range(0, len(data.queries), _AT_ONCE):
            some = data.queries[begin : begin + _AT_ONCE]
            texts = [labelled.query for labelled in some]
            nearest = store.search(texts, max(_DEPTHS))
            start = time.perf_counter()
            decisions = pipeline.decide_all(texts)
            seconds += time.perf_counter() - start
            for labelled, near, decision in zip(some, nearest, decisions, strict=True):
                ids = tuple(names[one.fact.id] for one in near)
                cosine = near[0].similarity if near else -1.0
                decided.append(Decided(labelled, _scored(decision, names), ids, cosine))
            if progress:
                progress(len(some))
    return decided, len(decided) / seconds


def judged_pairs(data: LabelledSet, encoder: Encoder, *, k: int = DEFAULT_K) -> list[tuple[str, str, bool]]:
    """(fact, query, whether it governs): the facts that apply to each query, and the nearest that do not."""
    judged: list[tuple[str, str, bool]] = []
    with loaded(data, encoder) as (store, names):
        texts = [labelled.query for labelled in data.queries]
        for labelled, near in zip(data.queries, store.search(texts, k), strict=True):
            judged += [(data.facts[name], labelled.query, True) for name in sorted(labelled.facts)]
            wrong = [one.fact.text for one in near if names[one.fact.id] not in labelled.facts]
            judged += [(text, labelled.query, False) for text in wrong]
    return judged


def _scored(decision: Decision, names: dict[str, str]) -> tuple[tuple[str, float, bool], ...]:
    return tuple((names[judged.fact.id], judged.score, judged.applies) for judged in decision.facts)


@dataclass(frozen=True, slots=True)
class ScopeReport:
    """Figures of a classifier on labelled queries; a rate of nothing is None.

    Attributes:
        n: queries.
        auroc: chance that a query in scope scores above one out of scope.
        average_precision: of the queries ranked by score.
        precision: of the queries on which something fired, those on which a right fact did.
        recall: of the queries in scope, those on which a right fact applies.
        right_fact_rate: of the queries in scope, those whose best fact is a right one and applies.
        false_fire_rate: of the queries out of scope, those on which something fired.
        by_kind: the same figures for each kind of query; its AUROC is against every query of the other label.
        retrieval_recall: of the queries in scope, those with a right fact among the nearest 1, 5, 20.
        cosine_auroc: AUROC of the nearest fact's cosine.
        queries_per_second: of the whole decision.
    """

    n: int
    auroc: float | None
    average_precision: float | None
    precision: float | None
    recall: float | None
    right_fact_rate: float | None
    false_fire_rate: float | None
    by_kind: dict[str, dict[str, float | int | None]]
    retrieval_recall: dict[str, float | None]
    cosine_auroc: float | None
    queries_per_second: float


def report(decided: Sequence[Decided], queries_per_second: float) -> ScopeReport:
    """The figures of what was decided."""
    inside = [one for one in decided if one.labelled.facts]
    outside = [one for one in decided if not one.labelled.facts]
    labels = [bool(one.labelled.facts) for one in decided]
    kinds = sorted({one.labelled.kind for one in decided})
    return ScopeReport(
        n=len(decided),
        auroc=_auroc(inside, outside),
        average_precision=_finite(average_precision([one.score for one in decided], labels)),
        precision=_rate([one.hit for one in decided if one.fired]),
        recall=_rate([one.hit for one in inside]),
        right_fact_rate=_rate([one.right for one in inside]),
        false_fire_rate=_rate([one.fired for one in outside]),
        by_kind={kind: _of_kind(kind, inside, outside) for kind in kinds},
        retrieval_recall={
            str(depth): _rate([bool(one.labelled.facts & set(one.nearest[:depth])) for one in inside])
            for depth in _DEPTHS
        },
        cosine_auroc=_finite(auroc([one.cosine for one in inside], [one.cosine for one in outside])),
        queries_per_second=round(queries_per_second, 1),
    )


def _of_kind(kind: str, inside: Sequence[Decided], outside: Sequence[Decided]) -> dict[str, float | int | None]:
    mine = [one for one in inside if one.labelled.kind == kind]
    others = [one for one in outside if one.labelled.kind == kind]
    figures: dict[str, float | int | None] = {"n": len(mine) + len(others)}
    if mine:
        figures |= {
            "auroc": _auroc(mine, outside),
            "recall": _rate([one.hit for one in mine]),
            "right_fact_rate": _rate([one.right for one in mine]),
        }
    if others:
        figures |= {"false_fire_rate": _rate([one.fired for one in others])}
        figures.setdefault("auroc", _auroc(inside, others))
    return figures


def _auroc(inside: Sequence[Decided], outside: Sequence[Decided]) -> float | None:
    return _finite(auroc([one.score for one in inside], [one.score for one in outside]))


def _rate(hits: Sequence[bool]) -> float | None:
    return round(float(np.mean(hits)), 4) if hits else None


def _finite(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def conformal_threshold(scores: NDArray[np.float64], max_false_fire: float) -> float:
    """The least threshold that keeps the rate of false fires within a budget.

    Conformal risk control (Angelopoulos et al. 2024, eq. 4) for the loss "something fired": over the draw of these
    scores and of one more query out of scope, exchangeable with theirs, that query fires with a probability of at most
    ``max_false_fire``. The guarantee is about queries like these, on average; not about one kind among them.

    Args:
        scores: the highest score of each query out of scope, shape (n,).
        max_false_fire: the budget, in (0, 1).

    Raises:
        UsageError: so few queries cannot show so small a rate, or no threshold keeps within it.
    """
    count = len(scores)
    allowed = int(np.floor(max_false_fire * (count + 1) - 1 + 1e-9))  # n/(n+1) · fired/n + 1/(n+1) ≤ budget
    if allowed < 0:
        needed = int(np.ceil(1 / max_false_fire - 1e-9)) - 1
        raise UsageError(
            f"{count} queries out of scope cannot show a rate of {max_false_fire:g}: give at least {needed:,}"
        )
    if allowed >= count:
        return 0.0
    threshold = float(np.nextafter(np.float32(np.sort(scores)[::-1][allowed]), np.float32(2)))
    if threshold > 1:
        raise UsageError(f"no threshold keeps false fires within {max_false_fire:g}: too many score a full 1")
    return threshold
