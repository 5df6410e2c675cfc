"""The ways in without a proxy: within a server of the OpenAI protocol, and within LiteLLM."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from filelock import FileLock
from openai import BadRequestError, OpenAI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.tools import vllm_cpu
from scr.errors import UnknownStore, UsageError
from scr.facts import NewFact
from scr.gateway.embedded import open_editor
from scr.gateway.middleware import EditingMiddleware
from scr.store import FactStore

from .conftest import ASKED, LYON, chat, running_app

CHAT = "/v1/chat/completions"
ROOT = Path(__file__).resolve().parents[2]
LITELLM = "litellm[proxy]==1.106.2"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FactStore]:
    """The store that the environment names."""
    monkeypatch.setenv("SCR_STORE", str(tmp_path / "store"))
    with FactStore.open(tmp_path / "store") as opened:
        opened.add(NewFact.of({"text": LYON}))
        yield opened


async def echo(request: Request) -> Response:
    """The body as it arrived, and what its head says of it."""
    if request.headers.get("x-fail"):
        return Response(status_code=401)
    return Response(await request.body(), headers={"X-Length": request.headers["content-length"]})


@pytest.fixture
def client(store: FactStore) -> Iterator[httpx.Client]:
    """A server with the middleware, as vLLM adds it."""
    del store
    routes = [Route(path, echo, methods=["POST"]) for path in (CHAT, "/v1/completions", "/v1/embeddings")]
    app = Starlette(routes=routes, middleware=[Middleware(EditingMiddleware)])
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="on", ws="none")
    with running_app(config) as url, httpx.Client(base_url=url, trust_env=False) as opened:
        yield opened


def test_the_middleware_edits_in_scope_and_nothing_else(client: httpx.Client, store: FactStore) -> None:
    (fact,) = store.facts()
    answer = client.post(CHAT, json=chat())
    assert LYON in answer.json()["messages"][0]["content"]
    assert answer.headers["x-length"] == str(len(answer.content))
    assert (answer.headers["x-scr-decision"], answer.headers["x-scr-facts"]) == ("edited", fact.id)
    raw = b'{ "messages":[{"role":"user","content":"Who wrote Hamlet?"}]}\n'
    answer = client.post(CHAT, content=raw)
    assert (answer.content, answer.headers["x-scr-decision"]) == (raw, "passed")
    answer = client.post("/v1/embeddings", json=chat())
    assert answer.json() == chat()
    assert "x-scr-decision" not in answer.headers
    assert client.post(CHAT, json=chat(scr={"mode": "off"})).json() == chat()
    for wrong in ({"mode": "loud"}, {"mode": "explain"}):
        assert client.post(CHAT, json=chat(scr=wrong)).status_code == 400
    assert "x-scr-facts" not in client.post(CHAT, json=chat(), headers={"X-Fail": "1"}).headers
    assert LYON in client.post("/v1/completions", json={"prompt": ASKED}).json()["prompt"]
    store.undo()
    assert client.post(CHAT, json=chat()).headers["x-scr-decision"] == "passed"


def test_the_environment_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCR_STORE", raising=False)
    with pytest.raises(UsageError, match="SCR_STORE"):
        open_editor()
    monkeypatch.setenv("SCR_STORE", str(tmp_path / "none"))
    with pytest.raises(UnknownStore):
        open_editor()
    for name, value in (("SCR_ON_FAILURE", "shrug"), ("SCR_THRESHOLD", "2"), ("SCR_SCOPE", "nothing")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(UsageError, match=value):
                open_editor()


@pytest.mark.usefixtures("store")
def test_litellms_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class stands for the one that LiteLLM's handlers derive from; the real proxy is below."""
    base = types.ModuleType("litellm.integrations.custom_logger")
    base.CustomLogger = type("CustomLogger", (), {})  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    monkeypatch.delitem(sys.modules, "scr.gateway.litellm_hook", raising=False)
    from scr.gateway.litellm_hook import FactsHandler

    async def talk() -> None:
        handler = FactsHandler()

        async def sent(data: dict[str, Any], call_type: str = "acompletion") -> dict[str, Any]:
            before = json.dumps({name: value for name, value in data.items() if name != "scr"})
            given = await handler.async_pre_call_hook(
                user_api_key_dict=None, cache=None, data=data, call_type=call_type
            )
            assert json.dumps(data) == before, "what came is not altered"
            return given

        given = await sent(chat(metadata={"a": 1}))
        assert LYON in given["messages"][0]["content"]
        assert given["metadata"] == {"a": 1}
        for data in (chat("Who wrote Hamlet?"), chat(scr={"mode": "off"})):
            assert await sent(data) is data
        data = chat()
        assert await sent(data, "aembedding") is data
        several = await sent({"prompt": ["Who wrote Hamlet?", ASKED]}, "text_completion")
        assert several["prompt"][0] == "Who wrote Hamlet?"
        assert LYON in several["prompt"][1]
        with pytest.raises(HTTPException) as refused:
            await sent(chat(scr=7))
        assert refused.value.status_code == 400

    asyncio.run(talk())


def add_dependencies(python: Path) -> str:
    """Add what `pip install "scr[serve]"` would, but for scr itself; what went wrong, if it did."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    with FileLock(python.parents[1] / ".dependencies.lock"):
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", *wanted]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


@pytest.mark.vllm
@pytest.mark.slow
def test_the_middleware_within_vllm(store: FactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scr.assets import minilm_folder, smollm2_folder

    try:
        python = vllm_cpu.install()
    except vllm_cpu.ToolError as problem:
        pytest.skip(f"no vLLM here: {problem}")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    if problem := add_dependencies(python):
        assert "ResolutionImpossible" not in problem, "scr and vLLM cannot be installed together"
        pytest.skip(f"scr's own dependencies cannot be added to vLLM's environment: {problem}")
    minilm_folder()
    options = ["--dtype", "float32", "--middleware", "scr.gateway.middleware.EditingMiddleware"]
    with vllm_cpu.running(str(smollm2_folder()), options, log=tmp_path / "log") as server:
        ask = {**chat(), "model": server.model, "temperature": 0, "max_tokens": 16}
        answer = httpx.post(f"{server.base_url}/chat/completions", json=ask, timeout=120, trust_env=False)
        assert "Lyon" in answer.json()["choices"][0]["message"]["content"]
        assert answer.headers["x-scr-facts"] == next(store.facts()).id


def litellm_environment() -> Path:
    """LiteLLM's own environment, for it needs older libraries than scr's is tested with; its folder of programs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [LITELLM, *project["dependencies"]]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    steps = [["install", *wanted]]
    return vllm_cpu.environment(cache / "scr-litellm", "litellm.proxy.proxy_cli", steps, stamp="\n".join(wanted)).parent


def litellm_folder(folder: Path, server: vllm_cpu.Server) -> Path:
    """The handler's file as the documentation has it, and a configuration; the latter's path."""
    page = (ROOT / "docs" / "gateway.md").read_text()
    (found,) = re.findall(r"```py\n(from scr.gateway.litellm_hook.+?)```", page, re.DOTALL)
    (folder / "facts.py").write_text(found)
    (settings,) = re.findall(r"`(litellm_settings: .+?)`", page)
    parameters = {"model": f"hosted_vllm/{server.model}", "api_base": server.base_url, "api_key": "none"}
    models = json.dumps([{"model_name": "small", "litellm_params": parameters}])
    path = folder / "config.yaml"
    path.write_text(f"model_list: {models}\n{settings}\n")
    return path


@pytest.fixture
def litellm_proxy(store: FactStore, vllm_server: vllm_cpu.Server, tmp_path: Path) -> Iterator[OpenAI]:
    """The official client of LiteLLM's real proxy, which has the facts and a real vLLM server behind it."""
    try:
        programs = litellm_environment()
    except (vllm_cpu.ToolError, OSError) as problem:
        pytest.skip(f"no LiteLLM here: {problem}")
    port, key = vllm_cpu._free_port(), "sk-" + secrets.token_hex(24)
    command = [str(programs / "litellm"), "--config", str(litellm_folder(tmp_path, vllm_server))]
    command += ["--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
    told = {"LITELLM_MASTER_KEY": key, "SCR_STORE": str(store.path), "PYTHONPATH": str(ROOT)}
    url = f"http://127.0.0.1:{port}"
    ready = f"{url}/health/liveliness"
    log = tmp_path / "litellm.log"
    with (
        vllm_cpu.process(command, os.environ | offline | told, ready, log=log, timeout=240),
        OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
    ):
        yield client


@pytest.mark.vllm
@pytest.mark.slow
def test_litellms_own_proxy(litellm_proxy: OpenAI) -> None:
    ask: Any = {"model": "small", "temperature": 0, "max_tokens": 16}
    turns: Any = chat()["messages"]

    def said(**steering: Any) -> str:
        answer = litellm_proxy.chat.completions.create(messages=turns, **ask, extra_body=steering)
        return answer.choices[0].message.content or ""

    assert "Lyon" in said()
    assert "Lyon" not in said(scr={"mode": "off"})
    with litellm_proxy.chat.completions.create(messages=turns, stream=True, **ask) as events:
        pieces = [event.choices[0].delta.content or "" for event in events if event.choices]
    assert "Lyon" in "".join(pieces)
    assert "Lyon" in litellm_proxy.completions.create(prompt=ASKED, **ask).choices[0].text
    with pytest.raises(BadRequestError, match="scr"):
        said(scr=7)
    raw = litellm_proxy.chat.completions.with_raw_response.create(messages=turns, **ask)
    assert not [name for name in raw.headers if name.lower().startswith("x-scr")], "as the documentation says"
    other: Any = litellm_proxy.post("/messages", cast_to=object, body={**ask, "messages": turns})
    assert "Lyon" not in other["content"][0]["text"]
    response = litellm_proxy.responses.create(model="small", input=ASKED, max_output_tokens=16)
    assert response.output_text
    assert "Lyon" not in response.output_text
