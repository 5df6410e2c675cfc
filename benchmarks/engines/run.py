#!/usr/bin/env python3
"""How fast the engines answer with SmolLM2-135M-Instruct, and whether an answer depends on its batch.

    python -m benchmarks.engines.run embedded   # this process: cold start, one answer, batches in float32 and bfloat16
    python -m benchmarks.engines.run threads    # OpenMP threads that spin and that sleep, alone and beside other work
    python -m benchmarks.engines.run server     # a vLLM server on the CPU: requests under way at once

Writes results/NAME.json. Each takes a few minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.common import write_result
from scr.engines import Engine, Prompt, Sampling

RESULTS = Path(__file__).parent / "results"
TOPICS = ("a fox", "the sea", "a clock", "snow", "a bridge", "bread", "an old king", "the moon")
# Answers of very different lengths, as in use: half of them a few words, half up to the bound.
PROMPTS: list[Prompt] = [
    [{"role": "user", "content": text}]
    for topic in TOPICS
    for text in (
        f"Tell me a story about {topic}.",
        "What is the capital of France?",
        f"Write down the words: {topic}",
        f"Name three things about {topic}.",
    )
]
SAMPLING = Sampling(max_tokens=48)

COLD = """
import time; begin = time.perf_counter()
from scr.engines import Sampling
from scr.engines.opening import open_engine
engine = open_engine(); loaded = time.perf_counter()
engine.generate([[{"role": "user", "content": "What is the capital of France?"}]], Sampling())
print(loaded - begin, time.perf_counter() - loaded)
"""


def timed(engine: Engine, prompts: list[Prompt], sampling: Sampling = SAMPLING) -> tuple[float, list[str], int]:
    """Seconds, texts and tokens of one call."""
    begin = time.perf_counter()
    answers = engine.generate(prompts, sampling)
    return time.perf_counter() - begin, [a.text for a in answers], sum(a.completion_tokens for a in answers)


def embedded() -> dict[str, Any]:
    """Cold start, one answer, and batches by size and type."""
    from scr.engines import transformers

    runs = []
    for _ in range(4):
        begin = time.perf_counter()
        out = subprocess.run([sys.executable, "-c", COLD], stdout=subprocess.PIPE, text=True, check=True).stdout
        runs.append((*map(float, out.split()), time.perf_counter() - begin))
    load, first, wall = (round(statistics.median(column), 2) for column in zip(*runs[1:], strict=True))
    batches = []
    for dtype in ("float32", "bfloat16"):
        engine = transformers.TransformersEngine.from_pretrained(dtype=dtype)
        timed(engine, PROMPTS[:2])
        alone: list[str] = []
        for rows in (1, 4, 8, 16, 32):
            transformers.BATCH_ROWS = rows
            seconds, texts, tokens = timed(engine, PROMPTS)
            alone = alone or texts
            same = sum(a == b for a, b in zip(alone, texts, strict=True))
            batches.append(
                {"dtype": dtype, "rows": rows, "tokens_per_second": round(tokens / seconds, 1), "same_as_alone": same}
            )
            print(batches[-1], file=sys.stderr)
    return {
        "cold": {"load_s": load, "first_answer_s": first, "process_s": wall},
        "prompts": len(PROMPTS),
        "batches": batches,
    }


THREADS = """
import sys, time
if sys.argv[1] == "spin":
    import torch  # before scr can ask for sleeping threads
from scr.engines import Sampling
from scr.engines.opening import open_engine
engine = open_engine()
prompt = [{"role": "user", "content": "Tell me a story about a fox."}]
engine.generate([prompt], Sampling(max_tokens=2))
begin = time.perf_counter()
engine.generate([prompt], Sampling(max_tokens=16))
print(time.perf_counter() - begin)
"""


def _busy() -> None:
    while True:
        pass


def threads() -> list[dict[str, Any]]:
    """Seconds for 16 tokens, with OpenMP's waiting threads spinning or sleeping, with and without one busy process."""
    rows = []
    for others in (0, 1):
        rivals = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(others)]
        for rival in rivals:
            rival.start()
        for policy in ("spin", "sleep", "spin", "sleep", "spin", "sleep"):
            command = [sys.executable, "-c", THREADS, policy]
            environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
            rows.append({"other_busy_processes": others, "waiting_threads": policy, "seconds": round(float(out), 2)})
            print(rows[-1], file=sys.stderr)
        for rival in rivals:
            rival.kill()
    return rows


def server() -> list[dict[str, Any]]:
    """Tokens per second through the OpenAI protocol, by how many requests are under way at once."""
    from benchmarks.tools.vllm_cpu import running
    from scr.engines.openai import OpenAIEngine

    rows = []
    with running("smollm2-135m") as served:
        for concurrency in (1, 4, 16, 32):
            with closing(OpenAIEngine.connect(served.base_url, concurrency=concurrency)) as engine:
                timed(engine, PROMPTS[:2])
                seconds, _, tokens = timed(engine, PROMPTS)
            rows.append({"concurrency": concurrency, "tokens_per_second": round(tokens / seconds, 1)})
            print(rows[-1], file=sys.stderr)
    return rows


def main(name: str) -> None:
    """Run one measurement and write its result."""
    results = {"embedded": embedded, "threads": threads, "server": server}[name]()
    write_result(
        RESULTS / f"{name}.json", {"model": "SmolLM2-135M-Instruct", "max_tokens": SAMPLING.max_tokens}, results
    )


if __name__ == "__main__":
    if sys.argv[1:2] not in (["embedded"], ["threads"], ["server"]):
        sys.exit(__doc__)
    main(sys.argv[1])
