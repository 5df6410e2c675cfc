"""What tests run in other processes: ``python -m tests.writing CHANGES STORE VECTORS ARGUMENTS``."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from scr.facts import NewFact
from scr.store import FactStore

from .kept import KeptEncoder

TEXTS = [
    f"Entry {number} of the almanac tells of {thing}." for number in range(60) for thing in ("rain", "snow", "the sea")
]


def say(value: object) -> None:
    """Write a line of JSON, at once."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def churn(store: FactStore, seed: str, changes: str) -> None:
    """Insert, update and remove at random; say so on stdout after each call has returned."""
    chance = random.Random(seed)
    active = [fact.id for fact in store.facts()]
    for turn in range(int(changes)):
        kind = chance.choice(("add", "add", "update", "remove")) if len(active) > 5 else "add"
        if kind == "add":
            # The number makes the text new; its vector is that of the text before the bar.
            result = store.add(NewFact(f"{chance.choice(TEXTS)}|{seed}-{turn}"))
            active.append(result.fact.id)
            told = {"id": result.fact.id, "text": result.fact.text}
        elif kind == "update":
            fact_id = chance.choice(active)
            told = {
                "id": fact_id,
                "text": store.update(fact_id, NewFact(f"{chance.choice(TEXTS)}|{seed}-{turn}")).fact.text,
            }
        else:
            fact_id = active.pop(chance.randrange(len(active)))
            store.remove([fact_id])
            told = {"id": fact_id, "text": None}
        say(told)
        if turn % 25 == 24:
            store.searcher.rebuild()


def insert(store: FactStore, name: str, count: str) -> None:
    """Insert numbered facts, then say the ids."""
    added = [store.add(NewFact(f"{TEXTS[0]}|{name}-{number}")).fact.id for number in range(int(count))]
    say(added)


def answer(store: FactStore) -> None:
    """Search for each line of stdin; say what was found."""
    say("ready")
    for line in sys.stdin:
        found = store.search([line.strip()], 3)[0]
        say([candidate.fact.text for candidate in found])


class BarredEncoder(KeptEncoder):
    """Gives ``text|anything`` the vector of the text, so that every fact can be new and none need be computed."""

    def encode(self, texts, progress=None):
        return super().encode([text.split("|")[0] for text in texts], progress)


def main() -> None:
    what, folder, vectors, *arguments = sys.argv[1:]
    store = FactStore.open(folder, encoder=BarredEncoder.load(Path(vectors)), actor="child")
    {"churn": churn, "insert": insert, "answer": answer}[what](store, *arguments)


if __name__ == "__main__":
    main()
