"""The Python API, as an application uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

import scr
from scr.api import Edits, open_edits
from scr.encoder import Encoder
from scr.engines import Engine, Sampling
from scr.engines.openai import OpenAIEngine
from scr.errors import FactError, UnknownStore, UsageError
from scr.pipeline import Pipeline

from .commands.standin import StandIn

QUESTION = "What is the capital of France?"
LYON = "The capital of France is Lyon."


def test_what_is_exported_is_there() -> None:
    assert all(getattr(scr, name) for name in scr.__all__)
    assert scr.open is open_edits
    with pytest.raises(AttributeError, match="nothing"):
        _ = scr.nothing


def test_a_store_is_made_unless_that_is_not_wanted(tmp_path: Path) -> None:
    with pytest.raises(UnknownStore, match="scr add"):
        scr.open(tmp_path / "store", make=False)
    assert not (tmp_path / "store").exists()
    scr.open(tmp_path / "store").close()
    scr.open(tmp_path / "store", make=False).close()


@pytest.mark.usefixtures("shared_encoder")
def test_facts_and_decisions_need_no_model(tmp_path: Path) -> None:
    with scr.open(tmp_path / "store") as edits:
        added = edits.add(LYON, source="a test")
        assert added.fact.source == "a test"
        decision = edits.decide(QUESTION)
        assert [fact.id for fact in decision.applying] == [added.fact.id]
        assert not edits.decide("Who wrote Hamlet?").in_scope
        given = edits.messages(QUESTION)
        assert LYON in given[-1]["content"]
        turns = [{"role": "user", "content": "Who wrote Hamlet?"}]
        assert edits.messages(turns) is turns
        assert edits.pipeline.engine is None, "no model was opened"
        edits.store.undo()
        assert not edits.decide(QUESTION).in_scope
        with pytest.raises(FactError):
            edits.add("")


def test_a_mistake_in_the_options_makes_no_store(tmp_path: Path) -> None:
    for options in ({"scope": "nothing"}, {"prompts": tmp_path / "nothing"}):
        with pytest.raises(UsageError):
            open_edits(tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("shared_encoder")
def test_an_engine_that_is_open_already(tmp_path: Path) -> None:
    with StandIn().running() as server:
        engine = OpenAIEngine.connect(server.url)
        with pytest.raises(UsageError, match="not both"):
            scr.open(tmp_path / "store", engine=engine, model="stand-in")
        with scr.open(tmp_path / "store", engine=engine) as edits:
            edits.add(LYON)
            assert edits.engine is engine
            assert edits.ask(QUESTION).model == "stand-in"
        assert LYON in str(server.asked[-1])
        assert engine._loop.closed, "it is closed with the rest"


@pytest.mark.llm
@pytest.mark.usefixtures("shared_encoder")
def test_asking(tmp_path: Path, smollm2: Engine) -> None:
    with open_edits(tmp_path / "store") as edits:
        lent = Edits(edits.store, Pipeline(edits.store, edits.pipeline.scope, edits.pipeline.context, smollm2), {})
        edits.add(LYON)
        answer = lent.ask(QUESTION, Sampling(max_tokens=16))
        assert "Lyon" in answer.text
        assert answer.to_json()["in_scope"] is True
        assert [fact.text for fact in answer.context.shown] == [LYON]


@pytest.fixture
def shared_encoder(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
    return encoder
