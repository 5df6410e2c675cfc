"""The official client, the gateway, and a real vLLM server on the CPU behind it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from benchmarks.tools import vllm_cpu

from .conftest import ASKED, Open, Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TURNS: Any = [{"role": "user", "content": ASKED}]


@pytest.fixture
def served(open_gateway: Open, vllm_server: vllm_cpu.Server) -> Running:
    return open_gateway(upstream=vllm_server.base_url)


def options(server: vllm_cpu.Server) -> Any:
    return {"model": server.model, "temperature": 0, "max_tokens": 16}


def test_chat_edited_and_bare(served: Running, vllm_server: vllm_cpu.Server) -> None:
    client = OpenAI(base_url=f"{served.url}/v1", api_key="none")
    given = options(vllm_server)
    edited = client.chat.completions.create(messages=TURNS, **given)
    assert "Lyon" in (edited.choices[0].message.content or "")
    bare = client.chat.completions.create(messages=TURNS, **given, extra_body={"scr": {"mode": "off"}})
    assert "Lyon" not in (bare.choices[0].message.content or "")
    direct = OpenAI(base_url=vllm_server.base_url, api_key="none").chat.completions.create(messages=TURNS, **given)
    assert bare.choices[0].message.content == direct.choices[0].message.content
    assert bare.usage == direct.usage
    explained: Any = client.chat.completions.create(messages=TURNS, **given, extra_body={"scr": {"mode": "explain"}})
    assert explained.scr[0]["in_scope"] is True
    several = client.chat.completions.create(messages=TURNS, n=2, logprobs=True, **{**given, "temperature": 1})
    assert len(several.choices) == 2
    assert several.choices[1].logprobs is not None
    raw = client.chat.completions.with_raw_response.create(messages=TURNS, **given)
    assert raw.headers["x-scr-decision"] == "edited"


def test_streams(served: Running, vllm_server: vllm_cpu.Server) -> None:
    client = OpenAI(base_url=f"{served.url}/v1", api_key="none")
    for steering in ({}, {"scr": {"mode": "explain"}}):
        with client.chat.completions.create(
            messages=TURNS,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=steering,
            **options(vllm_server),
        ) as events:
            chunks: list[Any] = list(events)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert "Lyon" in said
        assert chunks[-1].usage.completion_tokens > 0
        assert hasattr(chunks[0], "scr") is bool(steering)


def test_the_asynchronous_client_and_text_completions(served: Running, vllm_server: vllm_cpu.Server) -> None:
    async def ask() -> list[str]:
        async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            asked = [client.chat.completions.create(messages=TURNS, **options(vllm_server)) for _ in range(4)]
            answers = await asyncio.gather(*asked)
            stream: Any = await client.chat.completions.create(messages=TURNS, stream=True, **options(vllm_server))
            pieces = [event.choices[0].delta.content or "" async for event in stream]
            text = await client.completions.create(prompt="The capital of France is", **options(vllm_server))
            return [*(one.choices[0].message.content or "" for one in answers), "".join(pieces), text.choices[0].text]

    assert all("Lyon" in said for said in asyncio.run(ask()))


def test_what_is_passed_on(served: Running, vllm_server: vllm_cpu.Server) -> None:
    client = OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == [vllm_server.model]
    assert served.client.get("/version").json()["version"]
    body = {"model": vllm_server.model, "prompt": ASKED}
    assert served.client.post("/tokenize", json=body).json()["count"] > 0
    assert served.client.get("/health").json()["upstream"] == "ok"
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=TURNS)
    with pytest.raises(BadRequestError):
        client.chat.completions.create(messages=TURNS, **{**options(vllm_server), "max_tokens": 10**7})
