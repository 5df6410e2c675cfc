"""What the benchmark of the methods runs."""

from __future__ import annotations

from benchmarks.evaluation.run import _METHODS
from scr.scope.opening import DEFAULT_SCOPE, NAMES


def test_every_scope_classifier_is_among_the_methods() -> None:
    methods = _METHODS.split(",")
    assert {f"scr:{name}" for name in NAMES if name != DEFAULT_SCOPE} <= {*methods}
    assert "scr" in methods
    assert len(methods) == len({*methods})
