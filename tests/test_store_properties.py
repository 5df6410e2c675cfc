"""The store against a model of plain dicts, through random sequences of changes by two users."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from scr.errors import Conflict, UnknownFact, UsageError
from scr.facts import NewFact
from scr.store import FactStore, OnConflict

from .kept import KeptEncoder

# Each text, and what it says by its grammar alone: subject, relation, object. None says nothing of that kind.
SAID: dict[str, tuple[str, str, str] | None] = {
    "The capital of Atlantis is Poseidonia.": ("atlantis", "capital", "poseidonia"),
    "The capital of Atlantis is Lyon.": ("atlantis", "capital", "lyon"),
    "Atlantis's capital is Lyon.": ("atlantis", "capital", "lyon"),
    "The capital of Lemuria is Lyon.": ("lemuria", "capital", "lyon"),
    "The mayor of Atlantis is Lyon Smith.": ("atlantis", "mayor", "lyon smith"),
    "Mira speaks French.": None,
    "Mira speaks German.": None,
    "Mira moved to Oslo in the spring.": None,
    "Rain falls on the plain.": None,
    "Tea: green, please!\nAlways.": None,
}
TEXTS = sorted(SAID)
NAMES = st.sampled_from([None, "Atlantis", "atlantis", "Mira"])
RELATIONS = st.sampled_from([None, "capital", "home"])
OBJECTS = st.sampled_from([None, "Lyon", "Oslo"])
NEW = st.builds(NewFact, st.sampled_from(TEXTS), NAMES, RELATIONS, OBJECTS)
NAMESPACES = st.sampled_from(["one", "two"])
POLICY = st.sampled_from(["supersede", "supersede", "keep", "reject"])


def said(fact: NewFact) -> tuple[tuple[str, str], str] | None:
    """What a fact is about, and the value it gives: as stated, else by its grammar."""
    if fact.subject and fact.relation:
        value = fact.object or fact.text
        return (fact.subject.lower(), fact.relation), " ".join(
            "".join(c if c.isalnum() else " " for c in value.lower()).replace("the ", "").split()
        )
    parts = SAID[fact.text]
    return (parts[:2], parts[2]) if parts else None


@dataclass
class Model:
    """One namespace: what is active, what was there before each operation, and when each ended."""

    active: dict[str, NewFact] = field(default_factory=dict)
    undoable: list[dict[str, NewFact]] = field(default_factory=list)
    past: list[tuple[datetime, dict[str, NewFact]]] = field(default_factory=list)

    def contradicted(self, new: NewFact, but: str | None = None) -> set[str]:
        mine = said(new)
        others = {one: said(fact) for one, fact in self.active.items() if one != but}
        return {
            one for one, theirs in others.items() if mine and theirs and theirs[0] == mine[0] and theirs[1] != mine[1]
        }

    def has(self, text: str) -> bool:
        return any(fact.text == text for fact in self.active.values())


class StoreMachine(RuleBasedStateMachine):
    encoder: ClassVar[KeptEncoder]
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a folder: what is tested here is not the disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="scr-test-", dir=memory))
        self.models = {"one": Model(), "two": Model()}
        self.stores: dict[str, FactStore] = {}
        self.open()

    def open(self) -> None:
        self.stores = {name: FactStore.open(self.folder, namespace=name, encoder=self.encoder) for name in self.models}

    def teardown(self) -> None:
        for store in self.stores.values():
            store.close()
        shutil.rmtree(self.folder)

    def done(self, name: str, before: dict[str, NewFact], *, undoable: bool = True) -> None:
        model = self.models[name]
        if undoable:
            model.undoable.append(before)
        model.past.append((self.stores[name].ledger.log(name, 1)[0].at, dict(model.active)))

    @rule(target=ids, name=NAMESPACES, new=NEW, policy=POLICY)
    def add(self, name: str, new: NewFact, policy: OnConflict) -> object:
        model, store = self.models[name], self.stores[name]
        before, size = dict(model.active), len(store.ledger.log(None, 10_000))
        if model.has(new.text):
            added = store.add(new, on_conflict=policy)
            assert added.duplicate
            assert added.fact.id in model.active
            assert len(store.ledger.log(None, 10_000)) == size
            return multiple()
        expected = set() if policy == "keep" else model.contradicted(new)
        if expected and policy == "reject":
            with pytest.raises(Conflict, match="nothing was changed"):
                store.add(new, on_conflict=policy)
            return multiple()
        added = store.add(new, on_conflict=policy)
        assert {fact.id for fact in added.superseded} == expected == set(added.fact.supersedes)
        for gone in expected:
            del model.active[gone]
        model.active[added.fact.id] = new
        self.done(name, before)
        return name, added.fact.id

    @rule(target=ids, name=NAMESPACES, facts=st.lists(NEW, max_size=4), policy=POLICY)
    def add_all(self, name: str, facts: list[NewFact], policy: OnConflict) -> object:
        model, store = self.models[name], self.stores[name]
        trial = Model(dict(model.active))
        duplicate = superseded = 0
        rejected = False
        for place, new in enumerate(facts):
            if trial.has(new.text):
                duplicate += 1
                continue
            gone = set() if policy == "keep" else trial.contradicted(new)
            rejected |= bool(gone) and policy == "reject"
            for one in gone:
                del trial.active[one]
            superseded += len(gone)
            trial.active[f"new {place}"] = new
        if rejected:
            with pytest.raises(Conflict):
                store.add_all(facts, on_conflict=policy)
            return multiple()
        counts = store.add_all(facts, on_conflict=policy)
        added = len(facts) - duplicate
        assert (counts.added, counts.duplicate, counts.superseded) == (added, duplicate, superseded)
        if not added:
            return multiple()
        before = model.active
        here = {fact.text: fact.id for fact in store.facts() if fact.id not in before}
        model.active = {here[fact.text] if one.startswith("new ") else one: fact for one, fact in trial.active.items()}
        self.done(name, before)
        return multiple(*((name, one) for one in here.values()))

    @rule(fact=ids, new=NEW, foreign=st.integers(0, 9))
    def update(self, fact: tuple[str, str], new: NewFact, foreign: int) -> None:
        name, fact_id = fact if foreign else ("one" if fact[0] == "two" else "two", fact[1])
        model, store = self.models[name], self.stores[name]
        old = model.active.get(fact_id)
        if old is None:
            with pytest.raises(UnknownFact):
                store.update(fact_id, new)
            return
        before = dict(model.active)
        updated = replace(old, **{key: value for key, value in asdict(new).items() if value is not None})
        if new.object is None and old.object and old.object.lower() not in new.text.lower():
            updated = replace(updated, object=None)
        for key in ("subject", "relation"):
            value = (getattr(old, key) or "").lower()
            if getattr(new, key) is None and value in old.text.lower() and value not in new.text.lower():
                updated = replace(updated, **{key: None})
        expected = model.contradicted(updated, but=fact_id)
        result = store.update(fact_id, new)
        assert result.fact.id == fact_id
        assert {fact.id for fact in result.superseded} == expected
        for gone in expected:
            del model.active[gone]
        model.active[fact_id] = updated
        self.done(name, before)

    @rule(facts=st.lists(ids, min_size=1, max_size=2))
    def remove(self, facts: list[tuple[str, str]]) -> None:
        name, fact_ids = facts[0][0], [fact_id for _, fact_id in facts]
        model, store = self.models[name], self.stores[name]
        before = dict(model.active)
        if not set(fact_ids) <= set(before):
            with pytest.raises(UnknownFact):
                store.remove(fact_ids)
            return
        assert {fact.id for fact in store.remove(fact_ids)} == set(fact_ids)
        for gone in set(fact_ids):
            del model.active[gone]
        self.done(name, before)

    @rule(name=NAMESPACES, count=st.integers(1, 3))
    def undo(self, name: str, count: int) -> None:
        model, store = self.models[name], self.stores[name]
        if len(model.undoable) < count:
            with pytest.raises(UsageError, match="operations can be undone"):
                store.undo(count)
            return
        assert len(store.undo(count)) == count
        for _ in range(count):
            model.active = model.undoable.pop()
        self.done(name, dict(model.active), undoable=False)

    @precondition(lambda self: any(model.past for model in self.models.values()))
    @rule(data=st.data())
    def as_of(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([name for name, model in self.models.items() if model.past]))
        moment, facts = data.draw(st.sampled_from(self.models[name].past))
        assert {fact.id: fact.text for fact in self.stores[name].facts(as_of=moment)} == {
            one: fact.text for one, fact in facts.items()
        }
        found = self.stores[name].search(["Atlantis"], len(facts) + 1, as_of=moment)[0]
        assert {candidate.fact.id for candidate in found} == set(facts)

    @rule(saved=st.booleans())
    def reopen(self, saved: bool) -> None:
        if saved:
            self.stores["one"].searcher.rebuild()
        for store in self.stores.values():
            store.close()
        self.open()

    @invariant()
    def facts_are_the_models(self) -> None:
        for name, model in self.models.items():
            fields = NewFact.__dataclass_fields__
            stored = {f.id: NewFact(**{key: getattr(f, key) for key in fields}) for f in self.stores[name].facts()}
            assert stored == model.active

    @invariant()
    def search_finds_exactly_the_active_facts(self) -> None:
        for name, model in self.models.items():
            found = self.stores[name].search(["Where is the capital?"], 60)[0]
            assert sorted(candidate.fact.id for candidate in found) == sorted(model.active)
            assert all(candidate.fact.text == model.active[candidate.fact.id].text for candidate in found)

    @invariant()
    def ledger_and_index_are_sound(self) -> None:
        assert self.stores["one"].ledger.verify() == []
        assert self.stores["one"].searcher.differences() == []


@pytest.mark.slow
def test_the_store_behaves_as_the_model(kept: KeptEncoder) -> None:
    class Machine(StoreMachine):
        encoder = kept

    checks = settings(
        max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    Machine.TestCase.settings = checks
    Machine.TestCase("runTest").runTest()
