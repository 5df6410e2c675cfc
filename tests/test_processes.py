"""Several processes at one store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scr.facts import NewFact
from scr.ledger.transaction import text_digest
from scr.store import FactStore

from .kept import KeptEncoder
from .writing import TEXTS, BarredEncoder

ROOT = Path(__file__).parents[1]
WRITERS, EACH = 10, 30


@pytest.fixture
def barred(kept: KeptEncoder) -> BarredEncoder:
    return BarredEncoder(kept.name, kept.revision, kept.dimensions, kept.vectors, kept)


@pytest.fixture
def vectors(tmp_path: Path, barred: BarredEncoder) -> Path:
    return barred.save(tmp_path / "vectors.npz", TEXTS)


def start(what: str, folder: Path, vectors: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.writing", what, str(folder), str(vectors), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_ten_processes_make_one_store_and_write_at_once(tmp_path: Path, vectors: Path, barred: BarredEncoder) -> None:
    folder = tmp_path / "new" / "store"
    writers = [start("insert", folder, vectors, f"writer {number}", str(EACH)) for number in range(WRITERS)]
    added: list[str] = []
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert (writer.returncode, err) == (0, "")
        added += json.loads(out)
    assert len(set(added)) == WRITERS * EACH
    with FactStore.open(folder, encoder=barred) as store:
        facts = list(store.facts())
        assert {fact.id for fact in facts} == set(added)
        assert {fact.text for fact in facts} == {
            f"{TEXTS[0]}|writer {number}-{place}" for number in range(WRITERS) for place in range(EACH)
        }
        operations = store.ledger.log(None, 1_000)
        assert len(operations) == WRITERS * EACH
        moments = [operation.at for operation in reversed(operations)]
        assert moments == sorted(set(moments))
        assert store.ledger.verify() == []
        assert store.searcher.differences() == []


def test_a_reader_sees_a_change_of_another_process_in_its_next_query(
    tmp_path: Path, vectors: Path, barred: BarredEncoder
) -> None:
    folder = tmp_path / "store"
    FactStore.open(folder, encoder=barred).close()
    reader = start("answer", folder, vectors)
    assert reader.stdin
    assert reader.stdout

    def ask() -> list[str]:
        assert reader.stdin
        assert reader.stdout
        reader.stdin.write(TEXTS[3] + "\n")
        reader.stdin.flush()
        return json.loads(reader.stdout.readline())

    try:
        assert json.loads(reader.stdout.readline()) == "ready"
        assert ask() == []
        with FactStore.open(folder, encoder=barred) as store:
            fact = store.add(NewFact(TEXTS[3])).fact
            assert ask() == [TEXTS[3]]
            store.update(fact.id, NewFact(TEXTS[4]))
            assert ask() == [TEXTS[4]]
            store.add_all([NewFact(TEXTS[3]), NewFact(TEXTS[5])])
            assert ask()[0] == TEXTS[3]
            store.undo(2)
            assert ask() == [TEXTS[3]]
            store.remove([fact.id])
            assert ask() == []
    finally:
        _, err = reader.communicate(timeout=30)
    assert err == ""


class Interrupted(BarredEncoder):
    """An encoder of another revision, during whose first batch of a rebuild something else happens."""

    def __init__(self, encoder: BarredEncoder, meanwhile: Callable[[], None]) -> None:
        super().__init__(encoder.name, "another revision", encoder.dimensions, encoder.vectors, encoder.source)
        self.meanwhile: Callable[[], None] | None = meanwhile

    def encode(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        vectors = -super().encode(texts, progress)  # unlike those of the encoder before
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return vectors


def test_others_write_while_a_store_is_embedded_afresh(tmp_path: Path, vectors: Path, barred: BarredEncoder) -> None:
    folder = tmp_path / "store"
    with FactStore.open(folder, encoder=barred) as store:
        store.add_all([NewFact(text) for text in TEXTS[:5]])
        changed = next(store.facts()).id

    def write() -> None:
        out, err = start("insert", folder, vectors, "meanwhile", "4").communicate(timeout=50)
        assert err == "", "the writer was kept waiting"
        assert len(json.loads(out)) == 4
        with FactStore.open(folder, encoder=barred) as other:
            other.remove([changed])
            other.undo()
            other.update(changed, NewFact(TEXTS[9]))

    new = Interrupted(barred, write)
    with FactStore.open(folder, encoder=new) as store:
        assert store.rebuild() == 9
        facts = list(store.facts())
        assert {f"{TEXTS[0]}|meanwhile-{number}" for number in range(4)} <= {fact.text for fact in facts}
        kept = store.ledger.embeddings([text_digest(fact.text) for fact in facts])
        expected = new.encode([fact.text for fact in facts])
        np.testing.assert_allclose([kept[text_digest(fact.text)] for fact in facts], expected, atol=1e-3)
        assert store.search([TEXTS[9]], 1)[0][0].fact.id == changed
        assert store.ledger.verify() == store.searcher.differences() == []
    late = start("insert", folder, vectors, "late", "1")
    assert "EncoderMismatch" in late.communicate(timeout=50)[1]
    assert late.returncode != 0
