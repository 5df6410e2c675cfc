"""Targets are sought once: by methods that seek them alike, and by a sequence that was cut off and begins again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from scr.editors.weights import come, rome, spread, targets
from scr.editors.weights.host import Host
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import rows_of
from scr.editors.weights.targets import Target, TargetConfig

if TYPE_CHECKING:
    import torch

_SAME = 1e-3
"""Share of a state's norm by which it may differ between two runs."""


@dataclass(frozen=True, slots=True)
class Search:
    """One edit's target as a method asks for it: what :func:`scr.editors.weights.targets.optimise` is given."""

    host: Host
    request: Request
    module: str
    prefixes: tuple[str, ...]
    config: TargetConfig
    answer: str

    def run(self) -> _Known:
        """Seek it."""
        began = time.perf_counter()
        found = targets.optimise(self.host, [self.request], self.module, self.prefixes, self.config, [self.answer])
        return _Known(found[0], time.perf_counter() - began)

    def start(self) -> torch.Tensor:
        """The state at the bare prompt, as it is now [d]."""
        rows = rows_of(self.host.tokenizer, self.request, [""])
        return self.host.states(rows, [self.module])[self.module][1][0]


@contextmanager
def sought_by(seek: Callable[[Search], Target]) -> Iterator[None]:
    """Let every method have its targets from there while this lasts."""

    def optimise(
        host: Host,
        requests: Sequence[Request],
        module: str,
        prefixes: Sequence[str],
        config: TargetConfig,
        answers: Sequence[str] | None = None,
    ) -> list[Target]:
        wanted = answers or [request.target for request in requests]
        pairs = zip(requests, wanted, strict=True)
        return [seek(Search(host, request, module, tuple(prefixes), config, answer)) for request, answer in pairs]

    with ExitStack() as stack:
        for part in (rome, spread, come):
            stack.enter_context(patch.object(part, "optimise", optimise))
        yield


@dataclass(slots=True)
class _Known:
    """A target, the seconds it took, and the most memory of the application that sought it."""

    target: Target
    seconds: float
    peak_mib: float = 0.0


class Targets:
    """Targets of the latest edit, and what they cost.

    ROME and R-ROME, and MEMIT, CoME and (with the same settings) AlphaEdit, seek the same vector in the same way, and
    it takes most of their time. What an application is spared is added to its cost.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._request: Request | None = None
        self._known: dict[Any, _Known] = {}
        self._sought: list[_Known] = []
        self._found: list[_Known] = []

    def seek(self, search: Search) -> Target:
        """One that was sought, or a new one; the model must not carry edits."""
        if search.request != self._request:
            self._request, self._known = search.request, {}
        key = (search.host.name, search.module, search.prefixes, search.config, search.answer)
        if key in self._known:
            self._found.append(self._known[key])
        else:
            self._known[key] = search.run()
            self._sought.append(self._known[key])
        return self._known[key].target

    def charged(self, cost: dict[str, Any]) -> dict[str, Any]:
        """What the latest application would have cost without the targets that it found here."""
        for known in self._sought:
            known.peak_mib = cost["peak_mib"] or 0.0
        if self._found:
            seconds = round(cost["seconds"] + sum(known.seconds for known in self._found), 3)
            highest = max(cost["peak_mib"] or 0.0, *(known.peak_mib for known in self._found))
            cost = cost | {"seconds": seconds, "peak_mib": highest or None}
        self._sought, self._found = [], []
        return cost


@contextmanager
def shared_targets() -> Iterator[Targets]:
    """Let the methods share targets while this lasts."""
    found = Targets()
    with sought_by(found.seek):
        yield found


class Kept:
    """Targets of one sequence in files, in the order in which they are sought.

    They take most of an edit's time, so that a sequence which begins again is soon where it was. One is used only if
    the same was sought and the model's own state there is the one it was found at.

    Attributes:
        sought: how many were, which is also the next one's number.
    """

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which need not exist."""
        self._folder, self.sought, self._spared = folder, 0, 0.0

    def seek(self, search: Search) -> Target:
        """The one that is kept, or a new one."""
        path = self._folder / f"{self.sought:05}.safetensors"
        self.sought += 1
        told = _told(search)
        if (known := _read(path, told)) and _stands(search, known.target):
            self._spared += known.seconds
            return known.target
        found = search.run()
        _write(path, told, found)
        return found.target

    def charged(self, cost: dict[str, Any]) -> dict[str, Any]:
        """What the latest application would have cost without the targets that were kept; its memory is not known."""
        if self._spared:
            cost = cost | {"seconds": round(cost["seconds"] + self._spared, 3), "peak_mib": None}
            self._spared = 0.0
        return cost


@contextmanager
def kept_targets(folder: Path) -> Iterator[Kept]:
    """Keep the targets of a sequence in a folder while this lasts."""
    found = Kept(folder)
    with sought_by(found.seek):
        yield found


@dataclass(frozen=True, slots=True)
class Found:
    """A target that is kept: the edit's prompt, and the module that it is for."""

    prompt: str
    module: str
    target: Target


def kept_of(folder: Path) -> list[Found]:
    """The targets of a sequence that are kept in a folder, edit by edit.

    Where several were sought for an edit it is the first, the new answer's.
    """
    loaded = (_load(path) for path in sorted(folder.glob("*.safetensors")))
    found = (Found(told["prompt"], told["module"], target) for told, target in loaded)
    return [next(group) for _, group in groupby(found, key=lambda one: one.prompt)]


def _stands(search: Search, target: Target) -> bool:
    """Whether the model's state at the bare prompt is the one that the target begins at."""
    return bool((search.start() - target.start).norm() <= _SAME * target.start.norm())


def _told(search: Search) -> dict[str, str]:
    told = {"prompt": search.request.prompt, "answer": search.answer, "module": search.module}
    rate = targets.rate_of(search.host, search.config)  # the configuration may leave it to the model
    return told | {"config": str(search.config), "rate": str(rate)}


def _read(path: Path, told: dict[str, str]) -> _Known | None:
    if not path.is_file():
        return None
    found, target = _load(path)
    if any(found.get(name, value) != value for name, value in told.items()):  # files of old do not tell the rate
        return None
    return _Known(target, float(found["seconds"]))


def _load(path: Path) -> tuple[dict[str, str], Target]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        return told, Target(file.get_tensor("start"), file.get_tensor("delta"), float(told["loss"]))


def _write(path: Path, told: dict[str, str], known: _Known) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".part")
    tensors = {"start": known.target.start.contiguous(), "delta": known.target.delta.contiguous()}
    save_file(tensors, made, told | {"loss": str(known.target.loss), "seconds": str(known.seconds)})
    made.replace(path)
