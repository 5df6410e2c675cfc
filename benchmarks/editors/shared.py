"""Targets that several methods seek alike are sought once, where each edit is applied to the unedited model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from scr.editors.weights import come, rome, spread, targets
from scr.editors.weights.host import Host
from scr.editors.weights.requests import Request


@dataclass(slots=True)
class _Known:
    """A target, the seconds it took, and the most memory of the application that sought it."""

    target: targets.Target
    seconds: float
    peak_mib: float = 0.0


class Targets:
    """Targets of the latest edit, and what they cost.

    ROME and R-ROME, and MEMIT, CoME and (with the same settings) AlphaEdit, seek the same vector in the same way, and
    it takes most of their time. What an application is spared is added to its cost.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._prompt = ""
        self._known: dict[Any, _Known] = {}
        self._sought: list[_Known] = []
        self._found: list[_Known] = []

    def optimise(
        self,
        host: Host,
        request: Request,
        module: str,
        prefixes: Sequence[str],
        config: targets.TargetConfig,
        answer: str | None = None,
    ) -> targets.Target:
        """As :func:`scr.editors.weights.targets.optimise`; the model must not carry edits."""
        if request.prompt != self._prompt:
            self._prompt, self._known = request.prompt, {}
        key = (host.name, request, module, tuple(prefixes), config, answer)
        if key in self._known:
            self._found.append(self._known[key])
        else:
            began = time.perf_counter()
            target = targets.optimise(host, request, module, prefixes, config, answer)
            self._known[key] = _Known(target, time.perf_counter() - began)
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
    with ExitStack() as stack:
        for part in (rome, spread, come):
            stack.enter_context(patch.object(part, "optimise", found.optimise))
        yield found
