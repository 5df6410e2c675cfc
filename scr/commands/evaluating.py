"""Commands that measure methods: eval, and the list of methods."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scr.commands import options
from scr.commands.output import dim, note, say, say_json, styled
from scr.commands.runs import compare as compare_runs
from scr.commands.runs import judge as judge_run
from scr.commands.runs import lint as lint_datasets
from scr.commands.runs import refuse_what_means_nothing
from scr.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from scr.engines import Engine
    from scr.evaluation.datasets import Loaded
    from scr.evaluation.plan import Model
    from scr.evaluation.results import Results, Row

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
    context: typer.Context,
    runs: Annotated[list[Path] | None, typer.Argument(metavar="RUN", help="With --compare: the other run.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run.")] = None,
    dataset: Datasets = None,
    method: Methods = None,
    edits: Annotated[
        list[str] | None,
        typer.Option(
            "--edits", metavar="N|all", help="Records that are edited at once. May be repeated. [default: all]"
        ),
    ] = None,
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
            "--compare", metavar="RUN[:METHOD]", help="Say how this run, or method, and another RUN differ, and stop."
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

      scr eval --compare runs/first runs/second

      scr eval --judge runs/first --base-url http://localhost:8000
    """
    refuse_what_means_nothing(context)
    if compare:
        compare_runs([*compare, *(runs or ())], json_)
        return
    if judge:
        judge_run(judge, _models(model, base_url, api_key), json_)
        return
    names = _several(dataset)
    if not names:
        raise UsageError("name a data set with --dataset, such as --dataset wiki_counterfact")
    loaded = [_loaded(name, limit, seed) for name in dict.fromkeys(names)]
    if lint:
        lint_datasets(loaded, json_)
        return
    if output is None:
        raise UsageError("say where the run is to be kept: -o FOLDER")
    if find_spec("matplotlib") is None:
        raise MissingExtra("eval", "The report at the end")
    from scr.encoder import open_encoder
    from scr.evaluation.evaluate import evaluate
    from scr.evaluation.plan import Plan
    from scr.evaluation.report import write_report
    from scr.evaluation.settings import Settings
    from scr.progress import bar

    settings = Settings(prompt_form, instruction, max_tokens, one_by_one, limit, ask, seed, top_k, legacy)
    plan = Plan(
        loaded,
        _several(method) or ["scr"],
        _models(model, base_url, api_key),
        _sizes(edits or ["all"]),
        settings,
        lambda: open_encoder(encoder),
        prompts,
        encoder,
        timed,
    )
    results = evaluate(plan, output, bar)
    _say_errors(results)
    written = write_report(output)
    if json_:
        say_json(results.to_json())
        return
    width = max((len(row.method) for row in results.rows), default=0)
    for row in results.rows:
        if row.split == "clean":
            _say_row(row, width)
    note(f"written: {written[0]} and {written[1].name}, with every answer to look at")


def _loaded(name: str, limit: int | None, seed: int) -> Loaded:
    from scr.evaluation.datasets import load

    loaded = load(name, limit=limit, seed=seed)
    if loaded.skipped:
        note(f"{name}: records that ask nothing about their own edit, and are left out: {loaded.skipped:,}")
    if loaded.stand_in:
        note(f"{name}: its own file is not here; {loaded.file} stands in, and the rows are called {loaded.name!r}")
    return loaded


def editors(json_: options.Json = False) -> None:
    """List the methods that `scr eval --method` knows.

    Example:

      scr editors --json
    """
    from scr.editors.registry import names, traits

    every = {}
    for name in names():
        try:
            every[name] = traits(name)
        except UsageError as error:  # of another package
            note(f"left out: {error}")
    if json_:
        say_json(
            [
                {"name": name, "family": one.family, "needs": list(one.needs), "paper": one.paper}
                for name, one in every.items()
            ]
        )
        return
    width = max(map(len, every))
    for name, one in every.items():
        needs = f" (needs: {', '.join(one.needs)})" if one.needs else ""
        say(f"{styled(name.ljust(width), bold=True)}  {one.family.ljust(8)}  {dim(one.paper + needs)}")


def _say_errors(results: Results) -> None:
    """Which rows have questions without an answer, which nothing else on the screen shows."""
    first = {(one.dataset, one.model, one.method, one.edits): one.error for one in reversed(results.errors)}
    for row in results.rows:
        if row.errors and row.split == "raw":
            why = first[row.dataset, row.model, row.method, row.edits]
            where = f"{row.method} · {row.dataset} · {row.edits} edits"
            note(f"{where}: questions without an answer, which count as wrong: {row.errors:,}, the first: {why}")


def _say_row(row: Row, width: int) -> None:
    where = f"{row.dataset} · {Path(row.model).name} · {row.edits} edits"
    figures = [
        f"{name} {figure.value:.3f}"
        for name in _SHOWN
        if (figure := row.scores.get(name, {}).get("exact" if name == "locality_preservation" else "contains"))
    ]
    say(f"{styled(row.method.ljust(width), bold=True)}  {'  '.join(figures)}  {dim(where)}")


def _several(given: list[str] | None) -> list[str]:
    """Values that may be repeated or given commas."""
    return [part.strip() for one in given or [] for part in one.split(",") if part.strip()]


def _sizes(given: list[str]) -> list[int | None]:
    sizes: list[int | None] = []
    for part in (part.strip() for one in given for part in one.split(",")):
        if part == "all":
            sizes.append(None)
        elif part.isascii() and part.isdigit() and int(part) > 0:
            sizes.append(int(part))
        else:
            raise UsageError(f"--edits {part!r} is not understood: give numbers or all, such as --edits 1,10,all")
    return sizes


def _models(given: list[str] | None, base_url: str | None, api_key: str | None) -> list[Model]:
    return [_model(name, base_url, api_key) for name in _several(given) or (None,)]


def _model(name: str | None, base_url: str | None, api_key: str | None) -> Model:
    from scr.evaluation.plan import Model

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
