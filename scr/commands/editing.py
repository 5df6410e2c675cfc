"""The command that changes a model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scr.commands import options
from scr.commands.output import note, say_json
from scr.errors import UsageError

if TYPE_CHECKING:
    from scr.editors import Edit


def edit(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]…", help="Facts as sentences; without, those of the store.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="A weight editor of `scr editors`, with its settings.")
    ] = "rome",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="For the model.")] = None,
    deltas: Annotated[
        Path | None, typer.Option("--deltas", metavar="FILE", help="Keep what was added to the weights alone, too.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="TEXT", help="What the facts are about, where they do not say.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Take the edits of a data set, as `scr eval` does.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Records to draw of that set.")
    ] = None,
    model: options.Model = None,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
    json_: options.Json = False,
) -> None:
    """Write facts into a model's weights, for comparison.

    The edited model is a Hugging Face folder that vLLM and transformers load. Unlike the facts of a store, it cannot be
    corrected or taken back, and may have lost what nobody asked about: `scr eval --method` says what it costs.

    Examples:

      scr edit "The capital of France is Lyon." --method rome -o edited

      scr edit --method "memit:layers=4-8" --model Qwen/Qwen2.5-0.5B-Instruct -o edited

      scr edit --method alphaedit --dataset counterfact --limit 100 -o edited
    """
    from scr.editors.registry import Workbench, open_editor, traits

    if output is None and deltas is None:
        raise UsageError("say where the edited model is to be kept: -o FOLDER")
    name = method.partition(":")[0]
    known = traits(name)
    if known.family != "weights":
        raise UsageError(f"{name} does not change weights: choose one of `scr editors` that does, such as rome")
    edits = _edits(texts or [], subject, dataset, limit, store, namespace)
    from scr.editors.weights.editor import WeightEdited
    from scr.encoder import open_encoder
    from scr.engines.opening import open_engine

    engine = open_engine(model=model)
    try:
        bench = Workbench(engine, open_encoder, model=model)
        with open_editor(method, bench).apply(edits) as edited:
            if not isinstance(edited, WeightEdited):
                raise UsageError(f"{name} cannot be kept as a model: it has no export")
            if deltas:
                edited.save(deltas)
            if output:
                edited.export(output)
            report = edited.reports[-1]
    finally:
        engine.close()
    if json_:
        changed = {tensor: round(share, 6) for tensor, share in report.changed.items()}
        say_json({"method": name, "edits": report.edits, "seconds": report.seconds, "peak_bytes": report.peak_bytes,
                  "changed": changed, "folder": str(output) if output else None})  # fmt: skip
        return
    note(f"{report.edits:,} edits in {report.seconds:.1f} s changed {len(report.changed)} tensors")
    if output:
        note(f"use it with --model {output}, or `vllm serve {output}`")


def _edits(
    texts: Sequence[str],
    subject: str | None,
    dataset: str | None,
    limit: int | None,
    store: Path | None,
    namespace: str,
) -> list[Edit]:
    from scr.editors.facts import as_edit
    from scr.facts import NewFact

    if texts and dataset:
        raise UsageError("give sentences or --dataset, not both")
    if dataset:
        from scr.evaluation.datasets import load

        return [edit for case in load(dataset, limit=limit).cases for edit in case.edits]
    if texts:
        return [as_edit(NewFact.of({"text": text}), subject) for text in texts]
    from scr.commands.opening import opened_store

    with opened_store(store, namespace) as opened:
        edits = [as_edit(fact, subject) for fact in opened.facts()]
    if not edits:
        raise UsageError("the store holds no fact: give sentences, or add facts with `scr add`")
    return edits
