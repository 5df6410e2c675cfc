"""Probabilities of right answers and their rivals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scr.editors import Edit, Prepared
from scr.engines import Prompt
from scr.engines.scoring import Scored
from scr.engines.transformers import TransformersEngine
from scr.evaluation.cases import Kind, Question
from scr.evaluation.forced import Wanted, forced, wanted

EDIT = Edit("The seat of the Veyl Guild is Orsa.", "The seat of the Veyl Guild is", "Orsa", "Veyl Guild", "Tarnow")


def question(
    kind: Kind, *answers: str, prompt: str = "The seat of the Amber Guild is", old: str | None = None
) -> Question:
    return Question(prompt, kind, "", answers, old)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (question("reliability", "Orsa", "City of Orsa", old="Tarnow"), Wanted("Orsa", "Tarnow")),
        (question("portability", "Grey"), Wanted("Grey", None)),
        (question("locality", "Tarnow"), Wanted("Tarnow", "Orsa")),  # a neighbour
        (question("locality", "the tarnow"), Wanted("the tarnow", "Orsa")),
        (question("locality", "Lisk"), Wanted("Lisk", None)),  # another relation
        (question("locality", "Tarnow", prompt="Where does the Veyl Guild sit?"), Wanted("Tarnow", None)),  # a defect
        (question("locality", "Tarnow", old="Tarnow"), Wanted("Tarnow", "Orsa")),
        (question("locality"), None),
        (question("reliability", " "), None),
    ],
)
def test_what_is_compared(asked: Question, expected: Wanted | None) -> None:
    assert wanted(asked, [EDIT]) == expected


def test_neighbours_need_an_old_answer() -> None:
    assert wanted(question("locality", "Tarnow"), [Edit("f", "p", "t")]) == Wanted("Tarnow", None)
    assert wanted(question("locality", "Tarnow"), []) == Wanted("Tarnow", None)


class Remembers:
    """A scorer that says what it was asked, and a probability that grows with the target's length."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Prompt, str]] = []

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        self.pairs += pairs
        return [Scored((-10.0, float(len(target))), (True, False)) for _, target in pairs]


@pytest.mark.parametrize(
    ("before", "pair"),
    [
        ("The seat is", ("The seat is", " Orsa")),
        ("The seat is  ", ("The seat is", " Orsa")),
        ("Question: where?\nAnswer:\n", ("Question: where?\nAnswer:\n", "Orsa")),
        ("所在地は", ("所在地は", " Orsa")),
        ("", ("", "Orsa")),
    ],
)
def test_a_blank_parts_a_text_from_what_goes_on(before: str, pair: tuple[str, str]) -> None:
    scorer = Remembers()
    begun = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": before}]
    forced(scorer, [Prepared(before), Prepared(begun)], [Wanted("Orsa")] * 2)
    assert scorer.pairs == [pair, ([begun[0], {"role": "assistant", "content": pair[0]}], pair[1])]


@pytest.mark.parametrize(
    ("before", "target", "expected"),
    [
        ("所在地は", "東京", "東京"),
        ("答え、", "東京", "東京"),
        ("수도는", "서울", " 서울"),
        ("Answer:", "東京", " 東京"),
    ],
)
def test_scripts_without_blanks(before: str, target: str, expected: str) -> None:
    scorer = Remembers()
    forced(scorer, [Prepared(before)], [Wanted(target)])
    assert scorer.pairs == [(before, expected)]


def test_answers_keep_their_places() -> None:
    chat = [{"role": "user", "content": "Where?"}]
    found = forced(
        scorer := Remembers(),
        [Prepared(chat), Prepared("a"), Prepared("b")],
        [Wanted("Orsa", "Tarnow"), None, Wanted("Lisk")],
    )
    assert scorer.pairs == [(chat, "Orsa"), (chat, "Tarnow"), ("b", " Lisk")]
    assert [one and (one.accuracy, one.target, one.old) for one in found] == [(0.5, -6, -4), None, (0.5, -5, None)]


@pytest.mark.llm
def test_a_model_that_is_shown_the_fact_holds_it_likelier(smollm2: TransformersEngine) -> None:
    shown = f"{EDIT.fact} {EDIT.prompt}"
    asked = wanted(question("reliability", "Orsa", old="Tarnow"), [EDIT])
    bare, edited = forced(smollm2, [Prepared(EDIT.prompt), Prepared(shown)], [asked, asked])
    assert bare is not None
    assert edited is not None
    assert edited.target > bare.target + 5
    assert edited.old is not None
    assert edited.target > edited.old
    assert edited.accuracy > bare.accuracy
