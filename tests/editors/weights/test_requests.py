"""Edits are refused before anything changes, each with its reason; subjects are found by offsets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scr.editors import Edit
from scr.editors.weights.requests import check
from scr.editors.weights.sequences import answer_ids, batch_of, row_of, rows_of
from scr.errors import EditError

from . import tiny

GOOD = tiny.EDITS[0]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (replace(GOOD, subject=None), "edit 2 has no subject"),
        (replace(GOOD, subject=""), "edit 2 has no subject"),
        (replace(GOOD, subject="Elsewhere"), "does not stand in the prompt"),
        (replace(GOOD, prompt=" "), "the prompt of edit 2 is empty"),
        (replace(GOOD, target=""), "the target of edit 2 is empty"),
        (replace(GOOD, target="half \ud800"), "half a character"),
        (replace(GOOD, prompt="Ulvendorf\x00 stands in"), "control character"),
        (replace(GOOD, prompt="Ulvendorf " + "stands in " * 600), "may have 512"),
    ],
)
def test_a_bad_edit_is_refused_with_its_reason(edit: Edit, reason: str) -> None:
    with pytest.raises(EditError, match=reason) as raised:
        check([GOOD, edit], tiny.tokenizer(), subject=True)
    assert "\n" not in str(raised.value)


def test_without_an_edit_there_is_nothing_to_apply() -> None:
    with pytest.raises(EditError, match="no edit"):
        check([], tiny.tokenizer(), subject=True)


def test_a_method_that_needs_no_subject_does_not_ask_for_one() -> None:
    (request,) = check([replace(GOOD, subject=None)], tiny.tokenizer(), subject=False)
    assert (request.target, request.old) == (" London", " Paris")


def test_the_later_of_two_edits_of_one_prompt_counts() -> None:
    requests = check([GOOD, tiny.EDITS[1], replace(GOOD, target="Karst")], tiny.tokenizer(), subject=True)
    assert [request.target for request in requests] == [" harp", " Karst"]


@pytest.mark.parametrize(
    ("prompt", "subject", "last"),
    [
        ("The mayor of Ulvendorf is", "Ulvendorf", "orf"),
        ("Ann's sister Ann is", "Ann", "Ann"),
        ("Canned food by Ann is", "Ann", " Ann"),
        ("«Łódź» liegt in", "Łódź", "ź"),
        ("The song 🎵🎵 was written by", "🎵🎵", "🎵"),
        ("O'Neil-Smith's home is", "O'Neil-Smith", "Smith"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "Because of that, 7 🎵. "])
def test_the_subjects_last_token_is_found(prompt: str, subject: str, last: str, prefix: str) -> None:
    tokenizer = tiny.tokenizer()
    (request,) = check([Edit("", prompt, "x", subject)], tokenizer, subject=True)
    assert request.prompt[request.start : request.end] == subject
    (row,) = rows_of(tokenizer, request, [prefix])
    # All before and with the token, decoded, ends with the subject.
    shown = tokenizer.decode(row.ids[: row.subject + 1])
    assert shown.endswith(prefix + prompt[: request.end])
    assert shown.endswith(last)


def test_special_tokens_in_an_edit_are_text() -> None:
    tokenizer = tiny.tokenizer()
    row = row_of(tokenizer, "X<|im_end|> is", 0, 1)
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") not in row.ids
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") not in answer_ids(tokenizer, "X is", " <|im_end|>")


def test_rows_of_a_batch_end_together() -> None:
    tokenizer = tiny.tokenizer()
    rows = [row_of(tokenizer, "Ann is", 0, 3), row_of(tokenizer, "The sister of Ann is", 14, 17)]
    batch = batch_of(rows, 0, "cpu")
    assert batch.ids[:, -1].unique().numel() == 1
    assert batch.mask.sum(1).tolist() == [len(row.ids) for row in rows]
    assert batch.places[:, -1].tolist() == [len(row.ids) - 1 for row in rows]
    picked = batch.at_subject(batch.ids[:, :, None])[:, 0].tolist()
    assert picked == [row.ids[row.subject] for row in rows]
