"""Commands on the scope classifier: scope eval, calibrate, train."""

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
    from scr.evaluation.scope import Decided, LabelledSet
    from scr.scope import ScopeClassifier

scope = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The scope classifier on data of your own: eval, calibrate, train.",
)

Facts = Annotated[Path, typer.Option("--facts", metavar="FILE", help='JSONL of {"id", "text"}.')]
Queries = Annotated[
    Path,
    typer.Option("--queries", metavar="FILE", help='JSONL of {"query", "facts": [ids that apply], "kind"}.'),
]
Out = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the classifier.")]


@scope.command("eval")
def eval_(
    facts: Facts,
    queries: Queries,
    scope: options.Scope = None,
    threshold: options.Threshold = None,
    top_k: options.TopK = 10,
    encoder: options.MeasuredEncoder = None,
    plots: Annotated[
        Path | None,
        typer.Option("--plots", metavar="FOLDER", help="Draw precision against recall, and scores by kind."),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Measure a classifier on labelled queries, beside cosine.

    Every fact is loaded, and every query decided as `scr check` would. FILEs are JSONL; a query that no fact
    governs has an empty list of facts.

    Example:

      scr scope eval --facts facts.jsonl --queries queries.jsonl --scope cosine
    """
    from scr.evaluation.scope import report

    if plots:
        plots.mkdir(parents=True, exist_ok=True)  # before the work, so that a slip of the pen costs none
    data, decided, speed, classifier = _decide(facts, queries, scope, threshold, top_k, encoder)
    figures = asdict(report(decided, speed))
    if plots:
        _draw(decided, classifier.name, queries.stem, plots)
    if json_:
        say_json(figures)
        return
    say(f"{styled(classifier.name, bold=True)} on {len(data.queries):,} queries, {len(data.facts):,} facts")
    by_kind, retrieval = figures.pop("by_kind"), figures.pop("retrieval_recall")
    for name, value in figures.items():
        say(f"{dim(name.replace('_', ' ').ljust(20))} {_shown(value)}")
    depths = "  ".join(f"@{depth} {_shown(value)}" for depth, value in retrieval.items())
    say(f"{dim('retrieval recall'.ljust(20))} {depths}")
    width = max(map(len, by_kind))
    for kind, row in by_kind.items():
        say(f"{dim(kind.ljust(width))}  " + "  ".join(f"{n.replace('_', ' ')} {_shown(v)}" for n, v in row.items()))


@scope.command()
def calibrate(
    facts: Facts,
    queries: Queries,
    output: Out,
    max_false_fire: Annotated[
        float, typer.Option("--max-false-fire", metavar="RATE", min=0.0001, max=0.5, help="The error budget.")
    ] = 0.01,
    scope: options.Scope = None,
    top_k: options.TopK = 10,
    encoder: options.MeasuredEncoder = None,
    json_: options.Json = False,
) -> None:
    """Set a classifier's threshold by an error budget.

    By conformal risk control on the queries that no fact governs: a further query like them fires with a
    probability of at most the budget. Use the result with `--scope FOLDER`.

    Example:

      scr scope calibrate --facts facts.jsonl --queries queries.jsonl --max-false-fire 0.01 -o my-scope
    """
    import numpy as np

    from scr.evaluation.scope import conformal_threshold
    from scr.scope.cross_encoder import CrossEncoder

    _, decided, _, classifier = _decide(facts, queries, scope, None, top_k, encoder)
    if not isinstance(classifier, CrossEncoder):
        raise UsageError(f"{classifier.name!r} has no weights to keep a threshold beside: use --scope cross-encoder")
    outside = np.array([one.score for one in decided if not one.labelled.facts])
    threshold = conformal_threshold(outside, max_false_fire)
    classifier.with_threshold(threshold).save_pretrained(output)
    inside = [one for one in decided if one.labelled.facts]
    kept = [any(s >= threshold and name in one.labelled.facts for name, s, _ in one.scored) for one in inside]
    recall = round(float(np.mean(kept)), 4) if kept else None
    result = {
        "threshold": threshold,
        "max_false_fire": max_false_fire,
        "out_of_scope": len(outside),
        "recall": recall,
        "folder": str(output),
    }
    if json_:
        say_json(result)
        return
    say(f"threshold {threshold:.4f}: a query like these {len(outside):,} fires with a probability of at most "
        f"{max_false_fire:g}; recall of {len(inside):,} queries in scope {_shown(recall)}")  # fmt: skip
    note(f"use it with --scope {output}")


@scope.command()
def train(
    output: Out,
    facts: Annotated[Path | None, typer.Option("--facts", metavar="FILE", help='JSONL of {"id", "text"}.')] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", metavar="FILE", help='JSONL of {"query", "facts", "kind"}.')
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="The public sets: train from nothing.")
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option("--pairs", metavar="N", min=64, help="With --data: most pairs in a stage, for a trial."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the order of the queries.")] = 0,
    encoder: options.MeasuredEncoder = None,
    json_: options.Json = False,
) -> None:
    """Train the classifier on labelled queries of your own.

    It starts from the weights that ship, and sees each query with the facts that apply and the nearest that do
    not. The same command goes on with a run that was cut off. With --data, it starts from nothing
    (three hours on two cores).

    Example:

      scr scope train --facts facts.jsonl --queries queries.jsonl -o my-scope
    """
    from scr.scope.training.recipes import own_pairs, train_own, train_public

    if data and not (facts or queries):
        figures = train_public(data, output, pairs=pairs)
    elif facts and queries and not data:
        from scr.encoder import open_encoder
        from scr.evaluation.scope import judged_pairs, read_labelled

        judged = judged_pairs(read_labelled(facts, queries), open_encoder(encoder))
        figures = train_own(own_pairs(judged), output, seed=seed)
    else:
        raise UsageError("give --facts and --queries of your own, or --data with the public sets")
    if json_:
        say_json({**figures, "folder": str(output)})
        return
    for name, value in figures.items():
        say(f"{dim(name.replace('_', ' ').ljust(20))} {_shown(value)}")
    note(f"use it with --scope {output}")


def _decide(
    facts: Path, queries: Path, name: str | None, threshold: float | None, top_k: int, encoder: str | None
) -> tuple[LabelledSet, list[Decided], float, ScopeClassifier]:
    from scr.encoder import open_encoder
    from scr.evaluation.scope import decide, read_labelled
    from scr.progress import bar
    from scr.scope.opening import open_scope

    data = read_labelled(facts, queries)
    classifier = open_scope(name, threshold)
    with bar("Deciding", len(data.queries)) as advance:
        decided, speed = decide(data, classifier, open_encoder(encoder), k=top_k, progress=advance)
    return data, decided, speed, classifier


def _draw(decided: Sequence[Decided], classifier: str, title: str, folder: Path) -> None:
    import numpy as np

    from scr.evaluation.scope_plots import Ranking, draw

    in_scope = np.array([bool(one.labelled.facts) for one in decided])
    kinds = [one.labelled.kind for one in decided]
    scores = {"nearest fact's cosine": [one.cosine for one in decided], classifier: [one.score for one in decided]}
    rankings = [Ranking(name, np.array(values), in_scope, kinds) for name, values in scores.items()]
    written = draw({title: rankings}, folder / "scope")
    for path in written:
        note(f"wrote {path}")
    if not written:
        note("nothing was drawn: no query is in scope")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
