"""What a process decided lately, to be looked at and to try new facts on: bounded, in memory, kept nowhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from scr.pipeline import Decision

Outcome: TypeAlias = Literal["edited", "passed", "failed", "refused"]
"""What became of a request; one that could not be decided was sent on as it came (``failed``) or refused."""

MOST_REQUESTS = 500
"""Most requests that are remembered."""

_MOST_PROMPTS = 4
_MOST_FACTS = 10
_LONGEST_QUERY = 2_000
LONGEST_TEXT = 300
"""Characters that are remembered of a fact."""

_MOST_MINUTES = 60
_MOST_TIMES = 512


@dataclass(frozen=True, slots=True)
class Scored:
    """A fact that was near to a query, and what the classifier said of it."""

    id: str
    text: str
    similarity: float
    score: float
    threshold: float
    applies: bool

    @classmethod
    def all_of(cls, decision: Decision) -> tuple[Scored, ...]:
        """The candidates of a decision; those that apply first, best first."""
        return tuple(
            cls(
                one.fact.id,
                one.fact.text[:LONGEST_TEXT],
                one.similarity,
                one.score,
                one.threshold,
                one.applies,
            )
            for one in decision.facts[:_MOST_FACTS]
        )


@dataclass(frozen=True, slots=True)
class Past:
    """A query that was decided.

    Attributes:
        at: when.
        trace: the request's id.
        key: name of the key that sent it; empty without keys.
        namespace: whose facts.
        outcome: what was done.
        query: what was looked up, cut where it is very long.
        facts: the candidates.
        milliseconds: that reading, deciding and rendering its request took.
        reason: why it could not be decided, in one word; empty if it could.
    """

    at: datetime
    trace: str
    key: str
    namespace: str
    outcome: Outcome
    query: str
    facts: tuple[Scored, ...]
    milliseconds: float
    reason: str = ""


@dataclass(slots=True)
class Minute:
    """Counts of one minute, refused requests among the failed ones, and the latest of its times."""

    start: int
    edited: int = 0
    passed: int = 0
    failed: int = 0
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_TIMES))

    @property
    def total(self) -> int:
        """Requests of the minute."""
        return self.edited + self.passed + self.failed

    def quantile(self, share: float) -> float | None:
        """Milliseconds within which that share of its requests were decided; None without any."""
        times = sorted(self.times)
        return times[min(len(times) - 1, int(share * len(times)))] if times else None


class Recent:
    """The last decisions and minutes of one process.

    Args:
        clock: the time.
    """

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._past: deque[Past] = deque(maxlen=MOST_REQUESTS)
        self._minutes: deque[Minute] = deque(maxlen=_MOST_MINUTES)
        self._clock = clock

    def note(
        self,
        decisions: Sequence[Decision],
        *,
        trace: str,
        key: str,
        namespace: str,
        seconds: float,
        failure: str | None = None,
        refused: bool = False,
    ) -> None:
        """Remember a request; of one with many prompts, the first few.

        Args:
            decisions: on its prompts.
            trace: its id.
            key: name of the key that sent it.
            namespace: whose facts.
            seconds: that reading, deciding and rendering took.
            failure: why it could not be decided, in one word; None if it could.
            refused: whether it was therefore not sent on.
        """
        at, edited = self._clock(), any(decision.in_scope for decision in decisions)
        self._count(at, "failed" if failure else "edited" if edited else "passed", seconds * 1000)
        for one in decisions[:_MOST_PROMPTS]:
            outcome: Outcome = "edited" if one.in_scope else "passed"
            query = one.query[:_LONGEST_QUERY]
            self._past.append(Past(at, trace, key, namespace, outcome, query, Scored.all_of(one), seconds * 1000))
        if failure:
            outcome = "refused" if refused else "failed"
            self._past.append(Past(at, trace, key, namespace, outcome, "", (), seconds * 1000, failure))

    def _count(self, at: datetime, outcome: Literal["edited", "passed", "failed"], milliseconds: float) -> None:
        start = int(at.timestamp()) // 60 * 60
        if not self._minutes or self._minutes[-1].start != start:
            self._minutes.append(Minute(start))
        minute = self._minutes[-1]
        setattr(minute, outcome, getattr(minute, outcome) + 1)
        minute.times.append(milliseconds)

    def past(self, namespace: str) -> Iterator[Past]:
        """The decisions in a namespace, the latest first."""
        return (one for one in reversed(tuple(self._past)) if one.namespace == namespace)

    def minutes(self) -> list[Minute]:
        """The last hour, minute by minute, the present one last; a minute without requests is there too."""
        now = int(self._clock().timestamp()) // 60 * 60
        known = {minute.start: minute for minute in self._minutes}
        starts = range(now - 60 * (_MOST_MINUTES - 1), now + 60, 60)
        return [known.get(start) or Minute(start) for start in starts]
