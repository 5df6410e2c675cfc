"""`scr eval`: every method on every data set with every model, under one scorer, into one folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from scr.assets import cache_folder
from scr.context import ContextBuilder
from scr.editors.registry import Workbench, names, open_editor, traits
from scr.encoder import Encoder
from scr.engines import Engine
from scr.errors import UsageError
from scr.evaluation.cost import measure
from scr.evaluation.datasets import Loaded
from scr.evaluation.environment import environment
from scr.evaluation.lint import Finding, counts, defects, findings
from scr.evaluation.remembered import Remembered
from scr.evaluation.results import Results, Row, RowKey, Split, read_cases, slug
from scr.evaluation.runner import RowRunner
from scr.evaluation.scores import scope, scores
from scr.evaluation.settings import Settings, opened_run
from scr.lines import as_json
from scr.scope.cross_encoder import SHIPPED

BASELINES = ("bare", "oracle")
"""Rows that every table has, first."""

_TIMED = 20
_ROW = ".row.json"
_SPLITS: tuple[Split, ...] = ("raw", "clean")

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, slots=True)
class Model:
    """A model to evaluate.

    Attributes:
        name: folder, hub id or served name; None is the shipped one, or the only one that is served.
        open: opens its engine.
    """

    name: str | None
    open: Callable[[], Engine]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Attributes:
        datasets: loaded.
        methods: names, with their options; the baselines are added.
        models: each evaluated in turn.
        edits: how many records are edited at once; None is all of a data set.
        settings: what all rows share.
        encoder: opens the text encoder.
        prompts: folder with templates of the user's own.
        encoder_name: of the encoder; None is the shipped one.
        timed: questions to time for the cost of a row; 0 leaves it out.
    """

    datasets: Sequence[Loaded]
    methods: Sequence[str]
    models: Sequence[Model]
    edits: Sequence[int | None]
    settings: Settings
    encoder: Callable[[], Encoder]
    prompts: Path | None = None
    encoder_name: str | None = None
    timed: int = _TIMED

    @property
    def every_method(self) -> tuple[str, ...]:
        """The methods with the baselines before them, each once."""
        return tuple(dict.fromkeys([*BASELINES, *self.methods]))

    def sizes(self, cases: int) -> tuple[int, ...]:
        """How many records are edited at once, where there are so many cases."""
        return tuple(sorted({min(size or cases, cases) for size in self.edits}))


def evaluate(plan: Plan, run: Path, progress: Progress) -> Results:
    """Run what is missing of the plan, and write the results of everything that the folder holds.

    Raises:
        UsageError: the plan or the folder is wrong; nothing has been done then.
        ScrError: the work failed; what was done is kept, and the same call goes on with it.
    """
    names_of = [slug(loaded.name).lower() for loaded in plan.datasets]
    if twice := next((name for name in names_of if names_of.count(name) > 1), None):
        raise UsageError(f"two data sets are called {twice}: give one of them as a file of another name")
    for method in plan.every_method:
        _check(method, plan)
    _check_models(plan)
    with opened_run(run, plan.settings, _identity(plan)):
        for loaded in plan.datasets:
            _check_records(run, loaded)
        lint = {loaded.name: findings(loaded.cases) for loaded in plan.datasets}
        for model in plan.models:
            with closing(_opened(plan, model)) as engine:
                _check_source(run, model, engine.model)
                _with_model(plan, run, model, engine, lint, progress)
        return write_results(run, plan, lint)


def _check_models(plan: Plan) -> None:
    """Open each of several models once, and refuse two whose rows could not be told apart."""
    called: list[str] = []
    for model in plan.models if len(plan.models) > 1 else ():
        with closing(_opened(plan, model)) as engine:
            if engine.model in called:
                raise UsageError(f"two models are called {engine.model}: rename the folder of one of them")
            called.append(engine.model)


def _check_source(run: Path, model: Model, name: str) -> None:
    """Refuse another model of a name that the run has answers of: they would be taken for this one's."""
    folder = Path(model.name).expanduser().absolute() if model.name else None
    own = folder and folder.is_dir() and not folder.is_relative_to(cache_folder())  # the model that ships lies there
    source = str(folder) if own else name
    note = run / "answers" / f"{slug(name)}.source"
    if (earlier := _claim(note, source)) is not None:
        raise UsageError(f"{run} has answers of another model called {name} ({earlier}): choose another -o")


def _check_records(run: Path, loaded: Loaded) -> None:
    """Refuse other records of a name that the run has answers to: its cases would be taken for theirs."""
    records = repr((loaded.name, loaded.cases)).encode("utf-8", "surrogatepass")
    if _claim(run / "datasets" / slug(loaded.name).lower(), xxhash.xxh128_hexdigest(records)) is not None:
        raise UsageError(
            f"{run} has answers to other records called {loaded.name}: choose another -o, or name them anew"
        )


def _claim(note: Path, identity: str) -> str | None:
    """Note what a name stands for in the run; if it stands for something else already, return that."""
    if note.exists():
        earlier = note.read_text(encoding="utf-8", errors="surrogateescape")
        return None if earlier == identity else earlier
    note.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(note, identity)
    return None


def _opened(plan: Plan, model: Model) -> Engine:
    """A model's engine, with which every method has been opened once: what is wrong is said before any work."""
    engine = model.open()
    try:
        for method in plan.every_method:
            open_editor(method, Workbench(engine, plan.encoder, model=model.name))
    except BaseException:
        engine.close()
        raise
    return engine


def _check(method: str, plan: Plan) -> None:
    name = method.partition(":")[0]
    known = traits(name)
    if "subject" in known.needs:
        for loaded in plan.datasets:
            lacking = next((case.id for case in loaded.cases for edit in case.edits if not edit.subject), None)
            if lacking:
                raise UsageError(
                    f"{name} needs a subject, and record {lacking} of {loaded.name} has none: leave it out"
                )
    if not known.batch and not plan.settings.one_by_one and any(size != 1 for size in plan.edits):
        raise UsageError(f"{name} takes one edit at a time: use --edits 1 or --one-by-one")


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
                    _row(plan, run, key, loaded, lint[loaded.name], bench, progress)
                    _time(plan, run, key, loaded, timing)


def _row(
    plan: Plan,
    run: Path,
    key: RowKey,
    loaded: Loaded,
    lint: Sequence[Finding],
    bench: Workbench,
    progress: Progress,
) -> None:
    bare = None
    if key.method != BASELINES[0]:
        first = RowKey(key.dataset, key.model, BASELINES[0], key.edits)
        bare = {one.prompt: one.answer for case in read_cases(run, first) for one in case.answered}
    asked = plan.settings.asked(len(loaded.cases))
    total = sum(len(loaded.cases[place].questions) for place in asked)
    label = f"{key.method} · {key.dataset} · {key.edits} edits · {Path(key.model).name}"
    with progress(label, total) as advance:
        runner = RowRunner(plan.settings, loaded.cases, defects(loaded.cases, lint), bare, key.folder(run), advance)
        runner.run(open_editor(key.method, bench), key.edits)


def _time(plan: Plan, run: Path, key: RowKey, loaded: Loaded, bench: Workbench) -> None:
    """Measure what the row costs, and name it beside its cases: a folder's name is not always the row's."""
    path = key.folder(run).with_name(f"{key.edits}{_ROW}")
    record = _row_record(path) if path.exists() else {"key": asdict(key), "cost": {}}
    if not record["cost"] and plan.timed and key.method != BASELINES[0]:
        editor = open_editor(key.method, bench)
        cost = measure(editor, bench.engine, loaded.cases, plan.settings, key.edits, plan.timed)
        record["cost"] = asdict(cost)
    write_document(path, record)


def _row_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {"key": asdict(RowKey(**record["key"])), "cost": dict(record["cost"])}
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is damaged: delete it and run the same command again, which makes it anew") from None


def write_results(run: Path, plan: Plan, lint: dict[str, list[Finding]]) -> Results:
    """Score every row of the folder, and write ``results.json``."""
    counted = {loaded.name: counts(loaded.cases, lint[loaded.name]) for loaded in plan.datasets}
    rows = tuple(sorted(_rows(run), key=_place))
    parameters = {
        **asdict(plan.settings),
        "datasets": sorted({row.dataset for row in rows}),
        "models": sorted({row.model for row in rows}),
        "methods": list(dict.fromkeys(row.method for row in rows)),
        "edits": sorted({row.edits for row in rows}),
    }
    earlier: dict[str, dict[str, int]] = {}
    with suppress(UsageError):  # none yet, or damaged: it is made of the cases
        earlier = Results.read(run).lint
    results = Results(parameters, rows, environment(), {**earlier, **counted})
    write_document(run / "results.json", results.to_json())
    return results


def _rows(run: Path) -> Iterator[Row]:
    """Every row that the folder holds, raw and clean."""
    for path in sorted(run.glob(f"cases/*/*/*/*{_ROW}")):
        record = _row_record(path)
        key = RowKey(**record["key"])
        cases = list(read_cases(run, key))
        asked = [one.calls for case in cases for one in case.answered]
        cost = {**record["cost"], "model_calls_per_query": sum(asked) / max(len(asked), 1)}
        for split in _SPLITS:
            yield Row(**asdict(key), split=split, scores=scores(cases, split), scope=scope(cases, split), cost=cost)


def _place(row: Row) -> tuple[object, ...]:
    method = row.method.partition(":")[0]
    order = names().index(method) if method in names() else len(names())
    return row.dataset, row.model, row.edits, order, row.method, row.split != "raw"


def write_document(path: Path, document: object) -> None:
    """Write JSON aside and rename it, so that a kill leaves no half of it."""
    _write_whole(path, as_json(document, 1) + "\n")


def _write_whole(path: Path, text: str) -> None:
    aside = path.with_suffix(".part")
    aside.write_text(text, encoding="utf-8", errors="surrogateescape")
    aside.replace(path)


def _identity(plan: Plan) -> dict[str, str | None]:
    """What answers depend on besides the settings: the classifier that ships, templates and encoder."""
    parts = ((SHIPPED / name).read_bytes() for name in ("model.safetensors", "config.json"))
    return {
        "scope_weights": xxhash.xxh64_hexdigest(b"".join(parts)),
        "prompts": ContextBuilder(plan.prompts).fingerprint(),
        "encoder": plan.encoder_name,
    }
