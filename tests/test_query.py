"""What a conversation asks."""

from __future__ import annotations

import pytest

from scr.query import query_of, text_of


def user(*texts: object) -> list[dict[str, object]]:
    turns: list[dict[str, object]] = [{"role": "system", "content": "Be brief."}]
    for text in texts:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "Well."}]
    return turns[:-1]


def test_a_text_is_its_own_question() -> None:
    assert query_of("The capital of France is") == "The capital of France is"


def test_the_last_user_turn_asks() -> None:
    assert query_of(user("Who wrote Hamlet?", "Name the capital of France.")) == "Name the capital of France."


@pytest.mark.parametrize(
    "leaning", ["And who trains them?", "What about Spain?", "When was he born?", "Is that near Nice?"]
)
def test_a_turn_that_leans_brings_along_what_it_leans_on(leaning: str) -> None:
    assert query_of(user("Who is the mayor of Lyon?", leaning)) == f"Who is the mayor of Lyon? {leaning}"


def test_a_first_turn_leans_on_nothing() -> None:
    assert query_of(user("Is it raining?")) == "Is it raining?"


def test_a_long_turn_stands_alone() -> None:
    long = "Please explain to me in some detail how the water supply of ancient Rome worked and who paid for it."
    assert query_of(user("Who is the mayor of Lyon?", long)) == long


def test_parts_that_are_text_are_read() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "data:,"}},
        {"type": "text", "text": "What is shown"},
        {"type": "input_text", "text": "in this picture?"},
    ]
    assert query_of(user(parts)) == "What is shown\nin this picture?"
    assert text_of({"role": "user", "content": None}) == ""
    assert query_of([{"role": "system", "content": "Be brief."}]) == ""
