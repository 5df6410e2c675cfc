"""Each rule of the lint finds what it should and leaves alone what looks like it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from scr.editors import Edit
from scr.evaluation.cases import Case, Kind, Question
from scr.evaluation.lint import RULES, Finding, counts, defects, findings, normalised

from .test_datasets import SHARED


def case(name: str, prompt: str, target: str, *more: Question, old: str | None = None) -> Case:
    edit = Edit(f"{prompt} {target}.", prompt, target, None, old)
    return Case(name, (edit,), (Question(prompt, "reliability", "", (target,), old), *more))


def ask(prompt: str, *answers: str, kind: Kind = "locality", sub: str = "relation_specificity") -> Question:
    return Question(prompt, kind, sub, answers)


def found(*cases: Case) -> list[tuple[str, int | None, str]]:
    return [(one.case, one.question, one.rule) for one in findings(cases)]


OTHER = case("b", "The mother of Orro is", "Imma Ray")


def test_a_question_that_another_record_edits_is_contradicted() -> None:
    (finding,) = findings([case("a", "Nilo speaks", "Welsh", ask("the mother of  Orro is:", "Ann Lee")), OTHER])
    assert finding == Finding("a", 1, "contradicted", "gold 'Ann Lee', but b edits it to 'imma ray'")
    assert finding.severity == "defect"


def test_a_question_of_any_kind_but_the_edits_own_can_be_contradicted() -> None:
    chain = ask("The mother of Orro is", "Ann Lee", kind="portability", sub="reasoning")
    assert found(case("a", "Nilo speaks", "Welsh", chain), OTHER) == [("a", 1, "contradicted")]


def test_a_question_that_agrees_with_the_other_edit_is_not_contradicted() -> None:
    agreeing = ask("The mother of Orro is", "Ann Lee", "IMMA RAY")
    unknown, another = ask("The mother of Orro is"), ask("The mother of Imm is", "Ann Lee")
    assert found(case("a", "Nilo speaks", "Welsh", agreeing, unknown, another), OTHER) == []


def test_a_locality_question_with_the_old_answer_asks_for_the_edit() -> None:
    record = case("a", "Nilo Fenn's wife is", "Imma Ray", ask("Nilo Fenn spouse", "Bo Lund", "B. Lund"), old="bo lund")
    assert found(record) == [("a", 1, "edited-relation")]


def test_the_edits_own_prompt_with_another_answer_asks_for_the_edit() -> None:
    assert found(case("a", "Nilo speaks", "Welsh", ask("Nilo speaks", "Danish"))) == [("a", 1, "edited-relation")]


@pytest.mark.parametrize("sub", ["forgetfulness", "neighborhood", "unrelated"])
def test_some_questions_have_the_old_answer_by_design(sub: str) -> None:
    record = case("a", "Nilo's wife is", "Imma Ray", ask("Imm's wife is", "Bo Lund", sub=sub), old="Bo Lund")
    other = case("c", "Orro's wife is", "Imma Ray", ask("Orro's uncle is", "Bo Ray"), old="Bo Lund")
    assert found(record, other) == []


def test_one_prompt_with_different_targets_spoils_all_questions_of_its_records() -> None:
    cases = [
        case("a", "Nilo speaks", "Welsh", ask("Nilo lives in", "Wales")),
        case("b", "nilo speaks", "Irish"),
        case("c", "Imm speaks", "Welsh"),
    ]
    assert found(*cases) == [("a", None, "conflicting-targets"), ("b", None, "conflicting-targets")]
    assert "not in b" in findings(cases)[0].detail
    assert defects(cases, findings(cases)) == {
        ("a", 0): ("conflicting-targets",),
        ("a", 1): ("conflicting-targets",),
        ("b", 0): ("conflicting-targets",),
    }
    assert counts(cases, findings(cases)) == {"conflicting-targets": 3}


def question(name: str, prompt: str, target: str, subject: str | None = "Nilo", old: str | None = "Danish") -> Case:
    edit = Edit(f"{prompt} {target}.", prompt, target, subject, old)
    return Case(name, (edit,), (Question(prompt, "reliability", "", (target,), old),))


def test_two_questions_with_one_old_answer_spoil_their_records() -> None:
    """As zsRE's records of one fact in other words do."""
    cases = [
        question("a", "What does Nilo speak?", "Welsh"),
        question("b", "Which is nilo's language?", "Irish", "nilo", "danish"),
        question("c", "What does Nilo talk?", "welsh"),
    ]
    assert found(*cases) == [(name, None, "conflicting-questions") for name in "abc"]
    assert "'irish' in b, which asks 'which is nilo s language'" in findings(cases)[0].detail
    assert counts(cases, findings(cases)) == {"conflicting-questions": 3}


@pytest.mark.parametrize(
    "other",
    [
        question("b", "Which is Imm's language?", "Irish", "Imm"),
        question("b", "Which is Nilo's language?", "Irish", None),
        question("b", "Which is Nilo's language?", "Irish", old=None),
        question("b", "Where does Nilo live?", "Irish", old="Chad"),
        question("b", "Which is Nilo's language?", "WELSH"),
        question("b", "The language of Nilo is", "Irish"),  # to be gone on with: other relations share both by chance
    ],
)
def test_questions_that_differ_otherwise_are_left_alone(other: Case) -> None:
    assert found(question("a", "What does Nilo speak?", "Welsh"), other) == []


def test_one_prompt_with_one_target_is_only_noticed() -> None:
    cases = [case("a", "Nilo speaks", "Welsh"), case("b", "Nilo speaks", "welsh")]
    assert found(*cases) == [("b", 0, "repeated-prompt")]
    assert defects(cases, findings(cases)) == {}


def test_a_later_edit_of_a_chain_is_noticed_at_its_own_question() -> None:
    edits = (Edit("Imm lies in Peru.", "Imm lies in", "Peru"), Edit("Nilo speaks Welsh.", "Nilo speaks", "Welsh"))
    asked = tuple(Question(edit.prompt, "reliability", "", (edit.target,)) for edit in edits)
    assert found(case("a", "Nilo speaks", "Welsh"), Case("b", edits, asked)) == [("b", 1, "repeated-prompt")]


def test_an_answer_in_its_own_prompt() -> None:
    record = case("a", "Renno 4 is made by", "Fiatto", ask("Renno 8 is made by", "Group R", "Renno"))
    assert found(record) == [("a", 1, "answer-in-prompt")]


def test_an_answer_stands_in_a_prompt_if_repeating_it_would_score() -> None:
    asked = [ask("Renno-Fiatto's founder is", "Renno"), ask("The maker is Renno, Fiatto", "The Fiatto")]
    assert found(case("a", "Nilo speaks", "Welsh", *asked)) == [("a", 2, "answer-in-prompt")]


def test_an_answer_inside_a_word_or_too_short_to_be_looked_for_is_not_in_the_prompt() -> None:
    inside = ask("Rennolution is made by", "Renno")
    short = ask("The US sign of Imm is", "US")
    choice = ask("Who made it? A. Renno B. Fiatto", "A", "Renno", kind="generalization", sub="multiple_choice")
    rules = {rule for _, _, rule in found(case("a", "Nilo speaks", "Welsh", inside, short, choice))}
    assert "answer-in-prompt" not in rules


def test_short_aliases_are_noticed() -> None:
    asked = [ask("Imm is in", "Peru", "PE"), ask("Is Imm deep?", "no"), ask("Imm is a", "lake")]
    cases = [case("a", "Nilo speaks", "Welsh", *asked)]
    assert found(*cases) == [("a", 1, "short-alias"), ("a", 2, "only-short-aliases")]
    assert defects(cases, findings(cases)) == {}


def test_a_question_whose_answers_are_punctuation_cannot_be_answered() -> None:
    cases = [case("a", "Nilo speaks", "Welsh", ask("How many lakes?", "("), ask("How many hills?", "(", "two"))]
    broken = defects(cases, findings(cases))
    assert broken == {("a", 1): ("unanswerable",)}


def test_prompts_for_free_text_are_no_rephrasings() -> None:
    cases = [
        case(
            "a",
            "Nilo speaks",
            "Welsh",
            ask("It rained. Nilo likes", "Welsh", kind="generalization", sub="generation_prompt"),
            ask("Nilo's language is", "Welsh", kind="generalization", sub=""),
        )
    ]
    assert defects(cases, findings(cases)) == {("a", 1): ("no-rephrasing",)}


def test_every_rule_says_how_grave_it_is_and_what_it_finds() -> None:
    assert {severity for severity, _ in RULES.values()} == {"defect", "notice"}
    assert all(text for _, text in RULES.values())


def test_texts_are_compared_as_words() -> None:
    assert normalised("  The “Café”, isn't\nIT? ") == "the café isn t it"


def test_the_work_is_linear() -> None:
    """Eight times the cases in at most sixteen times the steps; a lint that compares all pairs would take 64 times.

    Steps are bytecodes, as seconds on a busy machine say nothing.
    """

    def steps(size: int) -> int:
        cases = [case(f"{n}", f"Lake {n} lies in", "Peru", ask(f"Lake {n + 1} lies in", "Chad")) for n in range(size)]
        count = 0

        def trace(frame: FrameType, event: str, _: object) -> Callable[..., object]:
            nonlocal count
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            count += event == "opcode"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            found = findings(cases)
        finally:
            sys.settrace(before)
        assert len(found) == size - 1
        return count

    assert 0 < steps(800) < 16 * steps(100)


@pytest.mark.skipif(SHARED is None, reason="the public data sets are not here")
@pytest.mark.parametrize(
    ("file", "rule", "least", "most"),
    [
        # What is known of the whole sets (839 and 1,301 records), for the half that is here: questions about the record
        # alone come by half, those that need two records by a quarter or more.
        ("wiki_counterfact_test.json", "contradicted", 248 // 4, 248 // 2),
        ("wiki_counterfact_test.json", "edited-relation", 8, 13),
        ("wiki_counterfact_test.json", "short-alias", 560, 680),
        ("zsre_test.json", "edited-relation", 170, 220),
        ("zsre_test.json", "conflicting-questions", 450, 510),
    ],
)
def test_the_known_defects_of_public_data_are_found(file: str, rule: str, least: int, most: int) -> None:
    from scr.evaluation.datasets import load

    assert SHARED
    path: Path = SHARED / "knowedit" / file
    cases = load(str(path)).cases
    if len(cases) not in (419, 650):
        pytest.skip("another half of the data set than the one that the bounds are for")
    assert least <= counts(cases, findings(cases))[rule] <= most
