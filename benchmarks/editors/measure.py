"""How one edited model does on one CounterFact record: the published figures, and what it says when asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from math import exp
from pathlib import Path
from statistics import fmean, median
from typing import Any

from scr.assets import cache_folder, smollm2_folder
from scr.context import ContextBuilder
from scr.editors import Asked, Edit, Edited, Editor
from scr.editors.registry import Workbench, open_editor, traits
from scr.editors.weights.memory import peak
from scr.editors.weights.requests import apart
from scr.engines import Sampling
from scr.engines.transformers import TransformersEngine
from scr.evaluation.cases import Case
from scr.evaluation.datasets import load
from scr.evaluation.statistics import mean_interval, paired_test

FIGURES = {"reliability": "efficacy", "generalization": "paraphrase", "locality": "neighbourhood"}
COSTS = ("seconds", "peak_mib")
ROOT = Path(__file__).parents[2]

_ROOM = 2
"""Tokens that are decoded beyond the longer of both answers: it may be written in other tokens."""

_TEXTS, _SEEN, _SCORED = 8, 200, 800
"""Pieces of text that ``perplexity`` looks at, and characters of each: those that are given, and those that follow."""


def data_folder() -> Path:
    """``SCR_DATA``, or ``../shared/data`` beside the checkout."""
    return Path(os.environ.get("SCR_DATA", ROOT.parent / "shared" / "data"))


def runs_folder() -> Path:
    """Where records are kept: they quote the data set, so outside the project."""
    return cache_folder() / "benchmarks" / "editors"


def cases(count: int | None) -> tuple[Case, ...]:
    """The first records of CounterFact as its authors publish it; all of them without a count."""
    return load(f"counterfact={data_folder() / 'counterfact' / 'counterfact_rome_format.json'}").cases[:count]


def open_model(name: str, threads: int) -> TransformersEngine:
    """A model by its name in benchmarks/tools/models.py, or a folder, and how many threads it runs on."""
    import torch

    from benchmarks.tools.models import SOURCES, build

    torch.set_num_threads(threads)
    return TransformersEngine.from_pretrained(
        smollm2_folder() if name == "smollm2-135m" else build(name) if name in SOURCES else Path(name)
    )


def open_method(method: str, engine: TransformersEngine, corpus: Path, extra: str = "") -> Editor:
    """A method by its name and, after a colon, its settings."""
    from scr.encoder import open_encoder

    name, _, option = method.partition(":")
    settings = [option, extra]
    if "statistics" in traits(name).needs and "corpus=" not in option:
        settings.append(f"corpus={corpus}")
    encoder = open_encoder() if not traits(name).changes_weights else None

    def opened() -> Any:
        return encoder

    bench = Workbench(engine, opened, ContextBuilder(count_tokens=engine.count_tokens))
    return open_editor(f"{name}:{';'.join(filter(None, settings))}".rstrip(":"), bench)


def applied(editor: Editor, edits: Sequence[Edit], edited: Edited | None = None) -> tuple[Edited, dict[str, Any]]:
    """The model with the edits at once, on top of earlier ones if there are any, and what it took.

    These are seconds, peak memory in MiB, and the relative change of each matrix that changed. What a method does once
    for a model (contexts, statistics, opening a store) is not in them.
    """
    from torch import device

    with peak(device("cpu")) as held:
        if edited is None:
            edited = editor.apply(edits)
        else:
            edited.add(edits)
        highest = held()
    if not edited.reports:
        return edited, {"seconds": None, "peak_mib": None, "changed": {}}
    report = edited.reports[-1]
    size = report.peak_bytes if editor.traits.changes_weights else highest
    peak_mib = None if size is None else round(size / 2**20, 1)
    return edited, {"seconds": round(report.seconds, 3), "peak_mib": peak_mib, "changed": report.changed}


def measured(case: Case, edited: Edited) -> list[dict[str, Any]]:
    """Each question's mean log-probabilities per token of the new and the old answer, and what is said."""
    (edit,) = case.edits
    asked = [str(question.prompt) for question in case.questions]
    prompts = [one.prompt for one in edited.prepare([Asked(prompt, case.edits) for prompt in asked])]
    pairs = [(prompt, apart(str(prompt), answer)) for prompt in prompts for answer in (edit.target, str(edit.old))]
    scored = edited.engine.score(pairs)  # type: ignore[attr-defined]
    said = edited.engine.generate(prompts, Sampling(max_tokens=_ROOM + max(len(one.logprobs) for one in scored)))
    means = [one.logprob / len(one.logprobs) for one in scored]
    return [
        {
            "figure": FIGURES[question.kind],
            "prompt": prompt,
            "new": round(means[2 * place], 4),
            "old": round(means[2 * place + 1], 4),
            "answer": said[place].text,
        }
        for place, (question, prompt) in enumerate(zip(case.questions, asked, strict=True))
    ]


def perplexity(edited: Edited, text: Path) -> float:
    """Of the beginnings of the first long paragraphs of a text that no method has seen, each given its first words."""
    paragraphs = (line.strip() for line in text.read_text("utf-8").splitlines())
    long = [line for line in paragraphs if len(line) >= _SEEN + _SCORED][:_TEXTS]
    prompts = [one.prompt for one in edited.prepare([Asked(line[:_SEEN]) for line in long])]
    pairs = [(prompt, line[_SEEN : _SEEN + _SCORED]) for prompt, line in zip(prompts, long, strict=True)]
    scored = edited.engine.score(pairs)  # type: ignore[attr-defined]
    return round(exp(-sum(one.logprob for one in scored) / sum(len(one.logprobs) for one in scored)), 3)


def succeeded(figure: str, new: float, old: float) -> bool:
    """P(new) > P(old), and the other way round for a neighbour."""
    return not new > old if figure == "neighbourhood" else new > old


def says(question: Mapping[str, Any], target: str, old: str) -> bool:
    """Whether the answer begins with what it should."""
    wanted = old if question["figure"] == "neighbourhood" else target
    return str(question["answer"]).strip().casefold().startswith(wanted.strip().casefold())


def figures_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without texts: by figure, each question's [new, old, whether it says what it should]; and its costs."""
    found: dict[str, Any] = {name: record.get(name) for name in COSTS}
    for figure in FIGURES.values():
        asked = [one for one in record["questions"] if one["figure"] == figure]
        found[figure] = [[one["new"], one["old"], int(says(one, record["target"], record["old"]))] for one in asked]
    return found


def summary(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over records of each figure with their 95 % intervals, by probability and by what is said; median costs.

    Args:
        records: as ``figures_of`` gives them.
    """
    records = list(records)
    if not records:
        return {"n": 0}
    row: dict[str, Any] = {"n": len(records)}
    for name, values in _shares(records).items():
        row[name] = _mean(values)
    figures = [row[name]["value"] for name in FIGURES.values()]
    row["score"] = round(3 / sum(1 / max(value, 1e-9) for value in figures), 4)
    for name in COSTS:
        values = [record[name] for record in records if record.get(name) is not None]
        row[name] = round(median(values), 2) if values else None
    return row


def compared(records: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By figure, a paired test of one method's records and another's of the same cases, in the same order."""
    mine, theirs = _shares(records), _shares(others)
    return {name: asdict(paired_test(mine[name], theirs[name])) for name in mine}


def _shares(records: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """By figure, of each record the share of its questions that do as they should: by probability, and as said."""
    found: dict[str, list[float]] = {}
    for figure in FIGURES.values():
        asked = [record[figure] for record in records if record[figure]]
        found[figure] = [fmean(succeeded(figure, new, old) for new, old, _ in one) for one in asked]
        found[f"{figure}_said"] = [fmean(said for *_, said in one) for one in asked]
    return found


def _mean(values: Sequence[float]) -> dict[str, float]:
    found = mean_interval(values)
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def record_of(case: Case, questions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """What is written for one case."""
    (edit,) = case.edits
    return {"case": case.id, "target": edit.target, "old": edit.old, **more, "questions": questions}


def read(path: Path) -> dict[str, Any]:
    """A record that was written."""
    return dict(json.loads(path.read_text("utf-8")))


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(f".{os.getpid()}")
    made.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")
    made.replace(path)
