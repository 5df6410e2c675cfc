"""Targets are sought once: by methods that seek them alike, and by a sequence that was cut off and begins again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from scr.editors.weights import come, rome, spread, targets
from scr.editors.weights.host import Host
from scr.editors.weights.requests import Request
from scr.editors.weights.sequences import rows_of

_SAME = 1e-3
"""Share of a state's norm by which it may differ between two runs."""


@dataclass(slots=True)
class _Known:
    """Targets, the seconds they took, and the most memory of the application that sought them."""

    targets: list[targets.Target]
    seconds: float
    peak_mib: float = 0.0


class Targets:
    """Targets of the latest edits, and what they cost.

    ROME and R-ROME, and MEMIT, CoME and (with the same settings) AlphaEdit, seek the same vector in the same way, and
    it takes most of their time. What an application is spared is added to its cost.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._requests: tuple[Request, ...] = ()
        self._known: dict[Any, _Known] = {}
        self._sought: list[_Known] = []
        self._found: list[_Known] = []

    def optimise(
        self,
        host: Host,
        requests: Sequence[Request],
        module: str,
        prefixes: Sequence[str],
        config: targets.TargetConfig,
        answers: Sequence[str] | None = None,
    ) -> list[targets.Target]:
        """As :func:`scr.editors.weights.targets.optimise`; the model must not carry edits."""
        if tuple(requests) != self._requests:
            self._requests, self._known = tuple(requests), {}
        key = (host.name, module, tuple(prefixes), config, tuple(answers or ()))
        if key in self._known:
            self._found.append(self._known[key])
        else:
            began = time.perf_counter()
            found = targets.optimise(host, requests, module, prefixes, config, answers)
            self._known[key] = _Known(found, time.perf_counter() - began)
            self._sought.append(self._known[key])
        return self._known[key].targets

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
    with _sought_by(found.optimise):
        yield found


class Kept:
    """Targets of one sequence in files, in the order in which they are sought.

    They take most of an edit's time, so that a sequence which begins again is soon where it was. One is used only if
    the same was sought and the model's own state there is the one it was found at.
    """

    def __init__(self, folder: Path) -> None:
        """Keep them in a folder, which need not exist."""
        self._folder, self._sought, self._spared = folder, 0, 0.0

    def optimise(
        self,
        host: Host,
        requests: Sequence[Request],
        module: str,
        prefixes: Sequence[str],
        config: targets.TargetConfig,
        answers: Sequence[str] | None = None,
    ) -> list[targets.Target]:
        """As :func:`scr.editors.weights.targets.optimise`, of one edit after the other."""
        wanted = answers or [request.target for request in requests]
        pairs = zip(requests, wanted, strict=True)
        return [self._one(host, request, module, prefixes, config, answer) for request, answer in pairs]

    def _one(
        self,
        host: Host,
        request: Request,
        module: str,
        prefixes: Sequence[str],
        config: targets.TargetConfig,
        answer: str,
    ) -> targets.Target:
        path = self._folder / f"{self._sought:05}.safetensors"
        self._sought += 1
        told = {"prompt": request.prompt, "answer": answer, "module": module, "config": str(config)}
        told["rate"] = str(targets.rate_of(host, config))  # the configuration may leave it to the model
        if (known := _read(path, told)) and _stands(host, request, module, known.targets[0]):
            self._spared += known.seconds
            return known.targets[0]
        began = time.perf_counter()
        found = targets.optimise(host, [request], module, prefixes, config, [answer])
        _write(path, told, _Known(found, time.perf_counter() - began))
        return found[0]

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
    with _sought_by(found.optimise):
        yield found


@contextmanager
def _sought_by(optimise: Callable[..., targets.Target]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in (rome, spread, come):
            stack.enter_context(patch.object(part, "optimise", optimise))
        yield


def _stands(host: Host, request: Request, module: str, target: targets.Target) -> bool:
    """Whether the model's state at the bare prompt is the one that the target begins at."""
    state = host.states(rows_of(host.tokenizer, request, [""]), [module])[module][1][0]
    return bool((state - target.start).norm() <= _SAME * target.start.norm())


def sought(folder: Path) -> Iterator[tuple[str, targets.Target]]:
    """The targets of a sequence that are kept in a folder, as they were sought, each with its prompt."""
    for path in sorted(folder.glob("*.safetensors")):
        told, target = _load(path)
        yield told["prompt"], target


def _read(path: Path, told: dict[str, str]) -> _Known | None:
    if not path.is_file():
        return None
    found, target = _load(path)
    if any(found.get(name, value) != value for name, value in told.items()):  # files of old do not tell the rate
        return None
    return _Known([target], float(found["seconds"]))


def _load(path: Path) -> tuple[dict[str, str], targets.Target]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        return told, targets.Target(file.get_tensor("start"), file.get_tensor("delta"), float(told["loss"]))


def _write(path: Path, told: dict[str, str], known: _Known) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".part")
    (target,) = known.targets
    tensors = {"start": target.start.contiguous(), "delta": target.delta.contiguous()}
    save_file(tensors, made, told | {"loss": str(target.loss), "seconds": str(known.seconds)})
    made.replace(path)
