#!/usr/bin/env python3
"""What edits in sequence do to subjects that none of them is about, and which settings change that.

    python benchmarks/editors/replay.py --model qwen-coder-0.5b --targets memit --edits 200 \
        --method memit,memit:weight=45000,alphaedit

The targets that run.py has kept of a sequence are used again, so that an edit costs no search: each method writes the
same vectors in its own way. As in a search, a vector is at most its bound's share of the state that it is added to;
with `--bound unedited`, of that state in the unedited model, which no earlier edit can have made larger.

By so many edits, of the states that targets are for, at the subjects of the records that follow the edits: their median
norm, how far they have moved (the median), and which share of the movement is common to all of them (the norm of its
mean over the mean of its norms); at the end the perplexity of other text.

Adds to `results/replay-MODEL.json` and `.png`. Needs the data sets (`SCR_DATA`, or ../shared/data) and scr with its
extras `local` and `editors`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.common import environment, write_result
from benchmarks.editors.measure import cases, data_folder, open_method, open_model, perplexity, read, runs_folder
from benchmarks.editors.plot import styles_of
from benchmarks.editors.run import folder_of
from benchmarks.editors.shared import Found, Search, kept_of, sought_by
from scr import progress
from scr.editors import Edit, Editor
from scr.editors.weights.host import Host
from scr.editors.weights.requests import Request, check
from scr.editors.weights.sequences import rows_of
from scr.editors.weights.targets import Target
from scr.errors import ScrError, UsageError

if TYPE_CHECKING:
    import torch

OTHERS = 40
"""Records after the edits whose subjects are looked at."""


class States:
    """States at the subjects of some prompts, as they are now and as they were in the unedited model [prompts, d]."""

    def __init__(self, host: Host, requests: Sequence[Request], module: str) -> None:
        """Look at the unedited model."""
        self._host, self._module = host, module
        self._rows = [row for request in requests for row in rows_of(host.tokenizer, request, [""])]
        self.unedited = self.now()

    def now(self) -> torch.Tensor:
        """In the model with the edits that it has."""
        return self._host.states(self._rows, [self._module])[self._module][1]

    def moved(self) -> dict[str, float]:
        """Median norm, median distance, and the share of the movement that all have in common."""
        now = self.now()
        move = now - self.unedited
        far = move.norm(dim=1)
        found = {"norm": now.norm(dim=1).median(), "moved": far.median()}
        if far.any():
            found["together"] = move.mean(0).norm() / far.mean()
        return {name: round(float(value), 3) for name, value in found.items()}


class Given:
    """Targets of another run."""

    def __init__(self, targets: Sequence[Found], norms: Mapping[str, float]) -> None:
        """Take targets, and by prompt the norm that a bound is a share of; without one it is the state's own."""
        self._targets, self._norms = {one.prompt: one.target for one in targets}, norms

    def seek(self, search: Search) -> Target:
        """The vector that was found for this prompt, on the state as it is now."""
        start, found = search.start(), self._targets[search.request.prompt]
        most = search.config.clamp * self._norms.get(search.request.prompt, float(start.norm()))
        return Target(start, found.delta * min(1.0, most / float(found.delta.norm())), found.loss)


def replay(editor: Editor, edits: Sequence[Edit], given: Given, others: States, every: int) -> dict[str, Any]:
    """Apply edits one on top of the other: by so many what :class:`States` tells, and the perplexity at last."""
    rows, edited = {"0": others.moved()}, None
    with sought_by(given.seek), progress.bar("edits", len(edits)) as advance:
        try:
            for number, one in enumerate(edits, 1):
                if edited is None:
                    edited = editor.apply([one])
                else:
                    edited.add([one])
                if number % every == 0 or number == len(edits):
                    rows[str(number)] = others.moved()
                advance(1)
            text = data_folder() / "wikitext-2" / "test.txt"
            return {"edits": rows, "perplexity": perplexity(edited, text), "commit": environment()["commit"]}
        finally:
            if edited is not None:
                edited.__exit__(None, None, None)


def plot(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write the picture of what :func:`replay` gives for each row."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
    names = {"moved": "how far states of other subjects moved", "together": "share of that which is common to all"}
    for row, style in styles_of(list(rows)).items():
        for axis, name in zip(axes, names, strict=True):
            by_edits = {int(number): found[name] for number, found in rows[row]["edits"].items() if found.get(name)}
            axis.plot(list(by_edits), list(by_edits.values()), **style)
    for axis, title in zip(axes, names.values(), strict=True):
        axis.set(title=title, xlabel="edits in sequence")
        axis.grid(color="#e2e2de")
    axes[0].set_yscale("log")
    axes[0].yaxis.set_major_formatter("{x:g}")
    axes[1].set_ylim(-0.03, 1.03)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="names with settings, parted by commas")
    parser.add_argument("--targets", required=True, help="the method, as run.py had it, whose targets are used")
    parser.add_argument("--model", default="smollm2-135m", help="a name of benchmarks/tools/models.py, or a folder")
    parser.add_argument("--edits", type=int, default=200, help="how many")
    parser.add_argument("--every", type=int, default=20, help="edits between two looks at the states")
    parser.add_argument("--bound", choices=["own", "unedited"], default="own", help="the state that bounds a vector")
    parser.add_argument("--corpus", type=Path, default=data_folder() / "wikitext-2" / "valid.txt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=runs_folder(), help="where run.py keeps its records")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args(namespace=argparse.Namespace(batch=1))  # targets are those of one edit after the other


def _kept(options: argparse.Namespace) -> list[Found]:
    folder = folder_of(options.targets, options) / "sequence" / "targets"
    found = kept_of(folder)[: options.edits]
    if len(found) < options.edits:
        raise UsageError(f"{folder} holds the targets of {len(found)} edits: run.py --sequence keeps them there")
    return found


def _run(options: argparse.Namespace) -> None:
    found, engine = _kept(options), open_model(options.model, options.threads)
    edits = [edit for case in cases(options.edits + OTHERS) for edit in case.edits]
    host, module = Host.of(engine), found[0].module
    edited, others = (
        States(host, check(some, host.tokenizer, subject=True), module)
        for some in (edits[: options.edits], edits[options.edits :])
    )
    norms = {}
    if options.bound == "unedited":
        norms = dict(zip((one.prompt for one in found), edited.unedited.norm(dim=1).tolist(), strict=True))
    name = Path(options.model).name
    path = options.out / f"replay-{name}.json"
    for method in options.method.split(","):
        editor, given = open_method(method, engine, options.corpus), Given(found, norms)
        row = replay(editor, edits[: options.edits], given, others, options.every)
        # Read when it is done: another process may have written meanwhile.
        rows = read(path)["results"] if path.is_file() else {}
        rows[method if options.bound == "own" else f"{method}, bound by unedited states"] = row
        write_result(path, {"model": name, "targets": options.targets, "corpus": options.corpus.name}, rows)
    plot(rows, path.with_suffix(".png"))


def main() -> int:
    """Replay what the command line names."""
    try:
        _run(_options())
    except ScrError as error:
        print(f"replay.py: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
