"""What one answer is worth: each measure a small function with its source."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ASCII_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_DELETED = _ASCII_PUNCTUATION | frozenset("‘’ʼ‐‑")  # apostrophes and hyphens that are typeset
_DELETIONS = {ord(char): None for char in _DELETED}
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\U00020000-\U0003ffff]"
)
"""Characters of scripts that put no blanks between words: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, Japanese."""

_UNBOUNDED = re.compile(f"{_UNSPACED.pattern[:-1]}\uac00-\ud7a3]")
"""These and Korean, where particles follow a word without a blank."""

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]|_")
_SHORT = 2
_ENTROPY_WEIGHTS = {2: 2 / 3, 3: 4 / 3}


def normalise(text: str) -> str:
    """A text as answers are compared: small letters, no punctuation, no articles, single blanks.

    The steps of the SQuAD evaluation (Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of
    Text", section 6.1), for every script: Unicode compatibility forms and case are folded; typeset apostrophes and
    hyphens go as ASCII punctuation goes, other punctuation ("—", "。") parts words. A text of nothing but articles and
    punctuation keeps them, so that "The" and "?" are not one and the same.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = folded if folded.isascii() else "".join(map(_without_foreign_punctuation, folded))
    bare = bare.translate(_DELETIONS)
    return " ".join(_ARTICLE.sub(" ", bare).split()) or " ".join(folded.split())


def _without_foreign_punctuation(char: str) -> str:
    if char.isalnum() or char in _DELETED:
        return char
    category = unicodedata.category(char)
    if category == "Cf":  # soft hyphens, joiners, direction marks: not to be seen
        return ""
    return " " if category[0] == "P" else char


def exact_match(answer: str, answers: Sequence[str]) -> bool:
    """Whether an answer is one of those that count as right, both normalised (Rajpurkar et al. 2016, section 6.1)."""
    said = normalise(answer)
    return bool(said) and any(normalise(right) == said for right in answers)


def contains(answer: str, answers: Sequence[str]) -> bool:
    """Whether an answer holds one of those that count as right, both normalised, on word boundaries.

    An alias of two characters or fewer must be the whole answer: "us" is in too many sentences. In scripts without
    blanks, and in Korean, a word has no boundary, so there plain containment counts, and two characters are a word:
    only an alias of one must be the whole answer.
    """
    said = normalise(answer)
    return any(_holds(said, normalise(right)) for right in answers)


def begins_with(answer: str, right: str) -> bool:
    """Whether an answer begins with the right one, both normalised, on a word boundary where its script has any.

    For a model that goes on from a prompt and need not stop where the answer does.
    """
    said, wanted = normalise(answer), normalise(right)
    if not wanted or not said.startswith(wanted):
        return False
    return not _joined(wanted[-1], said[len(wanted) : len(wanted) + 1])


def _holds(said: str, right: str) -> bool:
    if not right or said == right:
        return bool(right)
    unbounded = len(_UNBOUNDED.findall(right))
    if len(right) + unbounded <= _SHORT or len(right) == 1:
        return False
    place = said.find(right)
    while place >= 0:
        end = place + len(right)
        if not (_joined(said[place - 1 : place], right[0]) or _joined(right[-1], said[end : end + 1])):
            return True
        place = said.find(right, place + 1)
    return False


def _joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters, or the edge of a text, belong to one word."""
    return _of_a_word(left) and _of_a_word(right)


def _of_a_word(char: str) -> bool:
    return bool(char) and unicodedata.category(char)[0] in "LMN" and not _UNBOUNDED.match(char)


def in_unspaced_script(char: str) -> bool:
    """Whether a character is of a script that parts words without blanks."""
    return bool(_UNSPACED.match(char))


def preserved(answer: str, bare: str) -> bool:
    """Whether the answer after editing is the one before it, byte for byte."""
    return answer.encode("utf-8", "surrogatepass") == bare.encode("utf-8", "surrogatepass")


def ngram_entropy(texts: Sequence[str]) -> float:
    """Fluency of free text: low where a model repeats itself.

    The weighted average of the entropies of 2-grams and 3-grams, −Σ f(k) log₂ f(k) with weights 2/3 and 4/3, averaged
    over the texts (Meng et al. 2022, "Locating and Editing Factual Associations in GPT", "GE"; the paper and
    its successors print 100 times this value). Words and punctuation marks are the units; in scripts without
    blanks, characters.

    Args:
        texts: generated texts; the source counts their prompts in.

    Returns:
        bits, 0 for texts of fewer than three units.

    Raises:
        ValueError: there is no text.
    """
    if not texts:
        raise ValueError("the entropy of no texts is not defined: give at least one")
    return float(np.mean([_entropy(_units(text)) for text in texts]))


def _entropy(units: Sequence[str]) -> float:
    entropies = []
    for n, weight in _ENTROPY_WEIGHTS.items():
        counts = Counter(zip(*(units[start:] for start in range(n)), strict=False))
        shares = np.array(list(counts.values()), float) / max(counts.total(), 1)
        entropies.append(weight * -float(np.sum(shares * np.log2(shares))))
    return float(np.mean(entropies)) + 0.0  # no negative zero


def _units(text: str) -> list[str]:
    units: list[str] = []
    for unspaced, chars in groupby(text, in_unspaced_script):
        run = "".join(chars)
        units += run if unspaced else _TOKEN.findall(run)
    return units


def harmonic_mean(values: ArrayLike) -> NDArray[np.float64]:
    """Harmonic mean over the last axis, shape (…, n) → (…); 0 where one of the values is 0.

    The score of an editor over efficacy, generalization and specificity (Meng et al. 2022, "S"): no strength
    makes up for a failure.
    """
    array = np.asarray(values, float)
    with np.errstate(divide="ignore"):
        return np.asarray(array.shape[-1] / np.sum(1 / array, axis=-1))
