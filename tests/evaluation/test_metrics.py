"""What one answer is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scr.evaluation.metrics import (
    begins_with,
    contains,
    exact_match,
    harmonic_mean,
    ngram_entropy,
    normalise,
    preserved,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("U.S.", "us"),
        ("An apple, a pear\n and THE end.", "apple pear and end"),
        ("Straße", "strasse"),
        ("O’Neil", "oneil"),
        ("Ｔｏｋｙｏ　２０２０", "tokyo 2020"),
        ("Paris—the capital", "paris capital"),
        ("東京。", "東京"),
        ("São Paulo", "são paulo"),
        ("co\u00adop\u200b", "coop"),
        ("The", "the"),
        ("?!", "?!"),
        ("  ", ""),
        ("", ""),
        ("theory of anatomy", "theory of anatomy"),
    ],
)
def test_normalise(text: str, normal: str) -> None:
    assert normalise(text) == normal
    assert normalise(normal) == normal


def test_exact_match() -> None:
    assert exact_match("the Lyon.", ["Paris", "Lyon"])
    assert exact_match("sa\u0303o paulo", ["São Paulo"])
    assert not exact_match("Lyon, of course", ["Lyon"])
    assert not exact_match("", [""])
    assert not exact_match("the", ["?"])
    assert not exact_match("Lyon", [])


@pytest.mark.parametrize(
    ("answer", "alias", "held"),
    [
        ("It is Lyon, I think.", "Lyon", True),
        ("It is Lyon, I think.", "lyon i", True),
        ("Lyonnais", "Lyon", False),
        ("colyon lyon", "Lyon", True),  # a later place counts
        ("New Yorker in New York", "New York", True),
        ("He moved to the US in 1999", "US", False),
        ("U.S.", "us", True),
        ("US", "US", True),
        ("It is in 12 parts", "12", False),
        ("born in 1999", "199", False),
        ("Paris—the capital", "Paris", True),
        ("", "Paris", False),
        ("anything", "", False),
        ("anything", "  ", False),
        ("他出生在北京市", "北京", True),
        ("他出生在北京市", "北", False),
        ("北", "北", True),
        ("私はParisが好き", "Paris", True),
        ("私はParisiaが好き", "Paris", False),
        ("서울에서 태어났다", "서울", True),
        ("กรุงเทพมหานคร", "กรุงเทพ", True),
        ("Имя: Иван Петров", "Иван", True),
        ("Иванов", "Иван", False),
        ("रामायण", "राम", False),  # a vowel sign goes on with the word
        ("राम आया", "राम", True),
    ],
)
def test_contains(answer: str, alias: str, held: bool) -> None:
    assert contains(answer, [alias]) is held
    assert contains(answer, ["of no use", alias]) is held


def test_what_matches_is_contained() -> None:
    for text in ("US", "x", "The Lyon", "北京", "?"):
        assert exact_match(text, [text])
        assert contains(text, [text])


@pytest.mark.parametrize(
    ("answer", "right", "begins"),
    [
        (" Lyon, which is", "Lyon", True),
        ("the Lyon", "lyon", True),
        ("Lyonnais", "Lyon", False),
        ("Paris, not Lyon", "Lyon", False),
        (" 12 of them", "12", True),
        (" 120", "12", False),
        ("北京是首都", "北京", True),
        ("", "Lyon", False),
        ("Lyon", "", False),
    ],
)
def test_begins_with(answer: str, right: str, begins: bool) -> None:
    assert begins_with(answer, right) is begins


def test_preservation_is_of_bytes() -> None:
    assert preserved("Lyon\n", "Lyon\n")
    assert not preserved("Lyon", "Lyon ")
    assert not preserved("é", "e\u0301")
    assert preserved("\ud800", "\ud800")


def test_entropy_as_worked_out_by_hand() -> None:
    # "a b a b": 2-grams ab ×2, ba ×1; 3-grams aba, bab.
    two = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    expected = (2 / 3 * two + 4 / 3 * 1.0) / 2
    assert ngram_entropy(["a b a b"]) == pytest.approx(expected)
    assert ngram_entropy(["a b a b", "c c c c c"]) == pytest.approx(expected / 2)
    distinct = " ".join(f"w{number}" for number in range(101))
    assert ngram_entropy([distinct]) == pytest.approx((2 / 3 * math.log2(100) + 4 / 3 * math.log2(99)) / 2)


def test_entropy_of_next_to_nothing() -> None:
    assert ngram_entropy(["", "word", "two words"]) == 0
    assert ngram_entropy(["我爱北京天安门"]) > 2
    with pytest.raises(ValueError, match="no texts"):
        ngram_entropy([])


def test_harmonic_mean() -> None:
    assert harmonic_mean([1.0, 0.5]) == pytest.approx(2 / 3)
    assert harmonic_mean([0.9, 0.0]) == 0
    assert harmonic_mean([0.7]) == pytest.approx(0.7)
    assert np.allclose(harmonic_mean([[1, 1, 1], [0.5, 1, 1]]), [1, 0.75])
