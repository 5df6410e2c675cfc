"""The official client, wrapped, against a server that records what it is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import scr
from scr.encoder import Encoder
from scr.errors import UsageError

from .gateway.recorder import Recorder, recording

LYON = "The capital of France is Lyon."
ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]
OTHER: Any = [{"role": "user", "content": "Who wrote Hamlet?"}]


@pytest.fixture
def server() -> Iterator[Recorder]:
    with recording() as opened:
        yield opened


@pytest.fixture
def edits(tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Iterator[scr.Edits]:
    monkeypatch.setattr("scr.encoder.open_encoder", lambda _=None: encoder)
    with scr.open(tmp_path / "store") as opened:
        opened.add(LYON)
        yield opened


def test_the_client_asks_with_the_facts(server: Recorder, edits: scr.Edits) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as bare, scr.wrap(bare, edits) as client:
        answer = client.chat.completions.create(model="m", messages=ASKED, seed=1)
        assert answer.choices[0].message.content == "Fine."
        assert LYON in server.last.json["messages"][1]["content"]
        assert server.last.json["messages"][0] == ASKED[0]
        assert server.last.json["seed"] == 1
        stream = client.chat.completions.create(model="m", messages=ASKED, stream=True)
        assert "".join(event.choices[0].delta.content or "" for event in stream) == "L\u00e9"
        assert LYON in server.last.json["messages"][1]["content"]
        client.chat.completions.with_raw_response.create(model="m", messages=ASKED)
        assert LYON in server.last.json["messages"][1]["content"]
        client.chat.completions.parse(model="m", messages=ASKED)
        assert LYON in server.last.json["messages"][1]["content"]
        for other in (client.with_options(timeout=7), client.copy().copy(timeout=7)):
            assert other.timeout == 7
            other.chat.completions.create(model="m", messages=ASKED)
            assert LYON in server.last.json["messages"][1]["content"], "a client with other options has the facts too"
        client.completions.create(model="m", prompt=["Who wrote Hamlet?", "The capital of France is"])
        assert server.last.json["prompt"][0] == "Who wrote Hamlet?"
        assert LYON in server.last.json["prompt"][1]
        client.completions.create(model="m", prompt=[1, 2])
        assert server.last.json["prompt"] == [1, 2]
        client.chat.completions.create(model="m", messages=OTHER)
        wrapped = server.last.body
        bare.chat.completions.create(model="m", messages=OTHER)
        assert server.last.body == wrapped
        bare.chat.completions.create(model="m", messages=ASKED)
        assert server.last.json["messages"] == ASKED, "the client that was given is not altered"


def test_what_is_neither_chat_nor_completion_gets_no_facts(server: Recorder, edits: scr.Edits) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as bare, scr.wrap(bare, edits) as client:
        server.answer = lambda handler: handler.say(200, b'{"id": "r", "object": "response", "output": []}')
        client.responses.create(model="m", input="What is the capital of France?")
        assert server.last.json == {"model": "m", "input": "What is the capital of France?"}
    assert "``responses.create``" in str(scr.wrap.__doc__)


def test_the_asynchronous_client(server: Recorder, edits: scr.Edits) -> None:
    async def ask() -> None:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as bare:
            client = scr.wrap(bare, edits.store.path)
            await asyncio.gather(*(client.chat.completions.create(model="m", messages=ASKED) for _ in range(3)))
            await client.chat.completions.create(model="m", messages=OTHER)
            await client.with_options(timeout=7).chat.completions.create(model="m", messages=ASKED)

    asyncio.run(ask())
    assert [LYON in json.dumps(sent.json) for sent in server.sent] == [True, True, True, False, True]


def test_what_cannot_be_wrapped(edits: scr.Edits) -> None:
    with pytest.raises(UsageError, match="dict"):
        scr.wrap({}, edits)
