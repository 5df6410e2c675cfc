"""The store: policies, fields, damage to its index, other encoders, read-only folders."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scr.errors import Conflict, EncoderMismatch, FactError, UnknownFact, UsageError
from scr.facts import NewFact
from scr.store import FactStore, identify

from .kept import KeptEncoder

TEXTS = [
    f"Entry {number} of the almanac tells of {thing}." for number in range(4) for thing in ("rain", "snow", "the sea")
]
OpenStore = Callable[..., FactStore]


def answers(store: FactStore) -> list[list[tuple[str, float]]]:
    found = store.search(["What tells of rain?", "Which entry is about snow?"], 1_000)
    return [sorted((one.fact.id, round(one.similarity, 3)) for one in candidates) for candidates in found]


@pytest.fixture
def saved(open_store: OpenStore) -> tuple[Path, list[list[tuple[str, float]]]]:
    """A closed store with a saved index, and what it answers."""
    store = open_store()
    store.add_all([NewFact(text) for text in TEXTS])
    store.searcher.rebuild()
    store.remove([next(store.facts()).id])
    expected = answers(store)
    store.close()
    assert len(expected[0]) == len(TEXTS) - 1
    return store.path, expected


def test_a_fact_is_found_when_add_returns(store: FactStore) -> None:
    fact = store.add(NewFact("The capital of France is Lyon.", source="atlas")).fact
    assert fact.source == "atlas"
    assert [one.fact for one in store.search(["What is the capital of France?"], 5)[0]] == [fact]
    assert store.search([], 5) == []
    assert store.get(fact.id[:6]) == fact


def test_a_conflict_can_be_refused_or_kept(store: FactStore) -> None:
    old = store.add(NewFact("The capital of France is Paris.")).fact
    with pytest.raises(Conflict, match=f"it contradicts {old.id}.*--on-conflict supersede or keep"):
        store.add(NewFact("The capital of France is Lyon."), on_conflict="reject")
    assert list(store.facts()) == [old]
    store.add(NewFact("The capital of France is Lyon."), on_conflict="keep")
    assert len(list(store.facts())) == 2


def test_the_same_text_twice_changes_nothing(store: FactStore) -> None:
    fact = store.add(NewFact("Tea is green.")).fact
    again = store.add(NewFact("Tea is green."))
    assert (again.fact, again.duplicate) == (fact, True)
    assert len(store.ledger.log(None, 10)) == 1


def test_an_import_is_one_operation_all_or_nothing(store: FactStore) -> None:
    facts = [NewFact(text) for text in TEXTS]
    told: list[int] = []
    counts = store.add_all([*facts, facts[0]], progress=told.append)
    assert (counts.added, counts.duplicate, counts.superseded) == (len(TEXTS), 1, 0)
    assert sum(told) == len(TEXTS) + 1
    assert len(store.ledger.log(None, 10)) == 1

    def cut_off() -> object:
        yield NewFact("This one comes.")
        raise RuntimeError("the file went away")

    with pytest.raises(RuntimeError):
        store.add_all(cut_off())
    assert len(list(store.facts())) == len(TEXTS)
    store.undo()
    assert list(store.facts()) == []


def test_an_update_keeps_the_fields_that_still_hold(store: FactStore) -> None:
    old = store.add(NewFact("Ann lives in Oslo.", "Ann", "home", "Oslo", source="letter")).fact
    new = store.update(old.id, NewFact("Ann lives in Rome.")).fact
    assert (new.id, new.created_at) == (old.id, old.created_at)
    assert (new.subject, new.relation, new.object, new.source) == ("Ann", "home", None, "letter")


def test_an_update_drops_what_the_text_no_longer_speaks_of(store: FactStore) -> None:
    stated = NewFact("The capital of France is Lyon.", "France", "capital", question="What is the capital of France?")
    fact = store.update(store.add(stated).fact.id, NewFact("The capital of Spain is Seville.")).fact
    assert (fact.subject, fact.relation, fact.question) == (None, "capital", None)
    assert not store.add(NewFact("Lutetia is the seat.", "France", "capital", "Lutetia")).superseded
    fact = store.update(fact.id, NewFact("The river of Spain is the Ebro.", question="Which river?")).fact
    assert (fact.relation, fact.question) == (None, "Which river?")


def test_an_update_cannot_make_a_fact_that_never_holds(store: FactStore) -> None:
    old = store.add(NewFact.of({"text": "The mayor of Brest is Ann.", "valid_to": "2026-01-01"})).fact
    with pytest.raises(FactError, match=r"from 2026-06-01.* to 2026-01-01.*give both"):
        store.update(old.id, NewFact.of({"text": "The mayor of Brest is Bea.", "valid_from": "2026-06-01"}))
    assert list(store.facts()) == [old]


def test_a_fact_whose_time_is_over_can_be_stated_again(store: FactStore) -> None:
    def ann(start: str | None, end: str | None) -> NewFact:
        return NewFact.of({"text": "The mayor of Brest is Ann.", "valid_from": start, "valid_to": end})

    question = ["Who is the mayor of Brest?"]
    past = store.add(ann("2010-01-01", "2015-01-01")).fact
    assert store.search(question, 5) == [[]]
    assert store.add(ann("2010-01-01", "2015-01-01")).duplicate
    second = store.add(ann("2020-01-01", "2021-01-01"))
    assert (second.duplicate, second.superseded) == (False, ())  # two terms
    now = store.add(ann("2021-01-01", None))
    assert [one.fact.id for one in store.search(question, 5)[0]] == [now.fact.id]
    assert store.add(ann(None, None)).fact.id == now.fact.id
    longer = store.add(ann("2012-01-01", None))
    assert {one.id for one in longer.superseded} == {past.id, second.fact.id, now.fact.id}
    store.undo()
    assert {one.id for one in store.facts()} == {past.id, second.fact.id, now.fact.id}


def test_ids_of_another_namespace_are_not_met(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter(["abcd11111111", "abcd22222222"])
    monkeypatch.setattr("scr.changes.new_id", lambda: next(made))
    one, two = open_store(namespace="one"), open_store(namespace="two")
    mine, theirs = (each.add(NewFact("Tea is green.")).fact for each in (one, two))
    assert one.get("abcd") == mine
    with pytest.raises(UnknownFact, match="no fact"):
        one.get(theirs.id)


def test_unknown_and_ambiguous_ids(store: FactStore) -> None:
    fact = store.add(NewFact("Tea is green.")).fact
    for wrong in ("", "abc", "zzzz-not-there", fact.id + "x", fact.id[:3]):
        with pytest.raises(UnknownFact, match=r"give at least 4 characters|scr list"):
            store.get(wrong)
    with pytest.raises(UnknownFact):
        store.remove([fact.id, "zzzz"])
    assert list(store.facts()) == [fact]
    assert [one.id for one in store.remove([fact.id, fact.id[:6], fact.id])] == [fact.id]
    with pytest.raises(UnknownFact, match="no active fact"):
        store.update(fact.id, NewFact("Tea is black."))


@pytest.mark.parametrize("count", [0, -1, 2])
def test_an_undo_of_what_is_not_there(store: FactStore, count: int) -> None:
    fact = store.add(NewFact("Tea is green.")).fact
    with pytest.raises(UsageError):
        store.undo(count)
    assert list(store.facts()) == [fact]


def truncated(folder: Path) -> None:
    for file in folder.glob("*/vectors.npy"):
        os.truncate(file, file.stat().st_size // 2)


def one_bit_flipped(folder: Path) -> None:
    for file in folder.glob("*/vectors.npy"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)


def garbage(folder: Path) -> None:
    for file in folder.glob("*/vectors.npy"):
        file.write_bytes(os.urandom(5_000))


def empty(folder: Path) -> None:
    for file in folder.glob("*/vectors.npy"):
        file.write_bytes(b"")


def missing(folder: Path) -> None:
    for file in folder.glob("*/vectors.npy"):
        file.unlink()


def manifest_of(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def manifest_is(data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "manifest.json").write_bytes(data)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        one_bit_flipped,
        garbage,
        empty,
        missing,
        manifest_is(b""),
        manifest_is(b"{"),
        manifest_is(b"[]"),
        manifest_is(b"null"),
        manifest_is(b'{"format": 1}'),
        manifest_is(b"\xff\xfe"),
        manifest_of(format=99),
        manifest_of(store="another"),
        manifest_of(encoder="another"),
        manifest_of(encoder_revision="another"),
        manifest_of(ledger_revision=10_000),
        manifest_of(count=3),
        manifest_of(dimensions=7),
        manifest_of(event="another"),
        manifest_of(folder="../.."),
        manifest_of(folder=None),
        manifest_of(files={}),
        manifest_of(ledger_revision="12"),
        shutil.rmtree,
    ],
)
def test_a_damaged_index_is_repaired_from_the_ledger(
    saved: tuple[Path, list[list[tuple[str, float]]]],
    damage: Callable[[Path], None],
    open_store: OpenStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, expected = saved
    damage(path / "index")
    with caplog.at_level(logging.WARNING):
        store = open_store()
        assert answers(store) == expected
        assert store.searcher.differences() == []
    if damage is not shutil.rmtree:
        assert "rebuilding it from the ledger" in caplog.text
    caplog.clear()
    store.searcher.rebuild()
    assert answers(open_store()) == expected
    assert caplog.text == ""


def test_a_sound_index_is_read_and_not_built(
    saved: tuple[Path, list[list[tuple[str, float]]]], open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    asked: list[int] = []
    monkeypatch.setattr(
        store.ledger,
        "changes_since",
        lambda revision, ask=store.ledger.changes_since: asked.append(revision) or ask(revision),
    )
    assert answers(store) == saved[1]
    assert asked == [len(TEXTS)]


@pytest.mark.parametrize("searched", [True, False])
def test_a_ledger_put_back_to_an_earlier_state_gets_a_new_index(
    searched: bool, open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_store()
    store.add_all([NewFact(text) for text in TEXTS[:4]])
    store.close()
    shutil.copy(store.path / "ledger.sqlite", tmp_path / "backup")
    store = open_store()
    store.add_all([NewFact(text) for text in TEXTS[4:8]])
    store.searcher.rebuild()
    store.close()
    shutil.copy(tmp_path / "backup", store.path / "ledger.sqlite")
    store = open_store()
    if searched:
        assert len(answers(store)[0]) == 4
    store.add_all([NewFact(text) for text in TEXTS[6:]])
    store.close()
    again = open_store()
    found = answers(again)
    again.searcher.rebuild()
    assert found == answers(again)
    assert len(found[0]) == 10


def test_a_vector_that_is_not_the_facts_own_is_found(store: FactStore) -> None:
    store.add_all([NewFact(text) for text in TEXTS])
    assert store.searcher.differences() == []
    index = store.searcher._opened()
    numbers, vectors = next(index.blocks())
    index.remove(numbers[:1])
    index.add(numbers[:1], vectors[1:2].astype(np.float32))
    assert store.searcher.differences() == [f"the index holds another vector of fact number {numbers[0]}"]


def test_another_encoder_is_refused(store: FactStore, open_store: OpenStore, kept: KeptEncoder) -> None:
    store.add(NewFact(TEXTS[0]))
    other = KeptEncoder(kept.name, "another revision", kept.dimensions, kept.vectors, kept)
    stranger = open_store(encoder=other)
    for work in (lambda: stranger.add(NewFact(TEXTS[1])), lambda: stranger.search([TEXTS[0]], 1)):
        with pytest.raises(EncoderMismatch, match="run `scr store rebuild --encoder all-MiniLM-L6-v2`, or open"):
            work()
    assert [fact.text for fact in store.facts()] == [TEXTS[0]]
    assert stranger.rebuild() == 1
    assert answers(stranger)
    assert stranger.ledger.encoder() == dataclasses.replace(store.ledger.encoder(), revision="another revision")


def test_a_rebuild_keeps_the_stores_encoder_unless_told_otherwise(
    open_store: OpenStore, kept: KeptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = KeptEncoder("my/encoder", "1", kept.dimensions, kept.vectors, kept)
    made = open_store(encoder=other)
    made.add(NewFact(TEXTS[0]))
    monkeypatch.setattr("scr.encoder.open_encoder", lambda name=None: other if name == other.name else kept)
    with FactStore.open(made.path) as store:  # names no encoder, as `scr store rebuild` does
        store.rebuild()
        assert store.ledger.encoder() == identify(other)
    with FactStore.open(made.path, encoder=other.name) as store:
        store.rebuild(kept.name)
        assert store.ledger.encoder() == identify(kept)


def test_a_process_with_the_old_encoder_notices_a_rebuild(open_store: OpenStore, kept: KeptEncoder) -> None:
    here = open_store()
    here.add(NewFact(TEXTS[0]))
    assert answers(here)
    other = KeptEncoder(kept.name, "another revision", kept.dimensions, kept.vectors, kept)
    open_store(encoder=other).rebuild()
    for work in (lambda: here.add(NewFact(TEXTS[1])), lambda: here.search([TEXTS[0]], 1)):
        with pytest.raises(EncoderMismatch):
            work()


def test_lost_embeddings_are_made_again(store: FactStore, open_store: OpenStore) -> None:
    store.add_all([NewFact(text) for text in TEXTS])
    expected = answers(store)
    identity = store.ledger.encoder()
    assert identity
    store.ledger.put_embeddings(identity, [], replace=True)
    shutil.rmtree(store.path / "index", ignore_errors=True)
    assert answers(open_store()) == expected


def test_namespaces_share_nothing_but_the_file(open_store: OpenStore) -> None:
    one, two = open_store(namespace="one"), open_store(namespace="two")
    mine = one.add(NewFact(TEXTS[0])).fact
    theirs = two.add(NewFact(TEXTS[0])).fact
    assert [candidate.fact for candidate in one.search([TEXTS[0]], 9)[0]] == [mine]
    assert [candidate.fact for candidate in two.search([TEXTS[0]], 9)[0]] == [theirs]
    with pytest.raises(UnknownFact):
        one.remove([theirs.id])
    with pytest.raises(UnknownFact):
        one.get(theirs.id)
    one.undo()
    assert list(two.facts()) == [theirs]


def test_an_index_that_cannot_be_saved_costs_only_time(store: FactStore, caplog: pytest.LogCaptureFixture) -> None:
    (store.path / "index").write_text("a file where the folder should be")
    store.add_all([NewFact(text) for text in TEXTS])
    with caplog.at_level(logging.WARNING):
        store.searcher.rebuild()
    assert len(answers(store)[0]) == len(TEXTS)
    assert "was not saved" in caplog.text


def test_search_is_exact_over_the_kept_vectors(store: FactStore, kept: KeptEncoder) -> None:
    store.add_all([NewFact(text) for text in TEXTS])
    query = "What tells of the sea?"
    cosines = kept.encode(TEXTS) @ kept.encode([query])[0]
    found = store.search([query], 5)[0]
    np.testing.assert_allclose([one.similarity for one in found], np.sort(cosines)[::-1][:5], atol=2e-3)
