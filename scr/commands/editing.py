"""The command that changes a model's weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scr.commands import options
from scr.commands.opening import input_file, opened_store
from scr.commands.output import note, say_json
from scr.errors import UsageError
from scr.facts import NewFact

if TYPE_CHECKING:
    from scr.editors import Edit, Edited
    from scr.facts import Fact

_ROOM = 2
"""Tokens of an answer beyond those of the longest that is wanted, which the model may write in others."""


def edit(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT|FILE]...",
            help="Facts as sentences, or in files as `scr import` reads them (.jsonl, .csv, .txt; - is standard "
            "input); without any, those of the store.",
        ),
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

    The edited model is a Hugging Face folder that vLLM and transformers load. It is asked for each new answer at the
    end, and what it does not give is said. Unlike the facts of a store, it cannot be corrected or taken back, and may
    have lost what nobody asked about: `scr eval --method` says what it costs.

    Methods that need statistics (`scr editors` says which) take them of a text file: corpus=FILE, or SCR_CORPUS.

    Examples:

      scr edit "The capital of France is Lyon." --method ft-m -o edited

      scr edit facts.jsonl --method "memit:corpus=wiki.txt" -o edited

      scr edit --method "alphaedit:corpus=wiki.txt" --dataset counterfact --limit 100 -o edited
    """
    from scr.editors.facts import as_edit
    from scr.editors.registry import Workbench, open_editor, traits

    name = method.partition(":")[0]
    known = traits(name)
    if known.family != "weights":
        raise UsageError(f"{name} does not change weights: choose one of `scr editors` that does, such as rome")
    _check_places(output, deltas)
    read = partial(as_edit, subject=subject, needed="subject" in known.needs)
    edits = _edits(given or [], read, dataset, limit, store, namespace)
    from scr.encoder import open_encoder
    from scr.engines.opening import open_engine

    engine = open_engine(model=model)
    try:
        bench = Workbench(engine, open_encoder, model=model)
        with open_editor(method, bench).apply(edits) as edited:
            _keep(edited, name, output, deltas)
            report, missed = edited.reports[-1], _missed(edited, edits)
    finally:
        engine.close()
    if json_:
        changed = {tensor: round(share, 6) for tensor, share in report.changed.items()}
        say_json({"method": name, "edits": report.edits, "seconds": report.seconds, "prepared": report.prepared,
                  "peak_bytes": report.peak_bytes, "changed": changed, "missed": missed,
                  "folder": str(output) if output else None})  # fmt: skip
        return
    before = f", after {report.prepared:.1f} s of preparing the model," if report.prepared >= 0.1 else ""
    note(f"{report.edits:,} edits in {report.seconds:.1f} s{before} changed {len(report.changed)} tensors")
    if missed:
        note(f"asked for them, it does not give {len(missed):,} of the new answers, the first to {missed[0][:60]!r}")
    else:
        note("asked for them, it gives every new answer")
    if output:
        note(f"use it with --model {output}, or `vllm serve {output}`")


def _check_places(output: Path | None, deltas: Path | None) -> None:
    """Refuse what cannot be written into, before a model is opened."""
    from scr.editors.weights.delta import refuse_taken
    from scr.editors.weights.export import refuse_used

    if output is None and deltas is None:
        raise UsageError("say where the edited model is to be kept: -o FOLDER")
    folder = refuse_used(output) if output else None
    file = refuse_taken(deltas) if deltas else None
    if folder and file and file.is_relative_to(folder):
        raise UsageError(f"{deltas} lies in the folder of the model, which is to be a new one: name another file")


def _keep(edited: Edited, name: str, output: Path | None, deltas: Path | None) -> None:
    from scr.editors import Exportable, Savable

    if output and not isinstance(edited, Exportable):
        raise UsageError(f"{name} cannot be kept as a model: what it gives back has no export")
    if deltas and not isinstance(edited, Savable):
        raise UsageError(f"the changes of {name} cannot be kept alone: what it gives back has no save")
    if isinstance(edited, Savable) and deltas:
        edited.save(deltas.expanduser())
    if isinstance(edited, Exportable) and output:
        edited.export(output.expanduser())


def _missed(edited: Edited, edits: Sequence[Edit]) -> list[str]:
    """Prompts that the model does not go on from with the new answer, as it decodes greedily."""
    from scr.editors import Asked
    from scr.engines import Sampling
    from scr.evaluation.metrics import begins_with

    last = {edit.prompt: edit for edit in edits}  # of two edits of one prompt the later counts
    lengths = [edited.engine.count_tokens(edit.target) or len(edit.target) for edit in last.values()]
    prompts = [one.prompt for one in edited.prepare([Asked(edit.prompt, (edit,), True) for edit in last.values()])]
    answers = edited.engine.generate(prompts, Sampling(max_tokens=_ROOM + max(lengths)))
    pairs = zip(last.values(), answers, strict=True)
    return [edit.prompt for edit, said in pairs if not begins_with(said.text, edit.target)]


def _edits(
    given: Sequence[str],
    read: Callable[[Fact | NewFact], Edit],
    dataset: str | None,
    limit: int | None,
    store: Path | None,
    namespace: str,
) -> list[Edit]:
    if given and dataset:
        raise UsageError("give facts or --dataset, not both")
    if dataset:
        from scr.evaluation.datasets import load

        return [edit for case in load(dataset, limit=limit).cases for edit in case.edits]
    if limit:
        raise UsageError("--limit is of a data set: name one with --dataset, or leave it out")
    if given:
        return [read(fact) for one in given for fact in _facts(one)]
    with opened_store(store, namespace) as opened:
        edits = [read(fact) for fact in opened.facts()]
    if not edits:
        raise UsageError("the store holds no fact: give sentences or a file, or add facts with `scr add`")
    return edits


def _facts(given: str) -> list[NewFact]:
    """A sentence, or the facts of a file."""
    from scr.importing import SUFFIXES, read_facts

    path = Path(given)
    if given != "-" and (path.suffix.lower() not in SUFFIXES or (" " in given and not path.is_file())):
        return [NewFact.of({"text": given})]
    name = "standard input" if given == "-" else given
    facts = []
    with input_file(given) as file:
        for line in read_facts(file, name):
            if line.fact is None:
                raise UsageError(f"{name} line {line.number:,}: {line.reason}; nothing was edited: mend it")
            facts.append(line.fact)
    if not facts:
        raise UsageError(f"{name} holds no fact: write one a line")
    return facts
