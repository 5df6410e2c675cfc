"""Records → labelled pairs: every record gives questions that its fact governs and questions that it does not."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from . import nested
from .negatives import about_object, framed, general, lookalike, negated, task
from .pairs import Pair, Record, Split, normal, split_of
from .relations import Relation, library, sharp
from .wording import alias, dress, fill, question, statement


def test_subjects(folder: Path) -> set[str]:
    """Subjects of the development tests. The tests are read here alone, and only to keep them out of the training."""
    found: list[str] = []
    for name in ("wiki_counterfact_test", "zsre_test"):
        found += [row["subject"] for row in json.loads((folder / f"knowedit/{name}.json").read_text(encoding="utf-8"))]
    found += [
        row["subject_name"] for row in json.loads((folder / "eren/counterfact_hard.json").read_text(encoding="utf-8"))
    ]
    for name in ("mquake/MQuAKE-CF-300-v2.json", "rippleedits/random.json"):
        rows = json.loads((folder / name).read_text(encoding="utf-8"))
        found += re.findall(r'"subject": "([^"]{2,80})"', json.dumps(rows, ensure_ascii=False))
    return {normal(subject) for subject in found}


_CONFIRM = (
    "Is it true that {}?",
    "Is it correct that {}?",
    "Isn't it true that {}?",
    "{}, right?",
    "True or false: {}.",
    "Can you confirm that {}?",
)
_ALIKE = 0.45
_BOTH_WAYS = (
    "spouse",
    "siblings",
    "twin_city",
    "borders",
    "based_on",
    "instance_of",
    "part_of",
    "namesake",
    "location",
)
_AGAIN = {"alias": 2, "reasoning": 2, "logical": 1}


@dataclass(frozen=True)
class Recipe:
    """How many pairs of each kind a record gives on average (a fraction is a chance)."""

    asked: float = 2.2
    alias: float = 0.5
    nested: float = 0.45
    inverse: float = 1.2
    verified: float = 0.15
    same_subject: float = 2.2
    same_relation: float = 0.9
    lookalike: float = 0.45
    negated: float = 0.5
    reversed: float = 0.25
    object: float = 0.3
    framed: float = 0.3
    task: float = 0.2
    general: float = 0.3
    made_up: float = 0.35


class Builder:
    """Makes pairs from records; the same seed gives the same pairs.

    Args:
        records: every record, tests' subjects removed.
        seed: of everything drawn.
        recipe: how much of each kind.
    """

    def __init__(self, records: list[Record], seed: int, recipe: Recipe | None = None) -> None:
        self.records = records
        self.recipe = recipe or Recipe()
        self.rng = Random(seed)  # noqa: S311 - seeded on purpose
        self.by_relation: dict[tuple[str, Split], list[Record]] = defaultdict(list)
        self.by_word: dict[tuple[str, Split], list[Record]] = defaultdict(list)
        self.facts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for record in records:
            split = split_of(record.subject, record.source)
            self.by_relation[record.relation, split].append(record)
            self.facts[normal(record.subject), record.relation].add(record.object)
            for word in set(normal(record.subject).split()):
                if len(word) > 2:
                    self.by_word[word, split].append(record)

    def pairs(self) -> Iterator[Pair]:
        """One round over the records."""
        for record in self.records:
            yield from self._positives(record)
            yield from self._unrelated(record)
            if relation := library().get(record.relation):
                yield from self._derived(record, relation)
                yield from self._near_misses(record, relation)
            yield from self._probes(record)

    def _times(self, mean: float) -> range:
        whole = int(mean)
        return range(whole + (self.rng.random() < mean - whole))

    def _pair(self, record: Record, query: str, label: float, kind: str) -> Pair:
        return Pair(
            statement(record, self.rng),
            dress(query, self.rng),
            label,
            kind,
            record.source,
            split_of(record.subject, record.source),
        )

    def _positives(self, record: Record) -> Iterator[Pair]:
        for _ in self._times(self.recipe.asked):
            yield self._pair(record, question(record, self.rng), 1.0, "asked")
        for _ in self._times(self.recipe.alias):
            other = alias(record.subject, self.rng)
            if other != record.subject:
                yield self._pair(record, question(record, self.rng).replace(record.subject, other), 1.0, "alias")

    def _derived(self, record: Record, relation: Relation) -> Iterator[Pair]:
        """Questions that need the fact without asking for it in so many words."""
        for _ in self._times(self.recipe.nested):
            if query := nested.question(record, relation, self.rng):
                yield self._pair(record, query, 1.0, "nested")
        if relation.inverse:
            for _ in self._times(self.recipe.inverse):
                yield self._pair(record, fill(self.rng.choice(relation.inverse), record), 1.0, "inverse")
        for _ in self._times(self.recipe.verified):
            yield self._pair(record, self._to_confirm(record), 1.0, "verified")
        for _ in self._times(self.recipe.made_up):
            if made := self._made_up(record, relation):
                yield self._pair(made, question(made, self.rng, native=False), 1.0, "made up")
                yield self._pair(made, question(record, self.rng), 0.0, "same subject")

    def _unrelated(self, record: Record) -> Iterator[Pair]:
        for _ in self._times(self.recipe.general):
            yield self._pair(record, general(self.rng), 0.0, "general")
        for _ in self._times(self.recipe.task):
            yield self._pair(record, task(record, self.rng), 0.0, "task")
        for _ in self._times(self.recipe.same_relation):
            if other := self._other_subject(record):
                yield self._pair(record, question(other, self.rng), 0.0, "same relation")
        for _ in self._times(self.recipe.lookalike):
            if other_name := lookalike(record.subject, self.rng):
                yield self._pair(
                    record,
                    question(replace(record, object="it"), self.rng).replace(record.subject, other_name),
                    0.0,
                    "lookalike",
                )

    def _near_misses(self, record: Record, relation: Relation) -> Iterator[Pair]:
        """Questions about the fact's subject, relation or object that it does not answer."""
        for _ in self._times(self.recipe.same_subject):
            if made := self._made_up(record, relation):
                ask = self._elsewhere(made)
                yield self._pair(record, ask, 0.0, "same subject")
        for _ in self._times(self.recipe.negated):
            yield self._pair(record, negated(record, self.rng), 0.0, "negated")
        if record.relation not in _BOTH_WAYS:
            for _ in self._times(self.recipe.reversed):
                turned = Record(record.source, record.object, record.subject, prompt="", relation=record.relation)
                yield self._pair(record, question(turned, self.rng, native=False), 0.0, "reversed")
        for _ in self._times(self.recipe.object):
            yield self._pair(record, about_object(record, self.rng), 0.0, "object")
        for _ in self._times(self.recipe.framed):
            yield self._pair(record, framed(record, self.rng), 0.0, "framed")

    def _elsewhere(self, made: Record) -> str:
        """A question that another fact of the subject would answer: plain, in two steps or to be confirmed."""
        chance = self.rng.random()
        if chance < 0.12 and (query := nested.question(made, library()[made.relation], self.rng)):
            return query
        if chance < 0.2:
            return self._to_confirm(made)
        return question(made, self.rng, native=False)

    def _to_confirm(self, record: Record) -> str:
        return self.rng.choice(_CONFIRM).format(statement(record, self.rng).rstrip("."))

    def _probes(self, record: Record) -> Iterator[Pair]:
        for probe in record.probes:
            if probe.kind == "other_subject" and record.subject in probe.query:
                continue
            yield self._pair(record, probe.query, float(probe.positive), probe.kind)
            # The rarest kinds with labels from people, once more for each further sentence of the fact.
            for _ in range(_AGAIN.get(probe.kind, 0)):
                yield self._pair(record, probe.query, float(probe.positive), probe.kind)

    def _made_up(self, record: Record, relation: Relation) -> Record | None:
        """A fact about the same subject by a relation on which the record's own fact says nothing."""
        fits = [
            r
            for r in _fitting(relation.key)
            if sharp(relation.key, r.key) and (normal(record.subject), r.key) not in self.facts
        ]
        if not fits:
            return None
        alike = [r for r in fits if r.key in relation.like]
        other = self.rng.choice(alike if alike and self.rng.random() < _ALIKE else fits)
        if pool := self.by_relation.get((other.key, "train")):
            thing = self.rng.choice(pool).object
        elif other.objects:
            thing = self.rng.choice(other.objects)
        else:
            return None
        return Record(record.source, record.subject, thing, prompt="", relation=other.key)

    def _other_subject(self, record: Record) -> Record | None:
        """A record of the same relation about another subject, of a similar name if there is one."""
        split = split_of(record.subject, record.source)
        own = normal(record.subject)
        words = [w for w in own.split() if len(w) > 2]
        pool: list[Record] = []
        if words and self.rng.random() < 0.5:
            near = self.by_word.get((self.rng.choice(words), split), [])
            pool = [r for r in self.rng.sample(near, min(len(near), 30)) if _apart(own, normal(r.subject))]
            if pool:
                like = self.rng.choice(pool)
                # The record's own question, asked of the subject with the similar name.
                asked = replace(
                    record,
                    subject=like.subject,
                    prompt=record.prompt.replace(record.subject, like.subject),
                    object="it",
                )
                return replace(
                    asked, paraphrases=tuple(p.replace(record.subject, like.subject) for p in record.paraphrases)
                )
        pool = self.by_relation.get((record.relation, split), []) if record.relation else []
        other = self.rng.choice(pool) if pool else None
        return other if other and _apart(own, normal(other.subject)) else None


def _apart(one: str, two: str) -> bool:
    """Whether two names are surely of two things: neither holds the other's words."""
    a, b = set(one.split()), set(two.split())
    return not (a <= b or b <= a)


def _fitting(key: str) -> list[Relation]:
    """Relations for the kind of subject that a relation's subjects are (its first letter: the commonest)."""
    kind = library()[key].kinds[0]
    return [relation for relation in library().values() if kind in relation.kinds]
