"""The page: one file that asks the network for nothing and runs no script but its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scr.evaluation.judging import Judgement
from scr.evaluation.report.dimensions import (
    ALL_SCORES,
    BEST_COSINE,
    COSINE_NOTES,
    JUDGED,
    LINT_NOTE,
    REFERENCES,
    SCOPE_NOTE,
    UNANSWERED,
    UNANSWERED_NOTE,
    added_ms,
    cost_label,
    costs_of,
    dimensions_of,
    flattened,
    judged_lines,
    rule_label,
    scope_label,
    scope_names,
    scope_rows,
    summary,
    unanswered_lines,
)
from scr.evaluation.report.sample import Sampled, SampledRow, clipped, turns
from scr.evaluation.results import Interval, Results, Row
from scr.version import __version__

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("parts.js", "scores.js", "charts.js", "cases.js", "detail.js", "main.js")


def page(name: str, results: Results, rows: Sequence[SampledRow], judgement: Judgement | None = None) -> str:
    """The page of a run.

    Args:
        name: the run's.
        results: its table.
        rows: the questions to browse, a list for each row.
        judgement: a language model's word on the answers.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "\n".join((_PAGE / file).read_text(encoding="utf-8") for file in _SCRIPTS)
    style = (_PAGE / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.jinja").render(
        name=name,
        version=__version__,
        policy=policy(script, style),
        # Both are files of this package; everything else is escaped.
        script=Markup(script),  # noqa: S704
        style=Markup(style),  # noqa: S704
        data=Markup(embedded(_overview(name, results, rows))),  # noqa: S704
        cases=compressed(_cases(rows)),
        summary=summary(results),
        parameters=flattened(results.parameters),
        made=flattened(results.made),
        judge=judgement.judge if judgement else "",
        judged_heads=JUDGED,
        judged=judged_lines(judgement) if judgement else [],
        unanswered_heads=UNANSWERED,
        unanswered_note=UNANSWERED_NOTE,
        unanswered=unanswered_lines(results),
        lint=results.lint,
        lint_note=LINT_NOTE,
        rules={rule: rule_label(rule) for rule in sorted({rule for some in results.lint.values() for rule in some})},
    )


def policy(script: str, style: str) -> str:
    """A content security policy that lets these two run, by their digests, and nothing else in or out."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def embedded(document: object) -> str:
    """JSON that no text in it can end: what HTML or a script could take for its own is written as an escape."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def compressed(document: object) -> str:
    """JSON for the page's decompressor; the same bytes for the same document."""
    data = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    return base64.b64encode(gzip.compress(data, mtime=0)).decode("ascii")


def _overview(name: str, results: Results, rows: Sequence[SampledRow]) -> dict[str, Any]:
    scope = scope_rows(results.rows)
    return {
        "run": name,
        "dimensions": [
            {
                "name": one.name,
                "labels": {score: one.heading(score) for score in ALL_SCORES},
                "group": one.group,
                "share": one.share,
                "least": one.less,
            }
            for one in dimensions_of(results.rows)
        ],
        "scope": [_scope(row) for row in scope],
        "outcomes": {name: scope_label(name) for name in scope_names(scope)},
        "scopeNotes": {"all": SCOPE_NOTE, **COSINE_NOTES},
        "cosine": BEST_COSINE,
        "costs": [{"name": one, "label": cost_label(one)} for one in costs_of(results.rows)],
        "references": REFERENCES,
        "rows": [_row(row) for row in results.rows],
        "kept": [
            {**_key(row.key), "total": row.total, "kept": len(row.kept), "failed": row.failed, "shown": row.failed_kept}
            for row in rows
        ],
    }


def _key(row: Any) -> dict[str, Any]:
    return {"dataset": row.dataset, "model": row.model, "method": row.method, "edits": row.edits}


def _four(interval: Interval) -> list[float | None]:
    return [_finite(interval.value), _finite(interval.low), _finite(interval.high), interval.n]


def _scope(row: Row) -> dict[str, Any]:
    return {**_key(row), "split": row.split, "scope": {name: _four(one) for name, one in row.scope.items()}}


def _row(row: Row) -> dict[str, Any]:
    return {
        **_key(row),
        "split": row.split,
        "scores": {
            dimension: {score: _four(one) for score, one in figures.items()}
            for dimension, figures in row.scores.items()
        },
        "cost": {cost: _finite(value) for cost, value in row.cost.items()},
        "added": _finite(added_ms(row)),
    }


def _finite(value: float | None) -> float | None:
    """JSON has no word for what is not a number."""
    return value if value is not None and value - value == 0 else None


class _Texts:
    """Texts by number: a fact or a question stands in the page once, however many rows show it."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self._numbers.setdefault(clipped(text), len(self._numbers))

    def numbers(self, texts: Sequence[str]) -> list[int]:
        return [self.number(text) for text in texts]

    def all(self) -> list[str]:
        return list(self._numbers)


def _cases(rows: Sequence[SampledRow]) -> dict[str, Any]:
    texts = _Texts()
    items = [[_item(sampled, texts) for sampled in row.kept] for row in rows]
    return {"texts": texts.all(), "rows": items}


def _item(sampled: Sampled, texts: _Texts) -> list[Any]:
    """As detail.js takes it apart: the order is the agreement."""
    one = sampled.answered
    after = one.after
    return [
        texts.number(sampled.case.case),
        sampled.place,
        texts.number(one.prompt),
        one.kind,
        one.sub,
        texts.numbers(one.answers),
        texts.number(one.answer),
        texts.number(one.bare),
        texts.numbers(one.shown),
        [
            [texts.number(fact.fact), _finite(fact.score), _finite(fact.threshold), fact.applies]
            for fact in one.considered
        ],
        [[role, texts.number(text)] for role, text in turns(one.given)],
        one.calls,
        [one.exact, one.contains, one.preserved],
        one.finish_reason,
        one.flaws,
        [texts.number(after.answer), after.exact, after.contains, after.preserved] if after else None,
        [_finite(one.forced.accuracy), _finite(one.forced.target), _finite(one.forced.old)] if one.forced else None,
        texts.numbers(sampled.case.facts),
        sorted(sampled.flags),
    ]
