"""Is the answer there? Containment and exactness of normalised text, and intervals for rates."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"[*_`\"“”„]")
_EDGE = " \t\n.,:;!?'’()[]<>-"


def normalise(text: str) -> str:
    """Case, width forms, mark-up, quotes and runs of blanks do not matter; everything else does."""
    return " ".join(_MARKUP.sub("", unicodedata.normalize("NFKC", text)).casefold().split())


def contains(text: str, answers: Iterable[str]) -> bool:
    """Whether one of the answers stands in the text as a whole: "9" is not in "9,104", nor "art" in "party"."""
    normalised = normalise(text)
    return any(
        re.search(rf"(?<!\w)(?<!\d[.,:]){re.escape(normalise(answer))}(?!\w)(?![.,:]\d)", normalised)
        for answer in answers
    )


def exact(text: str, answers: Iterable[str]) -> bool:
    """Whether the text is one of the answers and nothing else, punctuation at its ends aside."""
    return normalise(text).strip(_EDGE) in {normalise(answer).strip(_EDGE) for answer in answers}


def rate(outcomes: Sequence[bool]) -> dict[str, float | int]:
    """A share with its 95 % Wilson interval."""
    n, right = len(outcomes), sum(outcomes)
    if not n:
        return {"value": 0.0, "low": 0.0, "high": 1.0, "right": 0, "n": 0}
    z = 1.959964
    share, spread = right / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return {"value": round(share, 4), "low": round(low, 4), "high": round(high, 4), "right": right, "n": n}
