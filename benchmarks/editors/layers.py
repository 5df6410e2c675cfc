#!/usr/bin/env python3
"""Which layers to edit: a sweep of a method over layers, on a few CounterFact edits that are measured nowhere else.

    python benchmarks/editors/layers.py --method rome --layers 2,5,8 --edits 8
    python benchmarks/editors/layers.py --method memit --layers 2-6,4-8 --edits 8

Prints and writes a row for each choice, to those of earlier runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import environment
from benchmarks.editors.measure import (
    applied,
    cases,
    data_folder,
    figures_of,
    measured,
    open_method,
    open_model,
    record_of,
    summary,
    write,
)
from scr.errors import ScrError


def main() -> int:
    """Sweep over what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True)
    parser.add_argument("--layers", required=True, help="choices, parted by commas; each such as 5, 4-8 or 4+6")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--edits", type=int, default=8)
    parser.add_argument("--skip", type=int, default=400, help="first record, so that those measured later are others")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    path = options.out / f"layers-{Path(options.model).name}.json"
    told = {"model": options.model, "first": options.skip, "corpus": options.corpus.name}
    try:
        engine = open_model(options.model, options.threads)
        some = cases(options.skip + options.edits)[options.skip :]
        for layers in options.layers.split(","):
            editor = open_method(options.method, engine, options.corpus, f"layers={layers}")
            records = []
            for case in some:
                edited, cost = applied(editor, case.edits)
                with edited:
                    records.append(figures_of(record_of(case, measured(case, edited), **cost)))
            row = summary(records)
            print(options.method, layers, json.dumps(row), flush=True)
            # Read again: another process may have written since.
            kept = json.loads(path.read_text("utf-8"))["results"] if path.is_file() else {}
            kept.setdefault(options.method, {})[layers] = row
            write(path, {"parameters": told, "environment": environment(), "results": kept})
    except ScrError as error:
        print(f"layers.py: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
