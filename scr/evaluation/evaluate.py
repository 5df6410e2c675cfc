"""`scr eval`: every method on every data set with every model, under one scorer, into one folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scr.context import ContextBuilder
from scr.editors import Edited
from scr.editors.registry import Workbench, names, open_editor
from scr.engines import Engine
from scr.errors import UsageError
from scr.evaluation.cost import Cost, added_ms, per_edit
from scr.evaluation.datasets import Loaded
from scr.evaluation.environment import environment
from scr.evaluation.lint import Finding, counts, defects, findings
from scr.evaluation.plan import BASELINES, Model, Plan, check_plan, check_run, check_source, identity, opened
from scr.evaluation.recording import Recorder, look_again
from scr.evaluation.remembered import Remembered
from scr.evaluation.results import CaseResult, Results, Row, RowKey, Split, Unanswered, read_cases, slug
from scr.evaluation.runner import RowRunner
from scr.evaluation.scores import scope, scores
from scr.evaluation.settings import commits, note_commit, opened_run, write_whole
from scr.lines import as_json

_ROW = ".row.json"
_SPLITS: tuple[Split, ...] = ("raw", "clean")

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


def evaluate(plan: Plan, run: Path, progress: Progress) -> Results:
    """Run what is missing of the plan, and write the results of everything that the folder holds.

    Raises:
        UsageError: the plan or the folder is wrong; nothing has been done then.
        ScrError: the work failed; what was done is kept, and the same call goes on with it.
    """
    check_plan(plan)
    with opened_run(run, plan.settings, identity(plan)):
        check_run(run, plan)
        note_commit(run)
        lint = {loaded.name: findings(loaded.cases) for loaded in plan.datasets}
        for model in plan.models:
            with closing(opened(plan, model)) as engine:
                check_source(run, model, engine.model)
                _with_model(plan, run, model, engine, lint, progress)
        for loaded in plan.datasets:
            flaws = defects(loaded.cases, lint[loaded.name])
            for key in _keys(run):
                if key.dataset == loaded.name:
                    look_again(key.folder(run), flaws)
        return write_results(run, plan, lint)


def _with_model(
    plan: Plan, run: Path, model: Model, engine: Engine, lint: dict[str, list[Finding]], progress: Progress
) -> None:
    with closing(Remembered(engine, run / "answers" / f"{slug(engine.model)}.jsonl")) as remembered:
        context = ContextBuilder(plan.prompts, count_tokens=engine.count_tokens)
        bench = Workbench(remembered, plan.encoder, context, model.name, plan.settings.k)
        timing = Workbench(engine, plan.encoder, context, model.name, plan.settings.k)
        for loaded in plan.datasets:
            for size in plan.sizes(len(loaded.cases)):
                for method in plan.every_method:
                    key = RowKey(loaded.name, engine.model, method, size)
                    _row(plan, run, key, loaded, lint[loaded.name], bench, timing, progress)


def _row(
    plan: Plan,
    run: Path,
    key: RowKey,
    loaded: Loaded,
    lint: Sequence[Finding],
    bench: Workbench,
    timing: Workbench,
    progress: Progress,
) -> None:
    """Run what is missing of a row, and name it beside its cases: a folder's name is not always the row's."""
    path = key.folder(run).with_name(f"{key.edits}{_ROW}")
    record = _row_record(path) if path.exists() else {"key": asdict(key), "cost": {}}
    bare = None
    if key.method != BASELINES[0]:
        first = RowKey(key.dataset, key.model, BASELINES[0], key.edits)
        bare = {one.prompt: one.answer for case in read_cases(run, first) for one in case.answered}
    asked = plan.settings.asked(len(loaded.cases))
    total = sum(len(loaded.cases[place].questions) for place in asked)
    label = f"{key.method} · {key.dataset} · {key.edits} edits · {Path(key.model).name}"
    timer = _Timer(plan, key, loaded, timing) if plan.timed and bare is not None and not record["cost"] else None
    with progress(label, total) as advance:
        recorder = Recorder(plan.settings, loaded.cases, defects(loaded.cases, lint), bare, key.folder(run))
        runner = RowRunner(plan.settings, loaded.cases, recorder, advance)
        runner.run(open_editor(key.method, bench), key.edits, timer.watch if timer else None)
    if timer:
        record["cost"] = asdict(timer.cost(list(read_cases(run, key))))
    write_document(path, record)


class _Timer:
    """Measures what a row costs: a change of weights while it is there anyway, what is quickly made once more after."""

    def __init__(self, plan: Plan, key: RowKey, loaded: Loaded, bench: Workbench) -> None:
        self._plan, self._key, self._bench = plan, key, bench
        self._cases = loaded.cases[: key.edits]
        self._added: list[float | None] = []

    def watch(self, edited: Edited) -> None:
        """Time questions of the first group with its edits in force."""
        plan = self._plan
        self._added = [added_ms(edited, self._bench.engine, self._cases, plan.settings, plan.timed)]

    def cost(self, done: Sequence[CaseResult]) -> Cost:
        """Of the row, whose cases are all done."""
        if not self._added:
            editor = open_editor(self._key.method, self._bench)
            with editor.apply([edit for case in self._cases for edit in case.edits]) as edited:
                self.watch(edited)
        return Cost(per_edit(done), self._added[0], max((one.peak_bytes or 0 for one in done), default=0) or None)


def _row_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"key": asdict(RowKey(**record["key"])), "cost": dict(record["cost"])}
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is damaged: delete it and run the same command again, which makes it anew") from None


def write_results(run: Path, plan: Plan, lint: dict[str, list[Finding]]) -> Results:
    """Score every row of the folder, and write ``results.json``."""
    counted = {loaded.name: counts(loaded.cases, lint[loaded.name]) for loaded in plan.datasets}
    found = sorted(_rows(run), key=lambda pair: _place(pair[0]))
    rows = tuple(row for row, _ in found)
    errors = tuple(one for row, unanswered in found if row.split == "raw" for one in unanswered)
    earlier = Results({}, ())
    with suppress(UsageError):  # none yet, or damaged: it is made of the cases
        earlier = Results.read(run)
    data = {loaded.name: loaded.provenance() for loaded in plan.datasets}
    parameters = {
        **asdict(plan.settings),
        "datasets": sorted({row.dataset for row in rows}),
        "models": sorted({row.model for row in rows}),
        "methods": list(dict.fromkeys(row.method for row in rows)),
        "edits": sorted({row.edits for row in rows}),
        "data": {**earlier.parameters.get("data", {}), **data},
    }
    made = {**environment(), "commits": commits(run)}
    results = Results(parameters, rows, made, {**earlier.lint, **counted}, errors)
    write_document(run / "results.json", results.to_json())
    return results


def _row_files(run: Path) -> list[Path]:
    return sorted(run.glob(f"cases/*/*/*/*{_ROW}"))


def _keys(run: Path) -> list[RowKey]:
    return [RowKey(**_row_record(path)["key"]) for path in _row_files(run)]


def _rows(run: Path) -> Iterator[tuple[Row, list[Unanswered]]]:
    """Every row that the folder holds, raw and clean, with its questions that got no answer."""
    for path in _row_files(run):
        record = _row_record(path)
        key = RowKey(**record["key"])
        cases = list(read_cases(run, key))
        asked = [one.calls for case in cases for one in case.answered]
        cost = {**record["cost"], "model_calls_per_query": sum(asked) / max(len(asked), 1)}
        unanswered = [
            (Unanswered(**asdict(key), case=case.case, question=place, error=one.error), bool(one.flaws))
            for case in cases
            for place, one in enumerate(case.answered)
            if one.error is not None
        ]
        for split in _SPLITS:
            errors = [one for one, flawed in unanswered if split == "raw" or not flawed]
            row = Row(**asdict(key), split=split, scores=scores(cases, split), scope=scope(cases, split), cost=cost)
            yield replace(row, errors=len(errors)), errors


def _place(row: Row) -> tuple[object, ...]:
    method = row.method.partition(":")[0]
    order = names().index(method) if method in names() else len(names())
    return row.dataset, row.model, row.edits, order, row.method, row.split != "raw"


def write_document(path: Path, document: object) -> None:
    """Write JSON aside and rename it, so that a kill leaves no half of it."""
    write_whole(path, as_json(document, 1) + "\n")
