"""What a conversation asks."""

from __future__ import annotations

import pytest

from scr.query import queries_of, query_of, text_of


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


@pytest.mark.parametrize(
    "whole", ["Name the river that flows through Lyon.", "Is there a bridge in Lyon?", "There is a town called Lyon."]
)
def test_that_and_there_do_not_always_lean(whole: str) -> None:
    assert query_of(user("Who is the mayor of Paris?", whole)) == whole


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


LONG = (
    "I am writing a report for school and have been reading for hours. My sister says that I worry too much. "
    "There is a man called Anton Velde in it. In which town was he born? Then I have to draw a map. "
    "Second, name the river that flows through Ulmbach. Wish me luck for tomorrow!"
)


def test_a_long_turn_is_asked_as_a_whole_and_by_the_parts_that_ask() -> None:
    assert queries_of(LONG) == (
        LONG,
        "There is a man called Anton Velde in it. In which town was he born?",
        "Second, name the river that flows through Ulmbach.",
        "In which town was Anton Velde born?",
    )
    assert queries_of(user("Hello.", LONG)) == queries_of(LONG)


def test_a_short_turn_too_is_asked_by_its_parts() -> None:
    both = "Who wrote Hamlet? Who was his wife?"
    assert queries_of(both) == (both, "Who wrote Hamlet?", "Who was Hamlet's wife?")
    noise = "Shayna sighs and goes home. The mother tongue of Lena Hofstad is"
    assert queries_of(noise) == (noise, "The mother tongue of Lena Hofstad is")
    assert queries_of("Reference 4711-XK\nWho wrote Hamlet?")[1:] == ("Who wrote Hamlet?",)


@pytest.mark.parametrize(
    "one",
    [
        "Who wrote Hamlet?",
        "Lena Hofstad, born in",
        "Where did Dr. A. B. Hofstad die?",
        "Where is St. Mary's Cathedral located?",
        "who is the no. 1 ranked player in the u.s. today",
        "Shazam! is followed by",
        "",
    ],
)
def test_one_sentence_is_one_query(one: str) -> None:
    assert queries_of(one) == (one,)


def test_an_unfinished_last_sentence_asks() -> None:
    story = "The sea was calm that day and nobody spoke. " * 6
    assert queries_of(f"{story}The capital of France is")[1:] == ("The capital of France is",)
    assert queries_of(story.strip()) == (story.strip(),)


def test_a_turn_without_end_has_a_bounded_number_of_parts() -> None:
    assert len(queries_of("".join(f"Who wrote book {number}? " for number in range(5_000)))) <= 17
    assert len(queries_of("word " * 100_000)) == 1


def test_what_nobody_reads_of_an_endless_query_is_not_passed_on() -> None:
    endless = "What is the capital of Ardenia? " + "And so on. " * 100_000
    assert all(len(query) <= 10_000 for query in queries_of(endless))
    assert queries_of("x" * 1_000_000) == ("x" * 10_000,)
    assert queries_of(endless)[0].startswith("What is the capital of Ardenia?")
