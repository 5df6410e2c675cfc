"""Figures of single edits as they are published: one line for a method and a case, without the texts they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """By method and case, as ``figures_of`` gives them; none if there is no file."""
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(line.pop("method"), line.pop("case")): line for line in lines}


def write(path: Path, known: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """Write them, each method's together."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"method": method, "case": case, **known[method, case]}) for method, case in sorted(known))
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
