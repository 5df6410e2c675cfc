"""Synthetic facts: templates filled with names, as long and as like one another as real ones."""

from __future__ import annotations

import itertools
import random

_FIRST = [
    "Ada",
    "Bram",
    "Cleo",
    "Dario",
    "Edda",
    "Finn",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaia",
    "Leif",
    "Mira",
    "Nils",
    "Oda",
    "Pia",
    "Quinn",
    "Rosa",
    "Sven",
    "Tuva",
]
_LAST = [
    "Abel",
    "Berg",
    "Cruz",
    "Dahl",
    "Evans",
    "Falk",
    "Grant",
    "Holm",
    "Ivers",
    "Jansen",
    "Kerr",
    "Lund",
    "Moreau",
    "Nagy",
    "Okafor",
    "Park",
    "Quist",
    "Rossi",
    "Sato",
]
_PLACES = [
    "Oslo",
    "Lyon",
    "Kyoto",
    "Lima",
    "Accra",
    "Quito",
    "Perth",
    "Turin",
    "Malmö",
    "Graz",
    "Cork",
    "Bergen",
    "Porto",
    "Gdańsk",
    "Leeds",
    "Hanoi",
    "Kigali",
]
_TEMPLATES = (
    "{person} was born in {place}.",
    "The director of the {place} museum is {person}.",
    "{person} has taught chemistry at the University of {place} since {year}.",
    "The novel that {person} published in {year} is set in {place}.",
    "In {year}, {person} won the {place} marathon in heavy rain.",
    "{person} and their two daughters moved from {place} to the coast in {year}.",
)


def facts(count: int) -> list[str]:
    """That many different sentences, the same ones each time."""
    chance = random.Random(0)  # noqa: S311 - the same sentences each time
    people = [f"{first} {middle}. {last}" for first, middle, last in itertools.product(_FIRST, "ABCDEFGHIJK", _LAST)]
    found: dict[str, None] = {}
    while len(found) < count:
        template = chance.choice(_TEMPLATES)
        person, place = chance.choice(people), chance.choice(_PLACES)
        found[template.format(person=person, place=place, year=chance.randint(1900, 2025))] = None
    return list(found)


def question(text: str) -> str:
    """A question near a fact."""
    return f"Is it true that {text[0].lower()}{text[1:-1]}?"
