"""How busy `scr batch` keeps a vLLM server, beside the server's own benchmark on the same questions.

    python -m benchmarks.evaluation.throughput [--questions 10000] [--facts 1000] [--max-tokens 16] [--rounds 2]

Both send the same texts, greedy, as many at once. Of scr's two runs one passes over the facts (`--bare`), the other
decides for each question whether one of the store's applies; none does. The server keeps no beginnings of prompts,
so that no run finds those of the one before. Clients and server share the machine.

Needs `benchmarks/tools/vllm_cpu.py install`; pandas, which vLLM's benchmark reads questions with, is put beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import write_result
from benchmarks.gateway.questions import Questions
from benchmarks.sentences import sentences
from benchmarks.tools import vllm_cpu
from scr.engines.openai import OpenAIEngine
from scr.facts import NewFact
from scr.store import FactStore

_RESULT = Path(__file__).parent / "results" / "throughput.json"
_AT_ONCE = 64
# `vllm bench` asks for the version of a distribution called vllm, which the build for CPUs is not.
_BENCH = "import argparse; from vllm.benchmarks.serve import add_cli_args as add, main; p = argparse.ArgumentParser(); add(p); main(p.parse_args())"  # noqa: E501


def main() -> None:
    """Read the options, measure in turns, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--facts", type=int, default=1_000)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", help="of the server")
    parser.add_argument("--out", type=Path, default=_RESULT)
    given = parser.parse_args()
    subprocess.run([str(vllm_cpu.install()), "-m", "pip", "install", "-q", "pandas"], check=True, stdout=sys.stderr)
    options = ["--dtype", given.dtype, "--max-num-seqs", str(_AT_ONCE), "--no-enable-prefix-caching"]
    rows: dict[str, list[dict[str, float]]] = {"vllm": [], "bare": [], "decided": []}
    serving = vllm_cpu.running(given.model, options, variables=vllm_cpu.EVERY_CORE)
    with tempfile.TemporaryDirectory() as name, serving as server:
        folder = Path(name)
        prepare(folder, given.questions, given.facts)
        for _ in range(given.rounds):
            rows["vllm"].append(by_the_server(folder, server, given))
            rows["bare"].append(by_scr(folder, server, given, "--bare"))
            rows["decided"].append(by_scr(folder, server, given))
            print({run: measured[-1] for run, measured in rows.items()}, file=sys.stderr, flush=True)
    told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(given).items()}
    write_result(given.out, {**told, "at_once": _AT_ONCE, "out": given.out.name}, summary(rows))


def prepare(folder: Path, questions: int, facts: int) -> None:
    """Write the questions, as both read them, and the store."""
    with FactStore.open(folder / "store") as store:
        store.add_all(NewFact(sentence.text) for sentence in sentences(facts))
    asked = list(islice(Questions(facts).draw(0, 1), questions))
    lines = [json.dumps({"id": place, "query": text, "prompt": text}) for place, text in enumerate(asked)]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def by_the_server(folder: Path, server: vllm_cpu.Server, given: argparse.Namespace) -> dict[str, float]:
    """Seconds and tokens of vLLM's own benchmark."""
    model = vllm_cpu.model_folder(given.model)
    command = [str(vllm_cpu.install()), "-c", _BENCH, "--backend", "openai", "--endpoint", "/v1/completions"]
    command += ["--base-url", server.base_url.removesuffix("/v1"), "--model", str(model)]
    command += ["--served-model-name", server.model, "--dataset-name", "custom", "--disable-shuffle"]
    command += ["--dataset-path", str(folder / "questions.jsonl"), "--custom-output-len", str(given.max_tokens)]
    command += ["--num-prompts", str(given.questions), "--max-concurrency", str(_AT_ONCE), "--temperature", "0"]
    command += ["--skip-chat-template", "--disable-tqdm", "--no-stream"]
    command += ["--save-result", "--result-dir", str(folder), "--result-filename", "vllm.json"]
    subprocess.run(command, check=True, env=vllm_cpu.server_environment(), stdout=sys.stderr)
    said = json.loads((folder / "vllm.json").read_text("utf-8"))
    if said["completed"] != given.questions:
        raise SystemExit(f"vLLM's benchmark answered {said['completed']} of {given.questions} questions")
    return _row(said["duration"], said["total_output_tokens"], given.questions)


def by_scr(folder: Path, server: vllm_cpu.Server, given: argparse.Namespace, *more: str) -> dict[str, float]:
    """Seconds and tokens of `scr batch`, its start included."""
    out = folder / "answers.jsonl"
    out.unlink(missing_ok=True)
    command = [sys.executable, "cli.py", "batch", str(folder / "questions.jsonl"), "-o", str(out), *more]
    command += ["--base-url", server.base_url, "--store", str(folder / "store"), "--prompt-form", "completion"]
    began = time.perf_counter()
    subprocess.run([*command, "--max-tokens", str(given.max_tokens)], check=True, cwd=Path(__file__).parents[2])
    seconds = time.perf_counter() - began
    answers = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    with closing(OpenAIEngine.connect(server.base_url)) as engine:
        tokens = sum(engine.count_tokens(answer["answer"]) or 0 for answer in answers)
    return _row(seconds, tokens, len(answers)) | {"in_scope": sum(bool(one.get("in_scope")) for one in answers)}


def _row(seconds: float, tokens: int, questions: int) -> dict[str, float]:
    return {
        "seconds": round(seconds, 1),
        "tokens": tokens,
        "tokens_a_second": round(tokens / seconds, 1),
        "questions_a_second": round(questions / seconds, 2),
    }


def summary(rows: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Each run's rounds, and the median over the rounds of what scr reaches of the server's own."""
    shares = {
        run: median(
            mine["questions_a_second"] / own["questions_a_second"]
            for mine, own in zip(rows[run], rows["vllm"], strict=True)
        )
        for run in ("bare", "decided")
    }
    return {"rounds": rows, "share": {run: round(share, 3) for run, share in shares.items()}}


if __name__ == "__main__":
    main()
