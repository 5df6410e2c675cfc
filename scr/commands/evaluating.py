"""Commands that measure methods: eval, and the list of methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scr.commands import options
from scr.commands.output import dim, note, say, say_json, styled
from scr.errors import UsageError

if TYPE_CHECKING:
    from scr.engines import Engine
    from scr.evaluation.datasets import Loaded
    from scr.evaluation.evaluate import Model
    from scr.evaluation.results import Row

_SHOWN = ("reliability", "generalization", "portability", "locality_preservation", "locality_correctness")

Datasets = Annotated[
    list[str] | None,
    typer.Option("--dataset", metavar="NAME", help="A data set's name, a file, NAME=FILE or hf:ID. May be repeated."),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", metavar="NAME", help="See `scr editors`. May be repeated; bare and oracle are added."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        envvar="SCR_MODEL",
        metavar="NAME",
        help="A model folder or hub id; with --base-url, a served name. May be repeated.",
        rich_help_panel="Model",
    ),
]


def eval_(
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run.")] = None,
    dataset: Datasets = None,
    method: Methods = None,
    edits: Annotated[
        str, typer.Option("--edits", metavar="N,…", help="Records that are edited at once: 1,10,100 or all.")
    ] = "all",
    one_by_one: Annotated[
        bool, typer.Option("--one-by-one", help="Apply them one after another; score right after each, too.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Records to draw of a set.")] = None,
    ask: Annotated[
        int | None,
        typer.Option("--ask", metavar="N", min=1, help="Records to ask about; the edits of all are in force."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of these draws.")] = 0,
    legacy: Annotated[
        bool, typer.Option("--legacy", help="Add what is measured under teacher forcing, and fluency.")
    ] = False,
    timed: Annotated[
        int, typer.Option("--timed", metavar="N", min=0, help="Questions to time for the cost of a row.")
    ] = 20,
    model: Models = None,
    base_url: options.BaseUrl = None,
    api_key: options.ApiKey = None,
    max_tokens: options.MaxTokens = 32,
    prompt_form: options.PromptForm = "chat",
    instruction: Annotated[
        str,
        typer.Option(
            "--instruction", metavar="TEXT", help="A system turn before every question.", rich_help_panel="Model"
        ),
    ] = "",
    prompts: options.Prompts = None,
    top_k: options.TopK = 10,
    encoder: options.MeasuredEncoder = None,
    lint: Annotated[bool, typer.Option("--lint", help="List what is wrong with the data sets, and stop.")] = False,
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            "--compare", metavar="RUN[:METHOD]", help="Say how two runs, or methods, differ, and stop. Give it twice."
        ),
    ] = None,
    judge: Annotated[
        Path | None,
        typer.Option("--judge", metavar="RUN", help="Have the model judge the answers of a run, and stop."),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Measure methods on data sets, and write a report to look at.

    Every method answers the same questions in the same words and is scored by the same scorer; the rows `bare` (the
    unmodified model) and `oracle` (it, given the right fact) are in every table. The same command goes on with a run
    that was cut off, and another one adds methods, models or data sets to it.

    Examples:

      scr eval --dataset wiki_counterfact --method scr,rag --limit 50 -o runs/first

      scr eval --dataset my=questions.jsonl --method scr,scr:cosine --base-url http://localhost:8000 -o runs/mine

      scr eval --dataset zsre --lint

      scr eval --compare runs/first --compare runs/second

      scr eval --judge runs/first --base-url http://localhost:8000
    """
    if compare:
        _compare(compare, json_)
        return
    if judge:
        _judge(judge, _models(model, base_url, api_key), json_)
        return
    names = _several(dataset)
    if not names:
        raise UsageError("name a data set with --dataset, such as --dataset wiki_counterfact")
    loaded = [_loaded(name, limit, seed) for name in dict.fromkeys(names)]
    if lint:
        _lint(loaded, json_)
        return
    if output is None:
        raise UsageError("say where the run is to be kept: -o FOLDER")
    from scr.encoder import open_encoder
    from scr.evaluation.evaluate import Plan, evaluate
    from scr.evaluation.report import write_report
    from scr.evaluation.settings import Settings
    from scr.progress import bar

    settings = Settings(prompt_form, instruction, max_tokens, one_by_one, limit, ask, seed, top_k, legacy)
    plan = Plan(
        loaded,
        _several(method) or ["scr"],
        _models(model, base_url, api_key),
        _sizes(edits),
        settings,
        lambda: open_encoder(encoder),
        prompts,
        encoder,
        timed,
    )
    results = evaluate(plan, output, bar)
    written = write_report(output)
    if json_:
        say_json(results.to_json())
        return
    for row in results.rows:
        if row.split == "clean":
            _say_row(row)
    note(f"written: {written[0]} and {written[1].name}, with every answer to look at")


def _loaded(name: str, limit: int | None, seed: int) -> Loaded:
    from scr.evaluation.datasets import load

    loaded = load(name, limit=limit, seed=seed)
    if loaded.skipped:
        note(f"{name}: records that ask nothing about their own edit, and are left out: {loaded.skipped:,}")
    return loaded


def editors(json_: options.Json = False) -> None:
    """List the methods that `scr eval --method` knows.

    Example:

      scr editors --json
    """
    from scr.editors.registry import names, traits

    every = [traits(name) for name in names()]
    if json_:
        say_json(
            [{"name": one.name, "family": one.family, "needs": list(one.needs), "paper": one.paper} for one in every]
        )
        return
    width = max(len(one.name) for one in every)
    for one in every:
        needs = f" (needs: {', '.join(one.needs)})" if one.needs else ""
        say(f"{styled(one.name.ljust(width), bold=True)}  {one.family.ljust(8)}  {dim(one.paper + needs)}")


def _say_row(row: Row) -> None:
    where = f"{row.dataset} · {Path(row.model).name} · {row.edits} edits"
    figures = [
        f"{name} {figure.value:.3f}"
        for name in _SHOWN
        if (figure := row.scores.get(name, {}).get("exact" if name == "locality_preservation" else "contains"))
    ]
    say(f"{styled(row.method.ljust(16), bold=True)} {'  '.join(figures)}  {dim(where)}")


def _lint(loaded: Sequence[Loaded], json_: bool) -> None:
    from scr.evaluation.lint import RULES, findings

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
        for rule, (severity, meaning) in RULES.items():
            if count := sum(finding.rule == rule for finding in found[one.name]):
                note(f"  {count:6,}  {rule} ({severity}): {meaning}")


def _compare(runs: list[Path], json_: bool) -> None:
    if len(runs) != 2:
        raise UsageError("give --compare twice, once for each of the two runs")
    from scr.evaluation.comparison import compare

    difference = compare(*runs)
    if json_:
        say_json(difference.to_json())
    else:
        say(difference.text())


def _judge(run: Path, models: list[Model], json_: bool) -> None:
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
        kappa = "-" if one.agreement.kappa is None else f"{one.agreement.kappa:.2f}"
        say(
            f"{styled(one.key.method.ljust(16), bold=True)} judged right {one.right:.3f}  exact {one.exact:.3f}  "
            f"kappa {kappa}  without a verdict {one.agreement.errors:,} of {one.answers:,}  "
            f"{dim(f'{one.key.dataset} · {one.key.edits} edits')}"
        )
    note(f"written: {run / 'judged.json'}, and into {run / 'report.html'}")


def _several(given: list[str] | None) -> list[str]:
    """Values that may be repeated or given commas."""
    return [part.strip() for one in given or [] for part in one.split(",") if part.strip()]


def _sizes(text: str) -> list[int | None]:
    sizes: list[int | None] = []
    for part in text.split(","):
        if part.strip() == "all":
            sizes.append(None)
        elif part.strip().isascii() and part.strip().isdigit() and int(part) > 0:
            sizes.append(int(part))
        else:
            raise UsageError(f"--edits {text!r} is not understood: give numbers or all, such as --edits 1,10,all")
    return sizes


def _models(given: list[str] | None, base_url: str | None, api_key: str | None) -> list[Model]:
    return [_model(name, base_url, api_key) for name in _several(given) or (None,)]


def _model(name: str | None, base_url: str | None, api_key: str | None) -> Model:
    from scr.evaluation.evaluate import Model

    def opened() -> Engine:
        from scr.engines.openai import OpenAIEngine
        from scr.engines.opening import open_engine

        engine = open_engine(model=name, base_url=base_url, api_key=api_key)
        try:
            if name and isinstance(engine, OpenAIEngine):
                engine.check()
        except BaseException:
            engine.close()
            raise
        return engine

    if name or base_url:
        return Model(name, opened)
    from scr.assets import smollm2_folder

    return Model(str(smollm2_folder()), opened)  # by its folder, as weight editors load it once more
