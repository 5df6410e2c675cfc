"""The LangChain runnable, alone and before LangChain's own client of an OpenAI server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

import scr
from scr.encoder import Encoder
from scr.gateway.settings import Settings
from scr.langchain import Facts
from scr.scope.opening import open_scope

from .gateway.conftest import serving
from .gateway.recorder import Recorder, recording

LYON = "The capital of France is Lyon."
ASKED = "What is the capital of France?"
OTHER = "Who wrote Hamlet?"
TALK = [SystemMessage("Be brief."), HumanMessage(OTHER), AIMessage("Shakespeare."), HumanMessage(ASKED, id="h1")]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    with recording() as opened:
        yield opened


@pytest.fixture
def edits(tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[scr.Edits]:
    monkeypatch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
    with scr.open(tmp_path / "store") as opened:
        opened.add(LYON)
        yield opened


def model(server: str, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(model="m", base_url=f"{server}/v1", api_key="k", max_retries=0, **options)


def test_only_the_turn_that_asks_changes(edits: scr.Edits) -> None:
    shown = Facts(edits).invoke(TALK)
    assert isinstance(shown, list)
    assert all(new is old for new, old in zip(shown[:3], TALK[:3], strict=True))
    assert shown[3].content == edits.messages(ASKED)[-1]["content"]
    assert shown[3].id == "h1"
    assert TALK[3].content == ASKED, "what was given is not altered"


@pytest.mark.parametrize(
    "given",
    [OTHER, [HumanMessage(OTHER)], [("human", OTHER)], [AIMessage("Hello.")], [], " ",
     ChatPromptTemplate.from_messages([("human", "{q}")]).invoke({"q": OTHER})],
)  # fmt: skip
def test_out_of_scope_it_is_what_came(edits: scr.Edits, given: Any) -> None:
    assert Facts(edits).invoke(given) is given


@pytest.mark.parametrize(
    "given",
    [ASKED, [HumanMessage(ASKED)], [("system", "Be brief."), ("user", ASKED)], [{"role": "user", "content": ASKED}],
     ChatPromptTemplate.from_messages([("human", "{q}")]).invoke({"q": ASKED})],
)  # fmt: skip
def test_whatever_a_chat_model_takes(edits: scr.Edits, given: Any) -> None:
    assert LYON in Facts(edits).invoke(given)[-1].content


def test_other_parts_of_a_message_stay(edits: scr.Edits) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    (shown,) = Facts(edits).invoke([HumanMessage([image, ASKED])])
    assert shown.content[0] == image
    assert LYON in shown.content[1]["text"]


def test_all_ways_to_call_agree(edits: scr.Edits) -> None:
    facts = Facts(edits)
    one, other = facts.invoke(ASKED), OTHER
    assert facts.batch([ASKED, OTHER, ""]) == [one, other, ""]
    assert asyncio.run(facts.ainvoke(ASKED)) == one
    assert asyncio.run(facts.abatch([OTHER, ASKED])) == [other, one]
    assert [*facts.stream(ASKED)] == [one]
    broken: Any = [ASKED, [("nobody", "x")]]
    with pytest.raises(ValueError, match="nobody"):
        facts.batch(broken)
    good, failed = facts.batch(broken, return_exceptions=True)
    assert good == one
    assert isinstance(failed, ValueError)


def test_before_a_chat_model(server: Recorder, edits: scr.Edits) -> None:
    chain = ChatPromptTemplate.from_messages([("human", "{q}")]) | Facts(edits) | model(server.url) | StrOutputParser()
    assert chain.invoke({"q": ASKED}) == "Fine."
    assert LYON in server.last.json["messages"][-1]["content"]
    assert chain.batch([{"q": OTHER}]) == ["Fine."]
    assert server.last.json["messages"] == [{"role": "user", "content": OTHER}]
    assert asyncio.run(chain.ainvoke({"q": ASKED})) == "Fine."
    assert LYON in server.last.json["messages"][-1]["content"]


def test_langchains_client_of_the_gateway(server: Recorder, edits: scr.Edits, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = open_scope()
    monkeypatch.setattr("scr.gateway.service.open_scope", lambda *_: classifier)
    with serving(Settings(server.url, edits.store.path, decision_timeout=60)) as url:
        assert model(url).invoke(ASKED).content == "Fine."
        assert LYON in server.last.json["messages"][-1]["content"]
        assert "".join(str(part.content) for part in model(url).stream(ASKED)) == "L\u00e9"
        assert LYON in server.last.json["messages"][-1]["content"]
        off = model(url, extra_body={"scr": {"mode": "off"}})
        assert off.invoke(ASKED).content == "Fine."
        assert server.last.json["messages"][-1]["content"] == ASKED
        assert "scr" not in server.last.json


def test_without_langchain_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "from scr.errors import MissingExtra\n"
        "try:\n    import scr.langchain\nexcept MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'scr-edit[langchain]'" in done.stdout
