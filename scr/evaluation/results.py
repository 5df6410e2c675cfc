"""What a run leaves behind: a file per case, and ``results.json`` with the scores of every row.

::

    RUN/parameters.json                                   what was asked for; another run there is refused
    RUN/cases/DATASET/MODEL/METHOD/EDITS/CASE.json        one `CaseResult`, skipped when present
    RUN/results.json                                      `Results`
    RUN/report.md, RUN/report.html                        made from these files alone
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from scr.editors import Considered
from scr.errors import UsageError
from scr.evaluation.cases import Kind

SCHEMA = 1
"""Version of the layout of ``results.json``."""

Split: TypeAlias = Literal["raw", "clean"]
"""With every question, or without those that the data set has wrong."""


@dataclass(frozen=True, slots=True)
class Forced:
    """Probabilities under teacher forcing, for the legacy columns.

    Attributes:
        accuracy: share of the target's tokens that the model would have chosen.
        target: log-probability of the right answer, in nats.
        old: log-probability of the answer before the edit; None where it is not known.
    """

    accuracy: float
    target: float
    old: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what was said and how it scores.

    Attributes:
        prompt: the question.
        kind: which promise of an edit it measures.
        sub: finer kind; empty for none.
        answers: those that count as right.
        answer: what was generated.
        bare: what the unmodified model says to it.
        shown: texts of the facts that the model saw.
        considered: facts that were weighed.
        given: the prompt as the model got it (turns or text); None where it is the question as it came.
        calls: calls of a language model, the last one included.
        exact: normalised exact match; None without a right answer.
        contains: alias containment on word boundaries; None without a right answer.
        preserved: whether the answer is the unmodified model's, byte for byte; None in scope.
        finish_reason: ``stop`` or ``length``.
        flaws: rules of the lint that the question breaks; such a question is not in the clean scores.
        after: the same answer right after the record's own edit, where edits are applied one by one.
        forced: probabilities, where they were asked for.
        error: why the model gave no answer, which counts as a wrong one; None where it gave one.
    """

    prompt: str
    kind: Kind
    sub: str
    answers: tuple[str, ...]
    answer: str
    bare: str
    shown: tuple[str, ...] = ()
    considered: tuple[Considered, ...] = ()
    given: Any = None
    calls: int = 1
    exact: bool | None = None
    contains: bool | None = None
    preserved: bool | None = None
    finish_reason: str = "stop"
    flaws: tuple[str, ...] = ()
    after: After | None = None
    forced: Forced | None = None
    error: str | None = None

    @property
    def in_scope(self) -> bool:
        """Whether the record's edits govern it."""
        return self.kind != "locality"


@dataclass(frozen=True, slots=True)
class After:
    """An answer right after the record's own edit, before any later one."""

    answer: str
    exact: bool | None
    contains: bool | None
    preserved: bool | None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case under one row of the table.

    Attributes:
        case: its id in the data set.
        facts: texts of its own edits.
        answered: its questions, in the data set's order.
        seconds: the time that its edits took to apply, a share of their group's.
        fluency: n-gram entropy of free text, where it was measured.
        peak_bytes: most memory that an application of its group's edits held beyond the model's, where it was measured.
    """

    case: str
    facts: tuple[str, ...]
    answered: tuple[Answered, ...]
    seconds: float = 0.0
    fluency: float | None = None
    peak_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> CaseResult:
        """Read a file's content again.

        Raises:
            KeyError, TypeError: it is not one.
        """
        answered = tuple(_answered(one) for one in record["answered"])
        return cls(**{**record, "facts": tuple(record["facts"]), "answered": answered})


def _answered(record: Mapping[str, Any]) -> Answered:
    return Answered(
        **{
            **record,
            "answers": tuple(record["answers"]),
            "shown": tuple(record["shown"]),
            "considered": tuple(Considered(**one) for one in record["considered"]),
            "flaws": tuple(record["flaws"]),
            "after": After(**record["after"]) if record["after"] else None,
            "forced": Forced(**record["forced"]) if record["forced"] else None,
        }
    )


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over records with its bootstrap interval.

    Attributes:
        value: the mean.
        low: lower end of the 95 % interval.
        high: its upper end.
        n: how many records it is over.
    """

    value: float
    low: float
    high: float
    n: int


Figures: TypeAlias = dict[str, Interval]
"""``exact`` and ``contains``; a legacy dimension (probabilities, entropy) has ``exact`` alone."""


@dataclass(frozen=True, slots=True)
class RowKey:
    """What tells the rows of a table apart, besides the split."""

    dataset: str
    model: str
    method: str
    edits: int

    def folder(self, run: Path) -> Path:
        """Where its cases lie."""
        return run / "cases" / slug(self.dataset) / slug(self.model) / slug(self.method) / str(self.edits)


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one method on one data set with one model.

    Attributes:
        dataset: its name.
        model: its name.
        method: its name, with its option behind a colon ("scr:cosine").
        edits: how many are in force at once.
        split: raw or clean.
        scores: by dimension, as DESIGN names them.
        scope: share of questions by outcome of the scope decision, for methods that show facts.
        cost: ``seconds_per_edit``, ``added_ms_per_query``, ``model_calls_per_query``, ``peak_bytes``; None for what
            was not measured.
        errors: how many questions got no answer; they count as wrong.
    """

    dataset: str
    model: str
    method: str
    edits: int
    split: Split
    scores: dict[str, Figures]
    scope: dict[str, Interval] = field(default_factory=dict)
    cost: dict[str, float | None] = field(default_factory=dict)
    errors: int = 0

    @property
    def key(self) -> RowKey:
        """What tells it apart from other rows."""
        return RowKey(self.dataset, self.model, self.method, self.edits)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that got no answer in a row, however often it is asked.

    Attributes:
        dataset: of the row.
        model: of the row.
        method: of the row.
        edits: of the row.
        case: the record's id.
        question: its place in the record, from 0.
        error: what the engine said.
    """

    dataset: str
    model: str
    method: str
    edits: int
    case: str
    question: int
    error: str


@dataclass(frozen=True, slots=True)
class Results:
    """A run's table with what it takes to repeat it.

    Attributes:
        parameters: as asked for, with file, digest and size of each data set under ``data``.
        rows: of the table.
        made: versions of packages, hardware and time of the last run of the command, and the commits of all.
        lint: findings by data set: how many questions break which rule.
        errors: every question without an answer.
    """

    parameters: dict[str, Any]
    rows: tuple[Row, ...]
    made: dict[str, Any] = field(default_factory=dict)
    lint: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: tuple[Unanswered, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document's content."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def read(cls, run: Path) -> Results:
        """Read the results of a run.

        Raises:
            UsageError: there are none, they are damaged, or of another version.
        """
        path = run / "results.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if record["schema"] != SCHEMA:
                raise UsageError(
                    f"{path} has schema {record['schema']}, this scr reads {SCHEMA}: run the evaluation anew"
                )
            rows = tuple(_row(row) for row in record["rows"])
            errors = tuple(Unanswered(**one) for one in record.get("errors", ()))
            return cls(record["parameters"], rows, record["made"], record["lint"], errors)
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is damaged"
            raise UsageError(
                f"cannot read {path} ({why}): give the folder of a run of `scr eval`, which holds it"
            ) from None


def _row(record: Mapping[str, Any]) -> Row:
    scores = {
        dimension: {name: Interval(**one) for name, one in figures.items()}
        for dimension, figures in record["scores"].items()
    }
    scope = {name: Interval(**one) for name, one in record["scope"].items()}
    return Row(**{**record, "scores": scores, "scope": scope})


def read_cases(run: Path, key: RowKey) -> Iterator[CaseResult]:
    """The cases of a row, in the order of their names; see :func:`read_case`."""
    return map(read_case, sorted(key.folder(run).glob("*.json")))


def read_case(path: Path) -> CaseResult:
    """The case that a file holds.

    Raises:
        UsageError: it is damaged.
    """
    try:
        return CaseResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"a case in {path.parent} is damaged: delete the file {path.name} and run the evaluation again, which "
            "makes it anew"
        ) from None


def slug(name: str) -> str:
    """A name as a folder's, on every system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
