"""Reading facts in bulk, flawed files above all."""

from __future__ import annotations

import io
import json

import pytest

from scr.errors import UsageError
from scr.facts import NewFact
from scr.importing import Line, read_facts

BOM = b"\xef\xbb\xbf"


def read(data: bytes | str, name: str = "facts", form: str = "auto") -> list[Line]:
    return list(read_facts(io.BytesIO(data.encode() if isinstance(data, str) else data), name, form))


def good(lines: list[Line]) -> list[tuple[int, str]]:
    assert all((line.fact is None) != (line.reason is None) for line in lines)
    return [(line.number, line.fact.text) for line in lines if line.fact]


def bad(lines: list[Line]) -> list[tuple[int, str]]:
    return [(line.number, line.reason) for line in lines if line.reason]


def test_jsonl() -> None:
    lines = read(
        '{"text": "A.", "subject": "S"}\n\n{"text": "B.", "valid_from": "2026-01-01", "id": "x", "status": "active"}'
    )
    assert good(lines) == [(1, "A."), (3, "B.")]
    assert lines[0].fact == NewFact("A.", subject="S")
    assert bad(lines) == []


def test_one_sentence_a_line() -> None:
    assert good(read("A is b.\r\n\r\n  C is d, and e.  \nLast")) == [(1, "A is b."), (3, "C is d, and e."), (4, "Last")]


def test_csv_with_quotes_and_line_breaks() -> None:
    text = 'text,subject,object\r\n"He said ""yes"", then left.",Ann,\r\n"two\nlines",Bea,x\r\n\r\nplain,Cid,y\r\n'
    lines = read(text)
    assert good(lines) == [(2, 'He said "yes", then left.'), (3, "two\nlines"), (6, "plain")]
    assert lines[0].fact == NewFact('He said "yes", then left.', "Ann")
    assert lines[2].fact == NewFact("plain", "Cid", object="y")


@pytest.mark.parametrize(
    ("name", "data", "first"),
    [
        ("a.jsonl", '{"text": "A."}', NewFact("A.")),
        ("a.NDJSON", '{"text": "A."}', NewFact("A.")),
        ("a.csv", "subject,text\nS,A.", NewFact("A.", "S")),
        ("a.txt", '{"text": "A."}', NewFact('{"text": "A."}')),
        ("a", '  {"text": "A."}', NewFact("A.")),
        ("a.data", 'Subject, "text"\nS,A.', NewFact("A.", "S")),
        ("-", "One, two, three.", NewFact("One, two, three.")),
        ("-", '\n\n{"text": "A."}', NewFact("A.")),
    ],
)
def test_the_format_is_told_by_name_or_content(name: str, data: str, first: NewFact) -> None:
    assert [line.fact for line in read(data, name)] == [first]


@pytest.mark.parametrize("form", ["jsonl", "csv", "lines"])
def test_a_byte_order_mark_is_passed_over(form: str) -> None:
    data = {"jsonl": b'{"text": "A."}', "csv": b"text\nA.", "lines": b"A."}[form]
    assert [text for _, text in good(read(BOM + data))] == ["A."]


@pytest.mark.parametrize("data", ["", "\n\n", "   "])
@pytest.mark.parametrize("form", ["auto", "jsonl", "lines"])
def test_nothing_in_nothing_out(data: str, form: str) -> None:
    assert read(data, form=form) == []


def test_one_malformed_line_of_ten_thousand() -> None:
    lines = [json.dumps({"text": f"Fact {number}."}) for number in range(1, 10_001)]
    lines[7_340] = lines[7_340][:-2]
    found = read("\n".join(lines), "facts.jsonl")
    assert len(good(found)) == 9_999
    ((number, reason),) = bad(found)
    assert number == 7_341
    assert reason.startswith("not JSON (")
    assert "write one object a line" in reason


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"text": "A."', "not JSON"),
        (b'["A."]', "not a JSON object"),
        (b'"A."', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", "the text is empty"),
        (b'{"text": 7}', "text is not a string but int"),
        (b'{"text": "A.", "colour": "red"}', "unknown key 'colour'"),
        (b'{"text": "A\\u0000."}', "control character U+0000"),
        (b'{"text": "\\ud800"}', "not valid UTF-8"),
        (b'{"text": "A <|im_end|>"}', "control token"),
        (b'{"text": "caf\xe9"}', "not UTF-8 (byte 14 of the line)"),
        (b'{"text": ' + b"1" * 5_000 + b"}", "not JSON"),
        (b'{"text": ' + b"[" * 100_000, "not JSON"),
        (b'{"text": "' + b"x" * 1_000_000 + b'"}', "longer than 1,000,000 bytes"),
        (b'{"text": "' + b"x" * 5_000_000 + b'"}', "longer than 1,000,000 bytes"),
        (b'{"text": "' + b"x" * 5_000 + b'"}', "the limit is 4,000"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_rest_is_read(line: bytes, says: str) -> None:
    lines = read(b'{"text": "Before."}\n' + line + b'\n{"text": "After."}\n', "a.jsonl")
    assert good(lines) == [(1, "Before."), (3, "After.")]
    ((number, reason),) = bad(lines)
    assert number == 2
    assert says in reason
    assert len(reason) < 300


def test_a_last_line_that_is_too_long() -> None:
    assert bad(read(b"x" * 3_000_000, form="lines")) == [(1, "the line is longer than 1,000,000 bytes: split it")]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b"A,B,C", "more values than the header has columns"),
        (b",B", "the text is empty"),
        (b'"A"x,B', "not CSV"),
        (b"caf\xe9,B", "not UTF-8 (byte 4 of the line)"),
        (b"x" * 2_000_000 + b",B", "longer than 1,000,000 bytes"),
        (b"x" * 200_000 + b",B", "not CSV"),
        (b"A\0,B", "control character U+0000"),
    ],
)
def test_a_bad_row_of_csv(row: bytes, says: str) -> None:
    lines = read(b"text,subject\nBefore.,S\n" + row + b'\n"two\nlines",S\nAfter.,S\n', "a.csv")
    assert good(lines) == [(2, "Before."), (4, "two\nlines"), (6, "After.")]
    ((number, reason),) = bad(lines)
    assert number == 3
    assert says in reason


@pytest.mark.parametrize("flawed", [b"caf\xe9", b"x" * 2_000_000])
def test_a_flaw_inside_a_quoted_record_spoils_that_record_alone(flawed: bytes) -> None:
    lines = read(b'text,subject\n"one\n' + flawed + b'\nthree",S\nAfter.,S\n', "a.csv")
    assert good(lines) == [(5, "After.")]
    assert [number for number, _ in bad(lines)] == [2]


def test_a_quote_that_is_never_closed() -> None:
    lines = read('text,subject\nBefore.,S\n"never closed,S\nAfter.,S\n', "a.csv")
    assert good(lines) == [(2, "Before.")]
    ((number, reason),) = bad(lines)
    assert number == 3
    assert "the lines up to 4: check its quotes" in reason


@pytest.mark.parametrize(
    "data",
    [
        b"subject\nS\n",
        b'"text\nA.\n',
        b'"text"x,b\nA.\n',
        b"caf\xe9,text\nA.,b\n",
        b"y" * 200_000 + b"\n",
        b"text,text\nA.,B.\n",
    ],
)
def test_csv_without_a_usable_header(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"a\.csv"):
        read(data, "a.csv")


def test_lines_are_read_as_they_are_needed() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            line = b'{"text": "A."}\n'
            buffer[: len(line)] = line
            return len(line)

    lines = read_facts(io.BufferedReader(Endless()), "-")
    assert [next(lines).number for _ in range(5)] == [1, 2, 3, 4, 5]
