"""Targets that several methods seek alike are sought once, where each edit is applied to the unedited model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from scr.editors.weights import come, rome, spread, targets
from scr.editors.weights.host import Host
from scr.editors.weights.requests import Request


class Targets:
    """Targets of the latest edit, and the time that the latest application was spared by them.

    ROME and R-ROME, and MEMIT, CoME and (with the same settings) AlphaEdit, seek the same vector in the same way, and
    it takes most of their time. What was spared is to be added to what an application took.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.spared = 0.0
        self._prompt = ""
        self._known: dict[Any, tuple[targets.Target, float]] = {}

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
            self.spared += self._known[key][1]
        else:
            began = time.perf_counter()
            found = targets.optimise(host, request, module, prefixes, config, answer)
            self._known[key] = found, time.perf_counter() - began
        return self._known[key][0]

    def taken(self) -> float:
        """Seconds that were spared since this was last asked."""
        spared, self.spared = self.spared, 0.0
        return spared


@contextmanager
def shared_targets() -> Iterator[Targets]:
    """Let the methods share targets while this lasts."""
    found = Targets()
    with ExitStack() as stack:
        for part in (rome, spread, come):
            stack.enter_context(patch.object(part, "optimise", found.optimise))
        yield found
