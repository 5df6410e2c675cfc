"""Would a threshold for each fact help? Probes of its own narrow it, and the decisions are counted.

    python -m benchmarks.scope.radius --data DATA [--scores FOLDER]

BalancEdit's radius, for text: where a fact's relation is in the library, its near-misses are the wordings of the other
relations that fit its subject, and its paraphrases its own relation's. Its threshold becomes the highest score of a
near-miss, no lower than the shipped threshold and no higher than the lowest score of a paraphrase. Beside it stands one
higher threshold for every fact that fires as rarely out of scope: a radius helps if it keeps more recall than that.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import write_result
from scr.scope import Candidate, ScopeClassifier
from scr.scope.training.relations import Relation, library, noun_forms

from .judge import Scored
from .run import fact_of, open_classifier
from .sets import IN_SCOPE, every_set
from .verdicts import scores_of

_HERE = Path(__file__).parent
_MOST = 24
_PLAIN = ("reliability", "generalization")


@dataclass(frozen=True)
class Read:
    """What a sentence says, by the library's words: its subject and its relation."""

    subject: str
    relation: Relation


@cache
def patterns() -> tuple[tuple[re.Pattern[str], Relation], ...]:
    """What states each relation, longest first."""
    found = []
    for relation in library().values():
        clozes = [*relation.clozes, *(form for noun in relation.nouns for form in noun_forms(noun)[:3])]
        for cloze in clozes:
            before, _, after = cloze.partition("{s}")
            text = rf"{re.escape(before)}(?P<s>.+?){re.escape(after)} (?P<o>.+?)\.?"
            found.append((len(cloze), re.compile(text, re.IGNORECASE), relation))
    return tuple((pattern, relation) for _, pattern, relation in sorted(found, key=lambda one: -one[0]))


def read(text: str) -> Read | None:
    """The sentence in the library's words, if it has them."""
    for pattern, relation in patterns():
        if match := pattern.fullmatch(text):
            return Read(match["s"], relation)
    return None


def probes(fact: Read, rng: Random) -> tuple[list[str], list[str]]:
    """Paraphrases, and near-misses: first of relations that are easily mistaken, then of others that fit."""

    def asked(relation: Relation) -> list[str]:
        return [text.replace("{s}", fact.subject) for text in (*relation.questions, *relation.clozes)]

    own = fact.relation
    others = [
        other
        for other in library().values()
        if other.key != own.key and other.key not in own.near and own.kinds[0] in other.kinds
    ]
    rng.shuffle(others)
    others.sort(key=lambda other: other.key not in own.like)
    near = [rng.choice(texts) for other in others if (texts := asked(other))]
    return asked(own), near[:_MOST]


def thresholds(facts: Sequence[str], classifier: ScopeClassifier, seed: int = 0) -> tuple[NDArray[np.float32], int]:
    """Each fact's threshold, shape (n,), and how many facts could be read."""
    rng = Random(seed)  # noqa: S311 - seeded on purpose
    cuts = np.full(len(facts), classifier.threshold, np.float32)
    readable = 0
    for place, text in enumerate(facts):
        if (fact := read(text)) is None:
            continue
        readable += 1
        paraphrases, near = probes(fact, rng)
        candidate = Candidate(fact_of(text), 1.0)
        scores = np.array(classifier.score([(query, candidate) for query in (*paraphrases, *near)]))
        lowest, highest = scores[: len(paraphrases)].min(initial=1), scores[len(paraphrases) :].max(initial=0)
        cuts[place] = max(cuts[place], min(np.nextafter(np.float32(highest), np.float32(2)), lowest))
    return cuts, readable


def rates(scored: Scored, cuts: NDArray[np.float32]) -> dict[str, float]:
    """Decisions where each fact has its own threshold: what fires out of scope, and where a right fact applies."""
    applies = scored.scores >= cuts[scored.found]
    right = np.array(
        [np.isin(found, asked.facts) for found, asked in zip(scored.found, scored.data.asked, strict=True)]
    )
    outside = np.array([not asked.facts for asked in scored.data.asked])
    return {
        "false_fires": float(applies[outside].any(1).mean()),
        "recall_plain": float((applies & right)[scored.mask(_PLAIN)].any(1).mean()),
        "recall_all": float((applies & right)[scored.mask(IN_SCOPE)].any(1).mean()),
    }


def higher(scored: Scored, cuts: NDArray[np.float32]) -> dict[str, float]:
    """One threshold for every fact that fires as rarely out of scope as these do."""
    outside = np.array([not asked.facts for asked in scored.data.asked])
    allowed = round(rates(scored, cuts)["false_fires"] * outside.sum())
    one = np.nextafter(np.sort(scored.top[outside])[::-1][min(allowed, outside.sum() - 1)], np.float32(2))
    return {"threshold": float(one), **rates(scored, np.full_like(cuts, one))}


def main() -> None:
    """Read the options, measure, write results/radius.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", default="wiki_counterfact,zsre,eren", help="names of sets, with commas")
    parser.add_argument("--scores", type=Path, help="folder where scores are kept; empty it after a training")
    given = parser.parse_args()
    classifier = open_classifier("cross-encoder", None)
    results: dict[str, Any] = {}
    for data in every_set(given.data):
        if data.name not in given.sets.split(","):
            continue
        _, scored = scores_of(data, classifier, 10, given.scores)
        cuts, readable = thresholds(data.facts, classifier)
        shipped = np.full_like(cuts, classifier.threshold)
        results[data.name] = {
            "facts": len(data.facts),
            "readable": readable,
            "narrowed": int((cuts > shipped).sum()),
            "shipped": rates(scored, shipped),
            "radius": rates(scored, cuts),
            "one_higher_threshold": higher(scored, cuts),
        }
        print(data.name, results[data.name], flush=True)
    write_result(_HERE / "results/radius.json", {"sets": given.sets, "near_misses": _MOST}, results)


if __name__ == "__main__":
    main()
