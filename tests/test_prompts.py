"""The templates that ship are those whose results are written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scr.context import ContextBuilder
from scr.facts import Fact, parse_time

RESULTS = Path(__file__).parents[1] / "benchmarks/templates/results"


@pytest.mark.parametrize("model", ["smollm2-135m", "qwen-coder-0.5b"])
@pytest.mark.parametrize("form", ["chat", "completion"])
def test_what_was_measured_is_what_ships(model: str, form: str) -> None:
    result = json.loads((RESULTS / model / f"{form}-shipped.json").read_text("utf-8"))
    measured = result["parameters"]["example"]
    blank = dict.fromkeys(("subject", "relation", "object", "question", "source", "valid_from", "valid_to"))
    fact = Fact("a" * 12, "The capital of France is Lyon.", "default", created_at=parse_time("2026-01-01"), **blank)
    query = "What is the capital of France?"
    prompt = query if form == "completion" else [{"role": "user", "content": query}]
    assert ContextBuilder().build(prompt, [fact]).prompt == measured["prompt" if form == "completion" else "messages"]
    assert result["results"]["summary"]["question"]["right"]["n"] >= 60
