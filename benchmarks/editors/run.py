#!/usr/bin/env python3
"""Weight editors on CounterFact, one edit at a time and in sequence.

    python benchmarks/editors/run.py --method rome,memit:layers=4-8 --edits 100 [--model smollm2-135m]
    python benchmarks/editors/run.py --method rome --sequence 1,10,100 [--out DIR]

One edit at a time: each is applied, measured and taken back. In sequence: edits are applied one on top of the other,
and at each length all so far are measured on that state. Efficacy, paraphrase and neighbourhood are the published
P(new) > P(old) over mean log-probabilities of a token; beside each stands the share of answers that, decoded live,
begin with what they should. One file a case, which a further run skips; `summary.json` is made of them.

Needs the data sets (`SCR_DATA`, or ../shared/data) and scr with its extras `local` and `editors`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import write_result
from benchmarks.editors.measure import (
    cases,
    data_folder,
    measured,
    mib,
    open_method,
    open_model,
    read_all,
    record_of,
    summary,
    write,
)
from scr.editors import Edited
from scr.errors import ScrError
from scr.evaluation.cases import Case


def one_at_a_time(method: str, options: argparse.Namespace, folder: Path) -> None:
    """Apply, measure and take back each edit whose file is not there."""
    waiting = [case for case in cases(options.edits) if not (folder / f"{case.id}.json").is_file()]
    if not waiting:
        return
    editor = open_method(method, options.engine, options.corpus)
    for number, case in enumerate(waiting, 1):
        began = time.perf_counter()
        with editor.apply(case.edits) as edited:
            (report,) = edited.reports
            record = record_of(
                case,
                measured(case, edited),
                seconds=round(report.seconds, 3),
                peak_mib=mib(report.peak_bytes),
                changed=report.changed,
            )
        write(folder / f"{case.id}.json", record)
        _say(f"{method} {number}/{len(waiting)} case {case.id}: {time.perf_counter() - began:.1f} s")


def in_sequence(method: str, options: argparse.Namespace, folder: Path) -> None:
    """Apply edits one on top of the other; at each length measure all so far."""
    lengths = sorted(int(length) for length in options.sequence.split(","))
    done = [length for length in lengths if len(list((folder / str(length)).glob("*.json"))) >= length]
    if done == lengths:
        return
    chosen = cases(lengths[-1])
    editor = open_method(method, options.engine, options.corpus)
    with editor.apply(chosen[0].edits) as edited:
        for number, case in enumerate(chosen, 1):
            if number > 1:
                edited.add(case.edits)
            _say(f"{method} edit {number}/{len(chosen)}: {edited.reports[-1].seconds:.1f} s")
            if number in lengths and number not in done:
                _measure_all(chosen[:number], edited, folder / str(number))


def _measure_all(some: Sequence[Case], edited: Edited, folder: Path) -> None:
    for place, case in enumerate(some):
        report = edited.reports[place]
        more = {"seconds": round(report.seconds, 3), "peak_mib": mib(report.peak_bytes)}
        write(folder / f"{case.id}.json", record_of(case, measured(case, edited), **more))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="names with settings, parted by commas")
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--edits", type=int, default=100, help="how many, one at a time")
    parser.add_argument("--sequence", help="lengths, parted by commas: edits in sequence instead")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    try:
        options.engine = open_model(options.model)
        import torch

        torch.set_num_threads(options.threads)
        rows = {}
        for method in options.method.split(","):
            base = options.out / "cases" / Path(options.model).name / method.replace(":", "-").replace(";", "-")
            if options.sequence:
                in_sequence(method, options, base / "sequence")
                for length in options.sequence.split(","):
                    rows[f"{method} after {length}"] = summary(read_all(base / "sequence" / length))
            else:
                one_at_a_time(method, options, base / "single")
                rows[method] = summary(read_all(base / "single"))
            _say(f"{method}: {rows[list(rows)[-1]]}")
    except ScrError as error:
        _say(f"run.py: {error}")
        return error.exit_status
    kind = "sequence" if options.sequence else "single"
    told = {
        "model": options.model,
        "methods": options.method,
        "corpus": options.corpus.name,
        "threads": options.threads,
    }
    write_result(options.out / f"{kind}-{Path(options.model).name}.json", told, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
