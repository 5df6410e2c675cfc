"""What every measurement writes beside its figures, so that it can be judged and repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scr.evaluation.environment import environment


def write_result(path: Path, parameters: Mapping[str, Any], results: Any) -> None:
    """Write one result file: what was measured, with what, on what."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"parameters": dict(parameters), "environment": environment(), "results": results}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
