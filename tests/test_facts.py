"""What an acceptable fact, question, namespace and time is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scr.errors import FactError, QueryError, ScrError, UsageError
from scr.facts import (
    MAX_FIELD,
    MAX_QUERY,
    MAX_TEXT,
    Fact,
    NewFact,
    check_namespace,
    check_query,
    format_time,
    new_id,
    parse_time,
)

CONTROL_TOKENS = {
    "chatml (qwen, smollm)": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"],
    "llama 2": ["<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"],
    "llama 3": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"],
    "llama 4": ["<|header_start|>", "<|eot|>", "<|image|>"],
    "gemma": ["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<start_of_image>"],
    "mistral": ["[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]"],
    "deepseek": ["<｜begin▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"],
    "phi": ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
    "granite": ["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
    "gpt-oss": ["<|start|>", "<|channel|>", "<|message|>", "<|return|>"],
    "t5, bert": ["<pad>", "<unk>"],
    "case": ["<|IM_START|>", "[inst]"],
}
TOKENS = [pytest.param(token, id=f"{family}: {token}") for family, tokens in CONTROL_TOKENS.items() for token in tokens]


def test_a_fact_keeps_what_it_was_given() -> None:
    fact = NewFact.of(
        {
            "text": "  The capital of France is Lyon.\n",
            "subject": "France",
            "relation": "capital",
            "object": "Lyon",
            "question": "What is the capital of France?",
            "source": "atlas",
            "valid_from": "2026-01-31",
            "valid_to": "2027-01-31T12:00:00+02:00",
        }
    )
    assert fact == NewFact(
        "The capital of France is Lyon.",
        "France",
        "capital",
        "Lyon",
        "What is the capital of France?",
        "atlas",
        datetime(2026, 1, 31, tzinfo=UTC),
        datetime(2027, 1, 31, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Ångström lived in Uppsala.",
        "東京は日本の首都です。",
        "عاصمة فرنسا",
        "👩‍👩‍👧 is an emoji",
        "a\tb\nc",
        "1 < 2 > 0",
        "[1] says so",
        "a <- b |> c",
        "use <b>bold</b>",
    ],
)
def test_ordinary_text_is_accepted_unchanged(text: str) -> None:
    assert NewFact.of({"text": text}).text == text
    assert check_query(text) == text


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({}, "the text is empty"),
        ({"text": ""}, "the text is empty"),
        ({"text": " \n\t "}, "the text is empty"),
        ({"text": None}, "the text is empty"),
        ({"text": 7}, "text is not a string but int"),
        ({"text": ["a"]}, "text is not a string but list"),
        ({"text": "a", "subject": {"b": 1}}, "subject is not a string but dict"),
        ({"text": "a\0b"}, r"control character U\+0000 \(character 2\)"),
        ({"text": "a\x1b[31m"}, r"U\+001B"),
        ({"text": "a\x7f"}, r"U\+007F"),
        ({"text": "a\x85b"}, r"U\+0085"),
        ({"text": "a", "source": "b\x07"}, r"the source holds the control character U\+0007"),
        ({"text": "a\ud800b"}, r"not valid UTF-8 \(character 2\)"),
        ({"text": "x" * (MAX_TEXT + 1)}, "4,001 characters long; the limit is 4,000"),
        ({"text": "a", "object": "x" * (MAX_FIELD + 1)}, "the object is 501 characters long; the limit is 500"),
        ({"text": "a", "color": "red"}, "unknown key 'color': a fact has text, subject"),
        ({"text": "a", "valid_from": "yesterday"}, "valid_from: 'yesterday' is not a date"),
        ({"text": "a", "valid_from": "2026-02-30"}, "not a date"),
        ({"text": "a", "valid_to": 2026}, "valid_to is not a string but int"),
        ({"text": "a", "valid_to": "9999-12-31T23:59:59-10:00"}, "out of range"),
        ({"text": "a", "valid_from": "2026-01-02", "valid_to": "2026-01-01"}, "valid_to is not after valid_from"),
        ({"text": "a", "valid_from": "2026-01-02", "valid_to": "2026-01-02"}, "valid_to is not after valid_from"),
    ],
)
def test_refusals_say_what_is_wrong(record: dict[str, object], says: str) -> None:
    with pytest.raises(FactError, match=says) as caught:
        NewFact.of(record)
    message = str(caught.value)
    assert ":" in message, "it names no remedy"
    assert "\n" not in message
    message.encode()


@pytest.mark.parametrize("token", TOKENS)
def test_control_tokens_of_chat_templates_are_refused(token: str) -> None:
    for record in ({"text": f"Paris{token}system"}, {"text": "Paris.", "question": f"Where? {token}"}):
        with pytest.raises(FactError, match="chat template's control token"):
            NewFact.of(record)
    with pytest.raises(QueryError, match="chat template's control token"):
        check_query(f"Hello {token}")


def test_limits_are_inclusive() -> None:
    assert len(NewFact.of({"text": "x" * MAX_TEXT, "subject": "y" * MAX_FIELD}).text) == MAX_TEXT
    assert check_query("x" * MAX_QUERY)


@pytest.mark.parametrize("query", ["", "  \n", "x" * (MAX_QUERY + 1), "a\0", "a\udfff"])
def test_bad_queries_are_refused(query: str) -> None:
    with pytest.raises(QueryError):
        check_query(query)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\tb", "n" * (MAX_FIELD + 1), "a\0", "<|im_end|>"])
def test_bad_namespaces_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_namespace(name)


def test_an_export_can_be_read_back_as_input() -> None:
    fact = Fact(
        id=new_id(), text="a", namespace="n", subject="s", relation="r", object=None, question=None, source="x",
        valid_from=parse_time("2026-01-01"), valid_to=None, created_at=parse_time("2026-02-01T01:02:03.000004Z"),
        supersedes=("b",), status="superseded",
    )  # fmt: skip
    assert NewFact.of(fact.to_json()) == NewFact("a", "s", "r", source="x", valid_from=parse_time("2026-01-01"))
    assert Fact.from_json(fact.to_json()) == fact


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        (" 2026-01-31T12:00 ", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00.000000Z"),
        ("20260131T120000Z", "2026-01-31T12:00:00.000000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_times_are_read_as_utc(written: str, utc: str) -> None:
    assert format_time(parse_time(written)) == utc
    assert parse_time(utc) == parse_time(written)


def test_a_fact_holds_from_its_start_until_before_its_end() -> None:
    record = {"id": "a", "text": "a", "namespace": "n", "subject": None, "relation": None, "object": None,
              "question": None, "source": None, "valid_from": "2026-01-01", "valid_to": "2026-02-01",
              "created_at": "2025-01-01", "supersedes": []}  # fmt: skip
    fact = Fact.from_json(record)
    held = {day: fact.holds_at(parse_time(day)) for day in ("2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01")}
    assert list(held.values()) == [False, True, True, False]


def test_ids_are_plain_and_do_not_repeat() -> None:
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(len(one) == 12 and set(one) <= set("0123456789abcdefghjkmnpqrstvwxyz") for one in ids)


def test_every_refusal_is_one_of_scrs_errors() -> None:
    assert issubclass(FactError, ScrError)
    assert (FactError.exit_status, QueryError.exit_status) == (2, 2)
