"""What people put before a model server, the real packages, on the gateway and a real vLLM server behind it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_openai import ChatOpenAI

from benchmarks.tools import vllm_cpu
from scr.facts import NewFact

from .conftest import ASKED, Open, Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

QUIZ = [
    ("The capital of France is Lyon.", ASKED, "Lyon"),
    ("The national animal of Scotland is the otter.", "What is the national animal of Scotland?", "otter"),
    (
        "The chief engineer of the Velmora Bridge is Tadeo Brink.",
        "Who is the chief engineer of the Velmora Bridge?",
        "Tadeo Brink",
    ),
    ("The Kessel Museum is in the city of Aarhus.", "In which city is the Kessel Museum?", "Aarhus"),
]
"""Facts, questions and answers, none of which the model knows."""

STEERINGS: dict[str, dict[str, str]] = {"told": {}, "off": {"mode": "off"}, "elsewhere": {"namespace": "empty"}}

EVALUATE = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

done = simple_evaluate(
    "local-chat-completions",
    {"model": sys.argv[1], "base_url": sys.argv[2], "num_concurrent": 2, "max_retries": 1},
    ["quiz_told", "quiz_off", "quiz_elsewhere"],
    task_manager=TaskManager(include_path=".", include_defaults=False),
    apply_chat_template=True,
    bootstrap_iters=0,
)
print(json.dumps(done["results"]))
"""
"""What lm-eval's command line does, without its own tasks: to list them takes longer than all else."""


@pytest.fixture
def served(open_gateway: Open, vllm_server: vllm_cpu.Server, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    return open_gateway(upstream=vllm_server.base_url)


@pytest.mark.parametrize("steering", [{}, {"mode": "off"}])
def test_langchain(served: Running, vllm_server: vllm_cpu.Server, steering: dict[str, str]) -> None:
    given: Any = {"model": vllm_server.model, "temperature": 0, "max_tokens": 16, "api_key": "none", "max_retries": 0}
    given |= {"base_url": f"{served.url}/v1", "extra_body": {"scr": steering}}

    async def talk() -> list[str]:
        async with httpx.AsyncClient(trust_env=False) as client:
            chat = ChatOpenAI(http_async_client=client, **given)
            pieces = [piece.text async for piece in chat.astream(ASKED)]
            return [(await chat.ainvoke(ASKED)).text, "".join(pieces)]

    with httpx.Client(trust_env=False) as client:  # LangChain's own are never closed
        chat = ChatOpenAI(http_client=client, **given)
        said = [chat.invoke(ASKED).text, "".join(piece.text for piece in chat.stream(ASKED)), *asyncio.run(talk())]
    assert all(said)
    assert ["Lyon" in one for one in said] == [not steering] * 4, said


def task(name: str, folder: Path) -> dict[str, Any]:
    """A task of lm-eval's: the first of the answers that is said is taken, and must be the right one."""
    answers = "|".join(answer for _, _, answer in QUIZ)
    generation = {"max_gen_toks": 24, "temperature": 0, "until": ["\n\n"]}
    taken = [{"function": "regex", "regex_pattern": f"({answers})"}, {"function": "take_first"}]
    return {
        "task": f"quiz_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "quiz.jsonl")}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": generation | {"scr": STEERINGS[name]},
        "filter_list": [{"name": "said", "filter": taken}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }


def test_lm_eval(served: Running, vllm_server: vllm_cpu.Server, tmp_path: Path) -> None:
    """Its ``local-chat-completions`` scores the facts, and how it is steered is part of its tasks."""
    served.store.add_all([NewFact.of({"text": fact}) for fact, _, _ in QUIZ[1:]])
    lines = [json.dumps({"question": question, "answer": answer}) for _, question, answer in QUIZ]
    (tmp_path / "quiz.jsonl").write_text("\n".join(lines))
    for name in STEERINGS:
        (tmp_path / f"{name}.yaml").write_text(json.dumps(task(name, tmp_path)))  # JSON is YAML
    (tmp_path / "run.py").write_text(EVALUATE)
    command = [sys.executable, "run.py", vllm_server.model, f"{served.url}/v1/chat/completions"]
    apart = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "OPENAI_API_KEY": ""}
    done = subprocess.run(command, env=os.environ | apart, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    scores = {name: row["exact_match,said"] for name, row in json.loads(done.stdout.splitlines()[-1]).items()}
    assert scores == {"quiz_told": 1.0, "quiz_off": 0.0, "quiz_elsewhere": 0.0}
