"""What `scr eval` is to run, and everything that can be said against it before any work is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import xxhash

from scr.assets import cache_folder
from scr.context import ContextBuilder
from scr.editors.registry import Workbench, open_editor, traits
from scr.encoder import Encoder
from scr.engines import Engine
from scr.errors import UsageError
from scr.evaluation.datasets import Loaded
from scr.evaluation.results import slug
from scr.evaluation.settings import Settings, check_contents, claim
from scr.scope.cross_encoder import SHIPPED
from scr.scope.network import EXITS

BASELINES = ("bare", "oracle")
"""Rows that every table has, first."""

_TIMED = 20


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


def check_plan(plan: Plan) -> None:
    """Refuse what cannot be run, whatever the folder.

    Raises:
        UsageError: names that cannot be told apart, or a method that lacks what it needs.
        ScrError: a model cannot be opened.
    """
    called = [slug(loaded.name).lower() for loaded in plan.datasets]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise UsageError(f"two data sets are called {twice}: give one of them as a file of another name")
    for method in plan.every_method:
        _check_method(method, plan)
    _check_models(plan)


def check_run(run: Path, plan: Plan) -> None:
    """Refuse a folder with answers to other records, or of other inputs, of the same names.

    Raises:
        UsageError: it has such answers.
    """
    for loaded in plan.datasets:
        _check_records(run, loaded)
    _check_inputs(run, plan)


def check_source(run: Path, model: Model, name: str) -> None:
    """Refuse another model of a name that the run has answers of: they would be taken for this one's.

    Raises:
        UsageError: it has such answers.
    """
    folder = Path(model.name).expanduser().absolute() if model.name else None
    own = folder and folder.is_dir() and not folder.is_relative_to(cache_folder())  # the model that ships lies there
    source = str(folder) if own else name
    note = run / "answers" / f"{slug(name)}.source"
    if (earlier := claim(note, source)) is not None:
        raise UsageError(f"{run} has answers of another model called {name} ({earlier}): choose another -o")
    if folder and own:
        check_contents(run, f"model {name}", folder, "*", f"cases/*/{slug(name)}")


def opened(plan: Plan, model: Model) -> Engine:
    """A model's engine, with which every method has been opened once: what is wrong is said before any work.

    Raises:
        UsageError: a method, its option or its template is wrong.
        ScrError: the model or a classifier cannot be opened.
    """
    engine = model.open()
    try:
        for method in plan.every_method:
            open_editor(method, Workbench(engine, plan.encoder, ContextBuilder(plan.prompts), model.name))
    except BaseException:
        engine.close()
        raise
    return engine


def identity(plan: Plan) -> dict[str, str | None]:
    """What answers depend on besides the settings: the classifier that ships, templates and encoder."""
    parts = ((SHIPPED / name).read_bytes() for name in ("model.safetensors", "config.json"))
    return {
        "scope_weights": xxhash.xxh64_hexdigest(b"".join(parts)),
        "prompts": ContextBuilder(plan.prompts).fingerprint(),
        "encoder": plan.encoder_name,
    }


def _check_models(plan: Plan) -> None:
    """Open each of several models once, and refuse two whose rows could not be told apart."""
    called: list[str] = []
    for model in plan.models if len(plan.models) > 1 else ():
        with closing(opened(plan, model)) as engine:
            if engine.model in called:
                raise UsageError(f"two models are called {engine.model}: rename the folder of one of them")
            called.append(engine.model)


def _check_method(method: str, plan: Plan) -> None:
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
        option = method.partition(":")[2]
        named = [option, *option.split(";"), *_options(method).values(), _corpus(method) or ""]
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
