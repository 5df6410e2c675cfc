#!/usr/bin/env python3
"""Weight editors on CounterFact, one edit at a time and in sequence, beside scr.

    python benchmarks/editors/run.py --method scr,rome,memit:steps=20 --edits 100 [--model smollm2-135m]
    python benchmarks/editors/run.py --method scr,rome --sequence 1,10,100
    python benchmarks/editors/run.py --method memit,come --sequence 100,500 --batch 100

One edit at a time: each is applied, measured and taken back, all methods case by case. In sequence: edits are applied
one on top of the other (or, with `--batch`, so many at once), and at each length those so far, 100 of them at most, are
measured on that state. Efficacy, paraphrase and neighbourhood are the published P(new) > P(old) over mean
log-probabilities of a token; beside each stands the share of answers that, decoded live, begin with what they should.
Where each edit is applied on its own, methods that seek the same target share it, and its seconds count for each of
them.

Records are kept outside the project, as they quote the data set; a run that was stopped goes on where it was (a
sequence too, from the edits that it kept within the last minute; AlphaEdit's begins again, with the targets that it had
found), and several may share the work (`--part 1/2`). The figures
of single edits are published case by case, without texts, and a length of a sequence stays published until it is
measured again: so a run goes on on another machine too. Rows of the methods that are named are made of the cases that
all of them have, others stay as published: `--report` makes them without measuring.

Needs the data sets (`SCR_DATA`, or ../shared/data) and scr with its extras `local` and `editors`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import environment, write_result
from benchmarks.editors import records
from benchmarks.editors.measure import (
    applied,
    cases,
    compared,
    data_folder,
    figures_of,
    measured,
    open_method,
    open_model,
    perplexity,
    read,
    record_of,
    runs_folder,
    summary,
    write,
)
from benchmarks.editors.plot import plot
from benchmarks.editors.shared import Kept, kept_targets, shared_targets
from benchmarks.editors.state import State
from scr.editors import Edited, Editor
from scr.errors import ScrError, UsageError
from scr.evaluation.cases import Case

WHOLE = "whole"


def one_at_a_time(options: argparse.Namespace) -> None:
    """Apply, measure and take back each edit whose file is not there, all methods case by case."""
    engine, editors = open_model(options.model, options.threads), {}
    commit, published = environment()["commit"], records.read(published_path(options))
    with shared_targets() as targets:
        for case in cases(options.edits)[options.first :: options.parts]:
            for method in options.methods:
                path = folder_of(method, options) / "single" / f"{case.id}.json"
                if path.is_file() or (method, case.id) in published:
                    continue
                if method not in editors:
                    editors[method] = open_method(method, engine, options.corpus)
                began = time.perf_counter()
                edited, cost = applied(editors[method], case.edits)
                with edited:
                    cost = targets.charged(cost)
                    write(path, record_of(case, measured(case, edited), commit=commit, **cost))
                _say(f"{method} case {case.id}: {time.perf_counter() - began:.1f} s, {cost['seconds']} for the edit")


def in_sequence(options: argparse.Namespace) -> None:
    """Apply edits one on top of the other; at each length measure all so far."""
    engine = open_model(options.model, options.threads)
    chosen = cases(options.lengths[-1])
    for method in options.methods[options.first :: options.parts]:
        folder = folder_of(method, options) / "sequence"
        missing = [length for length in options.lengths if not (folder / str(length) / f"{WHOLE}.json").is_file()]
        if not missing:
            continue
        with kept_targets(folder / "targets") as targets:
            _grow(method, open_method(method, engine, options.corpus), chosen, missing, targets, options)


def _grow(
    method: str,
    editor: Editor,
    chosen: Sequence[Case],
    missing: Sequence[int],
    targets: Kept,
    options: argparse.Namespace,
) -> None:
    """One sequence, to the last of the lengths that are missing; it is measured where it reaches one of them."""
    folder = folder_of(method, options) / "sequence"
    state, chosen = State(folder / "state", editor), chosen[: missing[-1]]
    edited, reports, targets.sought = state.taken_up(missing[0])
    try:
        for start in range(len(reports), len(chosen), options.batch):
            group = chosen[start : start + options.batch]
            edited, cost = applied(editor, [edit for case in group for edit in case.edits], edited)
            cost = targets.charged(cost)
            seconds = None if cost["seconds"] is None else round(cost["seconds"] / len(group), 3)
            reports += [cost | {"seconds": seconds}] * len(group)
            number = len(reports)
            _say(f"{method} edit {number}/{len(chosen)}: {seconds} s")
            if number in missing:
                _measure(chosen[:number], edited, reports, folder / str(number), options)
            state.keep(edited, reports, targets.sought, last=number == len(chosen))
    finally:
        if edited is not None:
            edited.__exit__(None, None, None)


def _measure(
    some: Sequence[Case], edited: Edited, reports: Sequence[dict[str, Any]], folder: Path, options: argparse.Namespace
) -> None:
    for place in spaced(len(some), options.measure):
        if not (path := folder / f"{some[place].id}.json").is_file():
            write(path, record_of(some[place], measured(some[place], edited), **reports[place]))
    changed = {"perplexity": perplexity(edited, options.text), "changed": reports[-1]["changed"]}
    write(folder / f"{WHOLE}.json", changed | {"commit": environment()["commit"]})


def spaced(length: int, most: int) -> list[int]:
    """Which edits of a sequence are measured: all, or so many of them at even distances, the latest among them."""
    count = min(length, most)
    return [(number + 1) * length // count - 1 for number in range(count)]


def folder_of(method: str, options: argparse.Namespace) -> Path:
    """Where a method's records are kept."""
    name = row_of(method, options).replace(":", "-").replace(";", "-").replace("/", "-")
    return Path(options.runs) / Path(options.model).name / name


def row_of(method: str, options: argparse.Namespace) -> str:
    """How a method's row is called."""
    return method if options.batch == 1 else f"{method} by {options.batch}"


def results_path(options: argparse.Namespace) -> Path:
    """Where what is published stands."""
    return Path(options.out / f"{'sequence' if options.lengths else 'single'}-{Path(options.model).name}.json")


def published_path(options: argparse.Namespace) -> Path:
    """Where the figures of single edits stand, a line for each."""
    return results_path(options).with_suffix(".jsonl")


def report_single(options: argparse.Namespace) -> dict[str, Any]:
    """A row for each method, of the cases that all have; what was measured here is added to what is published.

    Rows of methods that are not named stay as they are published.
    """
    path, whole = published_path(options), results_path(options)
    rows: dict[str, Any] = read(whole)["results"] if whole.is_file() else {}
    known, ids = records.read(path), [case.id for case in cases(options.edits)]
    for method in options.methods:
        folder = folder_of(method, options) / "single"
        for one in ids:
            if (file := folder / f"{one}.json").is_file():
                found = read(file)
                known[method, one] = {"commit": found["commit"]} | figures_of(found)
    records.write(path, known)
    common = [one for one in ids if all((method, one) in known for method in options.methods)]
    for method in options.methods if common else ():
        rows[method] = summary([known[method, one] for one in common])
        if options.against and method != options.against:
            other = [known[options.against, one] for one in common]
            rows[method]["against"] = {options.against: compared([known[method, one] for one in common], other)}
    return rows


def report_sequence(options: argparse.Namespace) -> dict[str, Any]:
    """By method and length: what was reached here, and what is published of other lengths."""
    path = results_path(options)
    rows: dict[str, Any] = read(path)["results"] if path.is_file() else {}
    for method in options.methods:
        found = rows.get(row_of(method, options), {})
        for length, folder, whole in _reached(method, options):
            some = cases(length)
            measured_here = [folder / f"{some[place].id}.json" for place in spaced(length, options.measure)]
            row = summary([figures_of(read(file)) for file in measured_here])
            largest = max(whole["changed"].values(), default=0.0)
            row |= {"perplexity": whole["perplexity"], "changed": round(largest, 4), "commit": whole["commit"]}
            found[str(length)] = row
        rows[row_of(method, options)] = dict(sorted(found.items(), key=lambda pair: int(pair[0])))
    _refuse_unlike(rows, path, options.measure)
    return rows


def _refuse_unlike(rows: dict[str, Any], path: Path, most: int) -> None:
    """Refuse rows in one table of which other shares of a sequence were measured."""
    for method, lengths in rows.items():
        for length, row in lengths.items():
            if row["n"] != min(int(length), most):
                raise UsageError(
                    f"{path} has {method} after {length} edits with {row['n']} of them measured: "
                    "name that number with --measure, or another folder with --out"
                )


def _reached(method: str, options: argparse.Namespace) -> Iterator[tuple[int, Path, dict[str, Any]]]:
    for length in options.lengths:
        folder = folder_of(method, options) / "sequence" / str(length)
        if (folder / f"{WHOLE}.json").is_file():
            yield length, folder, read(folder / f"{WHOLE}.json")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="names with settings, parted by commas")
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--edits", type=int, default=100, help="how many, one at a time")
    parser.add_argument("--sequence", default="", help="lengths, parted by commas: edits in sequence instead")
    parser.add_argument("--batch", type=int, default=1, help="edits of a sequence that are applied at once")
    parser.add_argument("--measure", type=int, default=100, help="most edits of a sequence that are measured")
    parser.add_argument("--part", default="1/1", help="2/3 is the second of three processes that share the work")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    parser.add_argument("--text", type=Path, default=data_folder() / "wikitext-2" / "test.txt", help="for perplexity")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="where records are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--against", default="", help="of the methods, the one that the others are tested against")
    parser.add_argument("--report", action="store_true", help="only make the results of what was measured")
    options = parser.parse_args()
    options.methods = options.method.split(",")
    if options.against and options.against not in options.methods:
        parser.error(f"--against {options.against} is none of the methods")
    options.lengths = sorted(int(length) for length in options.sequence.split(",") if length)
    if options.batch < 1 or any(length % options.batch for length in options.lengths or [1]):
        parser.error(f"--batch {options.batch} is for sequences whose lengths are multiples of it")
    part, _, options.parts = (int(one) if one.isdigit() else 1 for one in options.part.partition("/"))
    options.first = part - 1
    return options


def main() -> int:
    """Measure what the command line names."""
    options = _options()
    try:
        if not options.report:
            (in_sequence if options.lengths else one_at_a_time)(options)
        rows = report_sequence(options) if options.lengths else report_single(options)
    except ScrError as error:
        _say(f"run.py: {error}")
        return error.exit_status
    told = {"model": options.model, "methods": ",".join(rows), "corpus": options.corpus.name}
    told |= {"processes": options.parts, "threads of each": options.threads}
    path = results_path(options)
    write_result(path, told, rows)
    if options.lengths:
        plot(rows, path.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
