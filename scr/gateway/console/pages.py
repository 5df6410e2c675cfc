"""Pages from templates; every text in them is data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent

# No script, style or connection but the gateway's own, and nobody may put the pages in a frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer, with which a browser hides from the gateway where its own forms come from.
    "Referrer-Policy": "same-origin",
}

_HTMX = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,
        "refreshOnHistoryMiss": True,
        "responseHandling": [{"code": "204", "swap": False}, {"code": ".*", "swap": True}],
    }
)

_STATIC = {
    "htmx.min.js": "text/javascript; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = _moment
    environment.globals["htmx"] = _HTMX
    return environment


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def page(name: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page that nobody keeps, from the template ``NAME.html.jinja``."""
    content = _environment().get_template(f"{name}.html.jinja").render(values)
    headers = {**_HEADERS, "Cache-Control": "no-store"}
    return Response(content.encode(errors="replace"), status, headers, "text/html; charset=utf-8")


def static(name: str) -> Response | None:
    """A file that the pages need; None for any other name."""
    kind = _STATIC.get(name)
    if kind is None:
        return None
    return Response((_HERE / "static" / name).read_bytes(), 200, {**_HEADERS, "Cache-Control": "no-cache"}, kind)
