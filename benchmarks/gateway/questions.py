"""What the clients ask: of facts that are in the store, and of matters that no fact is about."""

from __future__ import annotations

import random
from collections.abc import Iterator

from benchmarks.sentences import sentences

_GENERAL = """
How does {} work?
Explain {} to a child.
Write two sentences about {}.
What is the best way to learn about {}?
Name three books on {}.
Why do people care about {}?
What should a beginner know about {}?
Give me a quiz question about {}.
What is a common mistake with {}?
Summarise the history of {} in one line.
How do I explain {} to my boss?
Is {} hard to understand?
""".strip().splitlines()
_TOPICS = (
    """
photosynthesis|recursion|a steam engine|compound interest|the water cycle|regular expressions|sourdough|rainbows
double-entry bookkeeping|machine translation|the stock market|sorting algorithms|a heat pump|time zones|vaccination
public speaking|perspective drawing|unit tests|plate tectonics|a mortgage|black holes|garbage collection|composting
the periodic table|SQL joins|jet lag|a sewing machine|game theory|the immune system|version control|probability
a lever|Newton's laws|inflation|hash tables|gravity|a job interview|allergies|encryption|long division
""".strip()
    .replace("\n", "|")
    .split("|")
)


class Questions:
    """Endless questions, a share of which stored facts answer.

    Args:
        facts: how many of the made-up sentences the store holds, from the first one on.
    """

    def __init__(self, facts: int) -> None:
        self._answered = [sentence.question for sentence in sentences(facts)]

    def draw(self, share: float, seed: int) -> Iterator[str]:
        """Questions in an order that the seed decides; ``share`` of them (0 to 1) have a fact in the store."""
        chance = random.Random(seed)  # noqa: S311
        while True:
            if chance.random() < share:
                yield chance.choice(self._answered)
            else:
                yield chance.choice(_GENERAL).format(chance.choice(_TOPICS))
