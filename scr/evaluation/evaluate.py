"""`scr eval`: every method on every data set with every model, under one scorer, into one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from scr.assets import cache_folder
from scr.context import ContextBuilder
from scr.editors import Edited
from scr.editors.registry import Workbench, names, open_editor, traits
from scr.encoder import Encoder
from scr.engines import Engine
from scr.errors import UsageError
from scr.evaluation.cost import Cost, added_ms, per_edit
from scr.evaluation.datasets import Loaded
from scr.evaluation.environment import environment
from scr.evaluation.lint import Finding, counts, defects, findings
from scr.evaluation.remembered import Remembered
from scr.evaluation.results import CaseResult, Results, Row, RowKey, Split, Unanswered, read_cases, slug
from scr.evaluation.runner import RowRunner
from scr.evaluation.scores import scope, scores
from scr.evaluation.settings import Settings, check_contents, claim, commits, note_commit, opened_run, write_whole
from scr.lines import as_json
from scr.scope.cross_encoder import SHIPPED
from scr.scope.network import EXITS

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
        _check_inputs(run, plan)
        note_commit(run)
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
    if (earlier := claim(note, source)) is not None:
        raise UsageError(f"{run} has answers of another model called {name} ({earlier}): choose another -o")
    if folder and own:
        check_contents(run, f"model {name}", folder, "*", f"cases/*/{slug(name)}")


def _check_records(run: Path, loaded: Loaded) -> None:
    """Refuse other records of a name that the run has answers to: its cases would be taken for theirs."""
    records = repr((loaded.name, loaded.cases)).encode("utf-8", "surrogatepass")
    if claim(run / "datasets" / slug(loaded.name).lower(), xxhash.xxh128_hexdigest(records)) is not None:
        raise UsageError(
            f"{run} has answers to other records called {loaded.name}: choose another -o, or name them anew"
        )


def _check_inputs(run: Path, plan: Plan) -> None:
    """Refuse other contents of what answers depend on and is known by its name alone."""
    check_contents(run, "exits", SHIPPED / EXITS)
    if plan.encoder_name and (folder := Path(plan.encoder_name).expanduser()).is_dir():
        check_contents(run, "encoder", folder)
    for method in plan.every_method:
        named = [method.partition(":")[2], *_options(method).values(), _corpus(method) or ""]
        for number, path in enumerate(dict.fromkeys(path for one in named if (path := _input(one)))):
            check_contents(run, f"{method} {number}", path, "*", f"cases/*/*/{slug(method)}")


def _input(name: str) -> Path | None:
    """A file, or the folder of a model, where an option names one."""
    with suppress(OSError, RuntimeError):  # too long for a file's name, or nobody's home folder
        path = Path(name).expanduser()
        return path if path.is_file() or (path / "config.json").is_file() else None
    return None


def _options(method: str) -> dict[str, str]:
    """The settings of a method that is given as ``name:setting=value;setting=value``."""
    pairs = (part.partition("=") for part in method.partition(":")[2].split(";"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _corpus(method: str) -> str | None:
    """The text that a method takes its statistics from; None where it takes none, or none is named."""
    if "statistics" not in traits(method.partition(":")[0]).needs:
        return None
    return _options(method).get("corpus") or os.environ.get("SCR_CORPUS")


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
    several = any(size != 1 for size in plan.edits)
    if not known.batch and not plan.settings.one_by_one and several:
        raise UsageError(f"{name} takes one edit at a time: use --edits 1{' or --one-by-one' * known.sequential}")
    if not known.sequential and plan.settings.one_by_one and several:
        raise UsageError(f"{name} takes no further edits on top of earlier ones: use --edits 1")
    if "statistics" in known.needs and _options(method).get("covariance", "").lower() != "false":
        _check_corpus(name, _corpus(method))


def _check_corpus(name: str, corpus: str | None) -> None:
    if not corpus:
        raise UsageError(
            f"{name} needs a text to take the model's usual keys from: name a file in SCR_CORPUS, "
            f"or as --method '{name}:corpus=FILE'"
        )
    if not Path(corpus).expanduser().is_file():
        raise UsageError(f"there is no text file {corpus} for {name} to take the model's usual keys from: correct it")


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
        runner = RowRunner(plan.settings, loaded.cases, defects(loaded.cases, lint), bare, key.folder(run), advance)
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


def _rows(run: Path) -> Iterator[tuple[Row, list[Unanswered]]]:
    """Every row that the folder holds, raw and clean, with its questions that got no answer."""
    for path in sorted(run.glob(f"cases/*/*/*/*{_ROW}")):
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


def _identity(plan: Plan) -> dict[str, str | None]:
    """What answers depend on besides the settings: the classifier that ships, templates and encoder."""
    parts = ((SHIPPED / name).read_bytes() for name in ("model.safetensors", "config.json"))
    return {
        "scope_weights": xxhash.xxh64_hexdigest(b"".join(parts)),
        "prompts": ContextBuilder(plan.prompts).fingerprint(),
        "encoder": plan.encoder_name,
    }
