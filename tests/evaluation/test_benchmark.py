"""What the benchmarks of the methods run and count."""

from __future__ import annotations

import pytest

from benchmarks.evaluation.losses import reason
from benchmarks.evaluation.run import _METHODS
from scr.editors import Considered
from scr.evaluation.results import Answered
from scr.scope.opening import DEFAULT_SCOPE, NAMES


def test_every_scope_classifier_is_among_the_methods() -> None:
    methods = _METHODS.split(",")
    assert {f"scr:{name}" for name in NAMES if name != DEFAULT_SCOPE} <= {*methods}
    assert "scr" in methods
    assert len(methods) == len({*methods})


def answered(*, right: bool, shown: tuple[str, ...] = (), found: tuple[str, ...] = ()) -> Answered:
    considered = tuple(Considered(fact, 0.9, 0.5, fact in shown) for fact in found)
    return Answered("Q", "portability", "", ("A",), "A", "B", shown, considered, contains=right)


@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (answered(right=True), "both"),
        (answered(right=False, found=("other",), shown=("other",)), "not_found"),
        (answered(right=False, found=("own", "other"), shown=("other",)), "refused"),
        (answered(right=False, found=("own", "other"), shown=("own", "other")), "among_others"),
        (answered(right=False, found=("own", "other"), shown=("own",)), "otherwise"),
    ],
)
def test_a_loss_against_the_oracle_has_one_reason(mine: Answered, why: str) -> None:
    assert reason(frozenset({"own"}), mine, answered(right=True)) == why


def test_what_the_oracle_does_not_answer_is_no_loss() -> None:
    wrong = answered(right=False)
    assert reason(frozenset({"own"}), wrong, wrong) == "neither"
    assert reason(frozenset({"own"}), answered(right=True), wrong) == "gained"
