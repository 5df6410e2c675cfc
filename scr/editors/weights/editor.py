"""What all weight editors have in common: check, apply whole or not at all, report, take back."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeAlias, TypeVar
from weakref import WeakSet

from scr.editors import Asked, Edit, EditReport, Prepared, Traits
from scr.editors.weights.algebra import Factor, OfMoments
from scr.editors.weights.delta import Delta, load_deltas, save_deltas
from scr.editors.weights.export import export
from scr.editors.weights.hooks import still
from scr.editors.weights.host import Host
from scr.editors.weights.memory import peak
from scr.editors.weights.moments import fingerprint
from scr.editors.weights.options import configured
from scr.editors.weights.patch import Patch
from scr.editors.weights.requests import Request, check
from scr.engines import Engine
from scr.errors import EditError

if TYPE_CHECKING:
    from scr.editors.registry import Workbench

Config = TypeVar("Config")

Update: TypeAlias = "Callable[[Sequence[Request], Patch], None]"
"""Adds the deltas of some edits to a patch; may keep what later edits of the same model need to know."""

# Models that carry edits at this moment: statistics and contexts taken of one of them would be wrong.
_CARRYING: WeakSet[object] = WeakSet()


class WeightEdited:
    """A model whose weights are changed in place; leaving it as a context manager restores them, bit for bit."""

    def __init__(self, engine: Engine, host: Host, patch: Patch, traits: Traits, update: Update | None) -> None:
        """Take a patch of a host; without an update no further edits can be applied."""
        if host.network in _CARRYING:
            raise EditError(f"{host.name} carries edits already: leave those first, or load the model once more")
        self._host, self._patch, self._traits, self._update = host, patch, traits, update
        self.engine = engine
        self.reports: list[EditReport] = []
        self._base, self._prepared = "", 0.0
        _CARRYING.add(host.network)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the parameters that may be changed; no other ever is."""
        return self._patch.names

    @property
    def deltas(self) -> Mapping[str, Delta]:
        """What is added to which parameter at this moment."""
        return self._patch.deltas

    def add(self, edits: Sequence[Edit]) -> None:
        """Apply further edits on top of the earlier ones.

        Raises:
            EditError: one of them cannot be applied; nothing has changed then.
        """
        if self._host.network not in _CARRYING:
            raise EditError("these edits were taken back: apply them anew")
        if self._update is None:
            raise EditError(
                "edits that were loaded from a file cannot be added to: open them with the method's `resume`, "
                "or apply all of them together"
            )
        requests = check(edits, self._host.tokenizer, subject="subject" in self._traits.needs)
        began = time.perf_counter()
        with peak(self._host.device) as held, still(self._host.network), self._patch.whole():
            self._update(requests, self._patch)
        seconds = time.perf_counter() - began
        self.reports.append(EditReport(len(requests), seconds, held(), self._patch.changed(), self._prepared))
        self._prepared = 0.0

    def prepare(self, asked: Sequence[Asked]) -> list[Prepared]:
        """Each question as it came: the model itself is another one."""
        return [Prepared(one.prompt) for one in asked]

    def save(self, path: Path) -> None:
        """Write the deltas on their own; :func:`load` puts them into the same model again.

        Raises:
            EditError: they cannot be written.
        """
        save_deltas(path, self._patch.deltas, self._traits.name, self._fingerprint())

    def export(self, folder: Path) -> None:
        """Write the edited model as a Hugging Face folder, as vLLM and transformers read it.

        Raises:
            EditError: the folder is in use, or cannot be written.
        """
        export(self._host.network, self._host.tokenizer, folder)

    def restore(self) -> None:
        """Take every edit back, bit for bit."""
        if self._host.network in _CARRYING:
            self._patch.restore()
            _CARRYING.discard(self._host.network)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def _fingerprint(self) -> str:
        """Of the model without the edits."""
        if not self._base:
            with self._patch.lifted():
                self._base = fingerprint(self._host.network)
        return self._base


class WeightEditor(ABC, Generic[Config]):
    """A method that changes weights."""

    traits: ClassVar[Traits]
    settings: ClassVar[type]

    def __init__(self, engine: Engine, config: Config | None = None) -> None:
        """Take an engine whose model is in this process, and settings; None are the published ones.

        Raises:
            EditError: the model is elsewhere, or of an architecture that is not known.
        """
        self.engine = engine
        self.host = Host.of(engine)
        self.config: Config = self.settings() if config is None else config

    @classmethod
    def open(cls, bench: Workbench, option: str) -> Self:
        """See :func:`scr.editors.registry.open_editor`; the option is such as ``layers=4-8;steps=20;corpus=FILE``.

        The bench's own model is edited, in place, if it is in this process; else another one is loaded.

        Raises:
            UsageError: the method has no such setting.
        """
        config = configured(cls.settings, option, cls.traits.name)
        engine = bench.engine
        if getattr(engine, "network", None) is None and bench.model is not None:
            from scr.engines.transformers import TransformersEngine

            engine = TransformersEngine.from_pretrained(bench.model)
        return cls(engine, config)

    def apply(self, edits: Sequence[Edit]) -> WeightEdited:
        """The model with these edits.

        Raises:
            EditError: one of them cannot be applied, or the model carries others; nothing has changed then.
        """
        if not edits:
            check(edits, self.host.tokenizer, subject=False)
        edited = WeightEdited(self.engine, self.host, Patch(self.host.network, self.tensors()), self.traits, None)
        try:
            check(edits, self.host.tokenizer, subject="subject" in self.traits.needs)
            began = time.perf_counter()
            with still(self.host.network):
                edited._update = self.begin()
            edited._prepared = time.perf_counter() - began
            edited.add(edits)
        except BaseException:
            edited.restore()
            raise
        return edited

    def resume(self, path: Path) -> WeightEdited:
        """The model with edits that this method saved, to which further ones can be added.

        Further edits give the very weights that they would have given had the first ones never been left.

        Raises:
            EditError: there is no such file, it is another kind, its edits are another model's, another method's, or of
                tensors that these settings do not change; or the method needs more of earlier edits than a file keeps.
        """
        if not self.traits.resumable:
            raise EditError(
                f"{self.traits.name} needs more of earlier edits than a file keeps: apply all of them together"
            )
        deltas, method, base = load_deltas(path)
        if method != self.traits.name or not deltas.keys() <= set(self.tensors()):
            raise EditError(
                f"the edits in {path} were made with {method or 'another method'} and the settings of that time: "
                "go on with the same, or apply all of them together"
            )
        edited = _with(self.engine, self.host, path, deltas, base, self.traits, self.tensors())
        try:
            began = time.perf_counter()
            with still(self.host.network), edited._patch.lifted():
                edited._update = self.begin()
            edited._prepared = time.perf_counter() - began
        except BaseException:
            edited.restore()
            raise
        return edited

    @cached_property
    def factors(self) -> OfMoments[Factor]:
        """Of the second moments, for methods that solve with them: kept from one application to the next."""
        return OfMoments(Factor.of)

    @abstractmethod
    def tensors(self) -> tuple[str, ...]:
        """Names of the parameters that the method may change in this model."""

    @abstractmethod
    def begin(self) -> Update:
        """Get ready on the unedited model; gives back what applies edits to it."""


def load(engine: Engine, path: Path) -> WeightEdited:
    """The model with edits that :meth:`WeightEdited.save` wrote.

    Raises:
        EditError: there is no such file, it is another kind, or its edits are another model's.
    """
    deltas, method, base = load_deltas(path)
    return _with(engine, Host.of(engine), path, deltas, base, Traits(method, "weights"), tuple(deltas))


def _with(
    engine: Engine,
    host: Host,
    path: Path,
    deltas: Mapping[str, Delta],
    base: str,
    traits: Traits,
    tensors: tuple[str, ...],
) -> WeightEdited:
    """The model with the deltas of a file."""
    if host.network in _CARRYING or fingerprint(host.network) != base:
        raise EditError(f"the edits in {path} were made for another model than {host.name}: load that one, unedited")
    try:
        patch = Patch(host.network, tensors)
    except AttributeError as error:
        raise EditError(f"{path} names parameters that {host.name} has not: give a file that scr saved") from error
    edited = WeightEdited(engine, host, patch, traits, None)
    edited._base = base
    try:
        with patch.whole():
            for name, delta in deltas.items():
                patch.add(name, delta)
    except BaseException:
        edited.restore()
        raise
    return edited
