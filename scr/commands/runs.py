"""What `scr eval` says of runs and data sets that are there: --compare, --judge and --lint, which measure nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from scr.commands.output import dim, note, say, say_json, styled
from scr.errors import UsageError

if TYPE_CHECKING:
    from scr.evaluation.datasets import Loaded
    from scr.evaluation.judging import Judged
    from scr.evaluation.plan import Model

_MEANT = {
    "compare": ("runs",),
    "judge": ("model", "base_url", "api_key"),
    "lint": ("dataset", "limit", "seed"),
}
"""What has a meaning beside each, by parameter; --json always has."""


def refuse_what_means_nothing(context: typer.Context) -> None:
    """Refuse what is given and would be ignored; what the environment sets is not given to this command.

    Raises:
        UsageError: there is such an option, or a run beside no --compare.
    """
    option = next((name for name in _MEANT if context.params[name]), None)
    if option is None:
        if runs := context.params["runs"]:
            raise UsageError(f"{runs[0]} means nothing here: a run is named after --compare, a new one after -o")
        return
    meant = (option, "json_", *_MEANT[option])
    others = [one for one in context.command.params if one.name not in meant and _is_given(context, one.name or "")]
    if others:
        given = [one.opts[0] if one.opts[0].startswith("-") else "RUN" for one in others]
        raise UsageError(f"--{option} takes no {', '.join(given)}: leave that out")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def lint(loaded: Sequence[Loaded], json_: bool) -> None:
    """List what is wrong with data sets."""
    from scr.evaluation.lint import RULES, counts, findings

    found = {one.name: findings(one.cases) for one in loaded}
    if json_:
        say_json({name: [asdict(one) | {"severity": one.severity} for one in every] for name, every in found.items()})
        return
    for one in loaded:
        prompts = {(case.id, place): q.prompt for case in one.cases for place, q in enumerate(case.questions)}
        for finding in found[one.name]:
            prompt = prompts.get((finding.case, finding.question or 0), "")
            say(f"{one.name}\t{finding.case}\t{finding.severity}\t{finding.rule}\t{prompt}\t{dim(finding.detail)}")
        note(f"{one.name}: {len(one.cases):,} records, {len(prompts):,} questions")
        for rule, count in counts(one.cases, found[one.name]).items():
            severity, meaning = RULES[rule]
            note(f"  {count:6,}  {rule} ({severity}): {meaning}")


def compare(given: Sequence[Path], json_: bool) -> None:
    """Say how two runs differ.

    Raises:
        UsageError: there are not two, or one is no run.
    """
    # A single one may be two with a comma between.
    runs = list(given) if len(given) != 1 else [Path(part.strip()) for part in str(given[0]).split(",")]
    if len(runs) != 2:
        raise UsageError("name two runs to compare: --compare RUN RUN")
    from scr.evaluation.comparison import compare as compared

    difference = compared(*runs)
    if json_:
        say_json(difference.to_json())
    else:
        say(difference.text())


def judge(run: Path, models: Sequence[Model], json_: bool) -> None:
    """Have a language model judge the answers of a run.

    Raises:
        UsageError: the folder is no run, or not one model is to judge.
    """
    from scr.evaluation.judging import judge_run
    from scr.evaluation.report import write_report
    from scr.evaluation.results import Results
    from scr.progress import bar

    if len(models) != 1:
        raise UsageError("one model judges: give --model once")
    Results.read(run)  # says that it is no run before a model is opened
    judged = judge_run(run, models[0].open(), bar).rows
    write_report(run)
    if json_:
        say_json([one.to_json() for one in judged])
        return
    for one in judged:
        say(_line(one))
    note(f"written: {run / 'judged.json'}, and into {run / 'report.html'}")


def _line(one: Judged) -> str:
    kappa = "-" if one.agreement.kappa is None else f"{one.agreement.kappa:.2f}"
    between = f" [{one.interval.low:.3f}, {one.interval.high:.3f}]" if one.interval else ""
    return (
        f"{styled(one.key.method.ljust(16), bold=True)} judged right {one.right:.3f}{between}  exact {one.exact:.3f}  "
        f"kappa {kappa}  without a verdict {one.agreement.errors:,} of {one.answers:,}  "
        f"{dim(f'{one.key.dataset} · {one.key.edits} edits')}"
    )
