"""What was decided lately, and the last hour in two charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import get_args

from starlette.responses import Response

from scr.errors import UsageError
from scr.gateway.console.visit import Visit
from scr.gateway.recent import Minute, Outcome

_ON_A_PAGE = 100
WIDTH, HEIGHT = 600, 140
"""Size of a chart's field, in its own units."""


async def decisions(visit: Visit) -> Response:
    """The last decisions, filtered by outcome and by a word in the query or in a fact."""
    outcome, word = visit.form.text("outcome") or "", (visit.form.text("q") or "").strip()
    if outcome and outcome not in get_args(Outcome):
        raise UsageError("the outcome is unknown: use edited, passed, failed or refused")
    sought = word.casefold()
    found = (
        one
        for one in await visit.gateway.siblings.past(visit.namespace)
        if outcome in ("", one.outcome)
        and (
            not sought
            or sought in one.query.casefold()
            or sought in (one.key.casefold(), one.trace)
            or any(fact.applies and (sought in fact.text.casefold() or sought == fact.id) for fact in one.facts)
        )
    )
    return visit.page("decisions", past=list(islice(found, _ON_A_PAGE)), outcome=outcome, q=word)


@dataclass(frozen=True, slots=True)
class Bar:
    """A minute in the chart of shares, and in the table beside it.

    Attributes:
        label: the time of day.
        x: its left edge.
        height: of its bar, of :data:`HEIGHT`.
    """

    label: str
    x: float
    height: float
    total: int
    edited: int
    failed: int
    median: float | None
    slow: float | None


async def activity(visit: Visit) -> Response:
    """The charts."""
    minutes = await visit.gateway.siblings.minutes()
    step = WIDTH / len(minutes)
    bars = [_bar(minute, place * step) for place, minute in enumerate(minutes)]
    top = _ceiling(max((bar.slow or 0 for bar in bars), default=0))
    lines = {
        name: _segments([(bar.x + step / 2, getattr(bar, name)) for bar in bars], top) for name in ("median", "slow")
    }
    total, edited = sum(bar.total for bar in bars), sum(bar.edited for bar in bars)
    return visit.page(
        "activity",
        bars=bars,
        step=step,
        lines=lines,
        top=top,
        width=WIDTH,
        height=HEIGHT,
        total=total,
        edited=edited,
        failed=sum(bar.failed for bar in bars),
    )


def _bar(minute: Minute, x: float) -> Bar:
    label = f"{datetime.fromtimestamp(minute.start, UTC):%H:%M}"
    share = minute.edited / minute.total if minute.total else 0.0
    slow = minute.quantile(0.95)
    return Bar(label, x, share * HEIGHT, minute.total, minute.edited, minute.failed, minute.quantile(0.5), slow)


def _ceiling(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 …, so that an axis ends at a number that can be read."""
    size = 1.0
    while size < value:
        for step in (1, 2, 5):
            if size * step >= value:
                return size * step
        size *= 10
    return size


def _segments(points: Sequence[tuple[float, float | None]], top: float) -> list[str]:
    """Points of lines; a minute without requests interrupts them."""
    found: list[list[str]] = [[]]
    for x, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{x:.1f},{HEIGHT - value / top * HEIGHT:.1f}")
    return [" ".join(segment) for segment in found if segment]
