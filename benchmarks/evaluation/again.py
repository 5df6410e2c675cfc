"""The same run twice, and one that is killed and gone on with, give the same numbers: on a vLLM server.

    python -m benchmarks.evaluation.again [--dataset zsre] [--methods scr,rag:1] [--ask 4] [--kill 20,25]

Three runs of one command: two whole ones, and one that is killed after so many answers, as often as `--kill` says, and
gone on with. Their rows are compared but for costs, and their cases but for seconds and memory. Needs the data sets
(SCR_DATA) and `benchmarks/tools/vllm_cpu.py install`. Writes `results/again.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import write_result
from benchmarks.tools import vllm_cpu

_RESULT = Path(__file__).parent / "results" / "again.json"
_MEASURED = ("seconds", "peak_bytes")
"""What differs between any two runs."""


def main() -> None:
    """Read the options, run, compare, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dataset", default="zsre")
    parser.add_argument("--methods", default="scr,rag:1", help="with commas")
    parser.add_argument("--ask", type=int, default=4, help="records to ask about; all edits are in force")
    parser.add_argument("--kill", default="20,25", help="answers that are kept when the run is killed, with commas")
    given = parser.parse_args()
    options = ["--dtype", "float32", "--max-num-seqs", "64", "--max-model-len", "4096"]
    with tempfile.TemporaryDirectory() as name, vllm_cpu.running(given.model, options) as server:
        runs = [Path(name) / run for run in ("first", "second", "killed")]
        command = [sys.executable, "cli.py", "eval", "--dataset", given.dataset, "--method", given.methods]
        command += ["--ask", str(given.ask), "--max-tokens", "24", "--base-url", server.base_url, "-o"]
        for run in runs[:2]:
            subprocess.run([*command, str(run)], check=True)
        killed = [kill([*command, str(runs[2])], runs[2], int(kept)) for kept in given.kill.split(",")]
        subprocess.run([*command, str(runs[2])], check=True)
        first, *others = ((rows(run), cases(run)) for run in runs)
    found = {
        "cases": len(first[1]),
        "answers": sum(len(case["answered"]) for case in first[1].values()),
        "killed_after": killed,
        "the_same": {name: other == first for name, other in zip(("second", "killed"), others, strict=True)},
    }
    write_result(_RESULT, vars(given), found)
    print(json.dumps(found))
    if not all(found["the_same"].values()):
        raise SystemExit("the runs differ")


def kill(command: Sequence[str], run: Path, kept: int) -> int:
    """Kill a run once it keeps so many answers; how many it kept."""
    process = subprocess.Popen(command)
    while process.poll() is None and answers(run) < kept:
        time.sleep(0.02)
    if process.poll() is not None:
        raise SystemExit(f"the run was over before it kept {kept} answers: kill it sooner")
    process.kill()
    process.wait()
    return answers(run)


def answers(run: Path) -> int:
    """How many a run keeps."""
    return sum(path.read_bytes().count(b"\n") for path in (run / "answers").glob("*.jsonl"))


def rows(run: Path) -> list[Any]:
    """Of its table, without what they cost."""
    return [{**row, "cost": None} for row in json.loads((run / "results.json").read_text("utf-8"))["rows"]]


def cases(run: Path) -> dict[str, Any]:
    """Everything that it keeps of each case, by file, without what was measured."""
    files = sorted(path for path in (run / "cases").glob("*/*/*/*/*.json"))
    found = {str(path.relative_to(run)): json.loads(path.read_text("utf-8")) for path in files}
    return {name: {**case, **dict.fromkeys(_MEASURED)} for name, case in found.items()}


if __name__ == "__main__":
    main()
