"""What every measurement writes beside its figures, so that it can be judged and repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scr.evaluation.environment import environment
from scr.scope.cross_encoder import SHIPPED, WEIGHTS
from scr.scope.network import EXITS

_DIGITS = 12


def write_result(path: Path, parameters: Mapping[str, Any], results: Any, classifier: Path = SHIPPED) -> None:
    """Write one result file: what was measured, with what, on what.

    Args:
        path: of the file.
        parameters: of the measurement.
        results: whatever JSON can hold.
        classifier: folder of the scope classifier that decided, where one did.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made_with = {**environment(), "classifier": digests(classifier)}
    document = {"parameters": dict(parameters), "environment": made_with, "results": results}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def digests(folder: Path) -> dict[str, str]:
    """The first digits of sha256 of each file that says what a scope classifier decides, by the file's name."""
    files = [folder / name for name in (WEIGHTS, EXITS, "config.json")]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGITS] for file in files if file.is_file()}


def installed(names: Iterable[str]) -> dict[str, str | None]:
    """Versions of libraries that a measurement can do without; None for what is not there."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
