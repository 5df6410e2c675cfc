"""A run folder with invented facts, as `scr eval` leaves one, for tests of what reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scr.editors import Considered
from scr.evaluation.results import After, Answered, CaseResult, Forced, Results, Row, RowKey
from scr.evaluation.scores import scope, scores

NASTY = (
    "</script><script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "\"double\" 'single' `back` & < > \\ \u2028 \u2029",
    "مرحبا بالعالم هذا نص من اليمين إلى اليسار",
    "Who is 👩🏽‍🚀 of the 🛰️ crew?",
    "<!-- ]]> {{ 7 * 7 }} {% raw %} $E=mc^2$",
    "very long " * 4_000,
    "unbroken" * 400,
    "half a pair \ud800",
    "",
)
METHODS = ("bare", "oracle", "rag", "ike", "scr", "scr:cosine", "ft-l")
_SKILL = {"bare": 0.05, "oracle": 0.93, "rag": 0.8, "ike": 0.85, "scr": 0.92, "scr:cosine": 0.75, "ft-l": 0.6}
_TOWNS = ("Varnhem", "Ostrakova", "Little Quill", "Peshtara", "Noorwick", "Calder Bay")
_SUBS = {"reliability": [""], "generalization": [""], "portability": ["reasoning", "subject_aliasing"],
         "locality": ["relation_specificity", "forgetfulness"]}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """How large a run is."""

    datasets: Sequence[str] = ("river-towns", "guild masters")
    models: Sequence[str] = ("tiny-135m", "coder/0.5b")
    methods: Sequence[str] = METHODS
    edits: Sequence[int] = (1, 10, 100)
    cases: int = 12
    nasty: bool = True


def make_run(run: Path, shape: Shape | None = None, seed: int = 0) -> Path:
    """Write a run; the same shape and seed give the same files."""
    shape = shape or Shape()
    rows: list[Row] = []
    for dataset in shape.datasets:
        for model in shape.models:
            for method in shape.methods:
                for edits in shape.edits:
                    key = RowKey(dataset, model, method, edits)
                    cases = make_cases(key, shape, seed)
                    write_cases(run, key, cases)
                    rows += [make_row(key, split, cases) for split in ("raw", "clean")]
    write_results(run, rows)
    return run


def write_results(run: Path, rows: Sequence[Row], **fields: Any) -> None:
    run.mkdir(parents=True, exist_ok=True)
    made = {"commit": "0123abc", "time": "2031-02-03T04:05:06Z", "hardware": {"cpu": "2 cores", "gpu": None},
            "versions": {"scr-edit": "0.1", "torch": "2.13.0"}}  # fmt: skip
    parameters = {"dataset": ["river-towns"], "limit": 12, "seed": 0, "judge": None, "sequential": False}
    lint = {"river-towns": {"contradicted": 4, "alias_too_short": 1}, "guild masters": {"contradicted": 2}}
    results = Results(**{"parameters": parameters, "rows": tuple(rows), "made": made, "lint": lint, **fields})
    (run / "results.json").write_text(json.dumps(results.to_json()), encoding="utf-8")


def write_cases(run: Path, key: RowKey, cases: Iterable[CaseResult]) -> None:
    folder = key.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        (folder / f"{case.case}.json").write_text(json.dumps(case.to_json()), encoding="utf-8")


def make_cases(key: RowKey, shape: Shape, seed: int) -> list[CaseResult]:
    return [make_case(key, number, shape.nasty, seed) for number in range(shape.cases)]


def make_case(key: RowKey, number: int, nasty: bool, seed: int) -> CaseResult:
    dice = random.Random(f"{key} {number} {seed}")
    town = _TOWNS[number % len(_TOWNS)]
    river = f"River {town} {number}"
    fact = f"The mouth of {river} lies at {town}."
    skill = _SKILL.get(key.method, 0.5) - (0.15 * len(str(key.edits)) if key.method == "ft-l" else 0)
    words = (river, town, fact)
    answered = [_answered(key, dice, kind, sub, words, skill) for kind, subs in _SUBS.items() for sub in subs]
    if nasty:
        answered = [_nasty(one, NASTY[(number + at) % len(NASTY)]) for at, one in enumerate(answered)]
    fluency = 5.5 + dice.random() if key.method == "ft-l" else None
    return CaseResult(f"{key.dataset.replace(' ', '_')}-{number:05}", (fact,), tuple(answered), 0.01, fluency)


def _answered(
    key: RowKey, dice: random.Random, kind: str, sub: str, words: tuple[str, str, str], skill: float
) -> Answered:
    river, town, fact = words
    local = kind == "locality"
    right = dice.random() < (0.4 if local else skill)
    bare = f"I believe it is {dice.choice(_TOWNS)}, as far as anyone knows."
    answer = f"It is {town}, by the old harbour." if right else "It is in Nowhere-on-Sea."
    shows = key.method in ("oracle", "rag", "ike", "scr", "scr:cosine")
    fires = key.method in ("rag", "ike") or (key.method == "scr:cosine" and dice.random() < 0.3)
    shown: tuple[str, ...] = ()
    if shows and (fires if local else dice.random() < 0.97):
        shown = (fact,) if not local and dice.random() < 0.95 else ("The bell of Ostrakova was cast in 1411.",)
    kept = not shown and key.method != "ft-l"
    if local and kept:
        answer = bare
    considered = tuple(
        Considered(text, high if text in shown else low, 0.5, text in shown)
        for text, high, low in ((fact, 0.97, 0.31), ("The bell of Ostrakova was cast in 1411.", 0.88, 0.12))
    ) if shows and key.method != "oracle" else ()  # fmt: skip
    prompt = f"Which place lies at the mouth of {river}? ({kind} {sub})"
    turns = (
        [{"role": "system", "content": f"Facts:\n{shown[0]}"}, {"role": "user", "content": prompt}] if shown else None
    )
    after = After(answer, right, right, (answer == bare) if local else None) if key.method == "ft-l" else None
    return Answered(
        prompt, kind, sub, (town, f"{town} town"), answer, bare, shown, considered, turns,  # type: ignore[arg-type]
        exact=right and dice.random() < 0.6, contains=right, preserved=(answer == bare) if local else None,
        finish_reason="stop" if dice.random() < 0.9 else "length",
        flaws=("contradicted",) if dice.random() < 0.08 else (), after=after,
        forced=Forced(0.5, -3.25, -4.5) if key.method == "ft-l" and not local else None,
    )  # fmt: skip


def _nasty(one: Answered, text: str) -> Answered:
    from dataclasses import replace

    bare = f"{one.bare} {text}" if one.bare == one.answer else one.bare
    return replace(one, prompt=f"{one.prompt} {text}"[:3_000], answer=f"{one.answer} {text}", bare=bare)


def make_row(key: RowKey, split: str, cases: Sequence[CaseResult]) -> Row:
    cost: dict[str, float | None] = {
        "seconds_per_edit": 0.0123,
        "added_ms_per_query": {"oracle": 1.5, "ft-l": None}.get(key.method, 20.0 + 3 * len(key.method)),
        "peak_bytes": None,
    }
    cost = {} if key.method == "bare" else cost
    figures = scores(cases, split)  # type: ignore[arg-type]
    return Row(
        key.dataset,
        key.model,
        key.method,
        key.edits,
        split,
        figures,
        scope(cases, split),
        {**cost, "model_calls_per_query": 1.0},
    )  # type: ignore[arg-type]
