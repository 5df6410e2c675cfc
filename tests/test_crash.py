"""Acknowledged means durable: writers killed with SIGKILL at random instants."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from scr.store import FactStore

from .kept import KeptEncoder
from .writing import TEXTS, BarredEncoder

ROOT = Path(__file__).parents[1]
ROUNDS, CHANGES = 20, 500


def killed_writer(folder: Path, vectors: Path, round_number: int) -> list[dict[str, str | None]]:
    """What a writer acknowledged before it was killed, at a random instant between its first change and its last."""
    command = [
        sys.executable,
        "-m",
        "tests.writing",
        "churn",
        str(folder),
        str(vectors),
        str(round_number),
        str(CHANGES),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        lines = [child.stdout.readline()]
        killer = threading.Timer(random.Random(round_number).uniform(0.0, 1.2), child.kill)
        killer.start()
        lines += child.stdout.readlines()
        killer.cancel()
        killer.join()
        assert child.stderr
        assert child.stderr.read() == b""
    assert child.returncode in {0, -signal.SIGKILL}
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def apply(active: dict[str, str], fact_id: str, text: str | None) -> None:
    if text is None:
        del active[fact_id]
    else:
        active[fact_id] = text


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path, kept: KeptEncoder) -> None:
    encoder = BarredEncoder(kept.name, kept.revision, kept.dimensions, kept.vectors, kept)
    vectors = encoder.save(tmp_path / "vectors.npz", TEXTS)
    folder = tmp_path / "store"
    expected: dict[str, str] = {}
    operations = cut_short = 0
    for number in range(ROUNDS):
        acknowledged = killed_writer(folder, vectors, number)
        assert acknowledged, "the writer was killed before its first change"
        cut_short += len(acknowledged) < CHANGES
        for change in acknowledged:
            apply(expected, str(change["id"]), change["text"])
        with FactStore.open(folder, encoder=encoder) as store:
            last = store.ledger.log(None, 1)[0]
            assert last.number - operations - len(acknowledged) in {0, 1}, "more than the change in hand came or went"
            if last.number - operations > len(acknowledged):
                for _, fact in last.facts:
                    apply(expected, fact.id, fact.text if fact.status == "active" else None)
            operations = last.number
            assert {fact.id: fact.text for fact in store.facts()} == expected
            assert store.ledger.verify() == []
            assert store.searcher.differences() == []
            assert answers(store) == answers_of_a_new_index(folder, encoder, tmp_path / "copy")
    assert cut_short >= ROUNDS // 2, "too few writers were killed at work"


def answers(store: FactStore) -> list[list[tuple[str, float]]]:
    # Equal cosines may come in any order, so that each answer is taken whole and sorted.
    found = store.search(TEXTS[:10], 1_000_000)
    return [sorted((one.fact.id, round(one.similarity, 3)) for one in candidates) for candidates in found]


def answers_of_a_new_index(folder: Path, encoder: KeptEncoder, copy: Path) -> list[list[tuple[str, float]]]:
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("index"))
    with FactStore.open(copy, encoder=encoder) as store:
        found = answers(store)
    shutil.rmtree(copy)
    return found
