"""Learned conflict detection: does a stored fact answer, differently, the question that a new one answers?

A sentence without its last word asks for it. "The seat of Quillon has been moved to Lyon" asks of a stored "Ghent is
home to the head office of Quillon" what the scope classifier is trained to tell. Where that fact governs the rest of
the sentence and does not hold its last word, both say different things of the same, in words that no grammar relates.
A relation that may have many values is left alone, for there a second value contradicts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from scr.facts import Fact
from scr.scope import Candidate, ScopeClassifier
from scr.scope.conflicts import AnyFact, StatementConflicts, overlap, words

_SURE = 0.9
_FEWEST_WORDS = 4
_LONGEST = 300
_MANY_SENTENCES = re.compile(r"[.!?;]\s|\n")
# Words of relations that may have several values at once: two of them are no contradiction.
_MANY = re.compile(
    r"\b(?:speaks?|spoke|spoken|speaking|languages?|tongue|occupations?|professions?|jobs?|careers?|works? as|worked as"
    r"|working as|earns a living|by trade|line of work|genres?|styles?|plays?|played|instruments?|awards?|awarded"
    r"|prizes?|medals?|received|won|honou?rs?|members?|membership|belongs? to|child|children|sons?|daughters?|offspring"
    r"|siblings?|brothers?|sisters?|parent of|father of|mother of|cast|stars?|starring|features?|twin|sister city"
    r"|studied|educated|attended|graduated|degree|university|college|alma mater|works? (?:for|at|in)"
    r"|worked (?:for|at|in)|employ\w*|workplace|sports?|borders?|bordering|neighbou?r\w*|next to|participants?"
    r"|characters?|fields?|area of|domain|expertise|speciali[sz]es|products?|makes|sells|likes?|friends?|visited|knows?"
    r"|has an?|owns?)\b",
    re.IGNORECASE,
)


class LearnedConflicts(StatementConflicts):
    """What grammar finds, and what the scope classifier finds among the nearest facts.

    Args:
        open_scope: opens the classifier when a fact has neighbours to be judged.
    """

    neighbours = 5

    def __init__(self, open_scope: Callable[[], ScopeClassifier]) -> None:
        self._open = open_scope
        self._scope: ScopeClassifier | None = None

    def rivals(self, new: AnyFact, near: Sequence[Candidate]) -> list[Fact]:
        """Those of the nearest facts that say something else of the same."""
        judged = [one for one in near if self._may_rival(new, one.fact)]
        if not judged:
            return []
        if self._scope is None:
            self._scope = self._open()
        question = " ".join(new.text.rstrip(" .!").split()[:-1])
        scores = self._scope.score([(question, one) for one in judged]).tolist()
        return [one.fact for one, score in zip(judged, scores, strict=True) if score >= _SURE]

    def _may_rival(self, new: AnyFact, old: Fact) -> bool:
        if not (_is_plain(new) and _is_plain(old) and overlap(new, old)):
            return False
        if self.statement(new) and self.statement(old):
            return False  # the grammar knows both, and decides
        return words(new.text)[-1] not in words(old.text)


def _is_plain(fact: AnyFact) -> bool:
    text = fact.text.rstrip(" .!")
    return (
        len(text) <= _LONGEST
        and len(words(text)) >= _FEWEST_WORDS
        and not _MANY_SENTENCES.search(text)
        and not _MANY.search(text)
    )
