"""How one edited model does on one CounterFact record: the published figures, and what it says when asked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from scr.assets import smollm2_folder
from scr.editors import Edited
from scr.editors.registry import Workbench
from scr.editors.weights.alphaedit import AlphaEdit
from scr.editors.weights.come import Come
from scr.editors.weights.editor import WeightEditor
from scr.editors.weights.ft import FtL, FtM
from scr.editors.weights.kn import Kn
from scr.editors.weights.lora import Lora
from scr.editors.weights.memit import Memit
from scr.editors.weights.rome import Rome, RRome
from scr.engines import Sampling
from scr.engines.transformers import TransformersEngine
from scr.evaluation.cases import Case
from scr.evaluation.datasets import load

METHODS: dict[str, type[WeightEditor[Any]]] = {
    method.traits.name: method for method in (Rome, RRome, Memit, AlphaEdit, Come, FtM, FtL, Lora, Kn)
}
FIGURES = {"reliability": "efficacy", "generalization": "paraphrase", "locality": "neighbourhood"}
ANSWER = Sampling(max_tokens=8)
ROOT = Path(__file__).parents[2]


def data_folder() -> Path:
    """``SCR_DATA``, or ``../shared/data`` beside the checkout."""
    return Path(os.environ.get("SCR_DATA", ROOT.parent / "shared" / "data"))


def cases(count: int) -> tuple[Case, ...]:
    """The first records of CounterFact as its authors publish it."""
    return load(f"counterfact={data_folder() / 'counterfact' / 'counterfact_rome_format.json'}").cases[:count]


def open_model(name: str) -> TransformersEngine:
    """A model by its name in benchmarks/tools/models.py, or a folder."""
    from benchmarks.tools.models import SOURCES, build

    return TransformersEngine.from_pretrained(
        smollm2_folder() if name == "smollm2-135m" else build(name) if name in SOURCES else Path(name)
    )


def open_method(method: str, engine: TransformersEngine, corpus: Path, extra: str = "") -> WeightEditor[Any]:
    """A method by its name and, after a colon, its settings."""
    name, _, option = method.partition(":")
    settings = [option, extra]
    if "statistics" in METHODS[name].traits.needs and "corpus=" not in option:
        settings.append(f"corpus={corpus}")
    return METHODS[name].open(Workbench(engine, _no_encoder), ";".join(filter(None, settings)))


def _no_encoder() -> Any:
    raise RuntimeError("weight editors need no encoder")


def measured(case: Case, edited: Edited) -> list[dict[str, Any]]:
    """Each question's mean log-probabilities per token of the new and the old answer, and what is said."""
    (edit,) = case.edits
    engine = edited.engine
    prompts = [str(question.prompt) for question in case.questions]
    scored = engine.score([(prompt, answer) for prompt in prompts for answer in (edit.target, str(edit.old))])
    said = engine.generate(prompts, ANSWER)
    means = [one.logprob / len(one.logprobs) for one in scored]
    return [
        {
            "figure": FIGURES[question.kind],
            "prompt": prompt,
            "new": round(means[2 * place], 4),
            "old": round(means[2 * place + 1], 4),
            "answer": said[place].text,
        }
        for place, (question, prompt) in enumerate(zip(case.questions, prompts, strict=True))
    ]


def succeeded(question: Mapping[str, Any]) -> bool:
    """P(new) > P(old), and the other way round for a neighbour."""
    new = question["new"] > question["old"]
    return not new if question["figure"] == "neighbourhood" else new


def says(question: Mapping[str, Any], target: str, old: str) -> bool:
    """Whether the answer begins with what it should."""
    wanted = old if question["figure"] == "neighbourhood" else target
    return str(question["answer"]).strip().casefold().startswith(wanted.strip().casefold())


def summary(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over records of each figure, by probability and by what is said."""
    records = list(records)
    if not records:
        return {"n": 0}
    row: dict[str, Any] = {"n": len(records)}
    for figure in FIGURES.values():
        by_record = [[one for one in record["questions"] if one["figure"] == figure] for record in records]
        row[figure] = _mean([[succeeded(one) for one in found] for found in by_record])
        row[f"{figure}_said"] = _mean(
            [
                [says(one, record["target"], record["old"]) for one in found]
                for record, found in zip(records, by_record, strict=True)
            ]
        )
    figures = [row[name] for name in FIGURES.values()]
    row["score"] = round(3 / sum(1 / max(value, 1e-9) for value in figures), 4)
    for name in ("seconds", "peak_mib"):
        values = [record[name] for record in records if record.get(name) is not None]
        row[name] = round(fmean(values), 2) if values else None
    return row


def _mean(records: Sequence[Sequence[bool]]) -> float:
    return round(fmean(fmean(found) for found in records if found), 4)


def record_of(case: Case, questions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """What is written for one case."""
    (edit,) = case.edits
    return {"case": case.id, "target": edit.target, "old": edit.old, **more, "questions": questions}


def mib(size: int | None) -> float | None:
    """Bytes in MiB."""
    return None if size is None else round(size / 2**20, 1)


def read_all(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of a folder, by name."""
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".new")
    made.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", "utf-8")
    made.replace(path)
