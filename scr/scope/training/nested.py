"""Questions in two steps: what is asked is a property of the fact's object, which only the fact leads to."""

from __future__ import annotations

import re
from random import Random

from .pairs import Record
from .relations import Relation

_OBJECT_KINDS = {
    "P": (
        "spouse father mother child siblings coach general_manager captain ceo chairperson founder "
        "head_of_state head_of_government officeholder author composer performer director screenwriter "
        "film_producer cast creator designer discoverer winner namesake owner"
    ),
    "G": (
        "birthplace deathplace citizenship work_city residence headquarters founded_place capital capital_of "
        "country state county location twin_city origin_country continent set_in host burial served_city"
    ),
    "O": (
        "employer alma_mater party record_label team league parent_company operator membership "
        "production_company publisher broadcaster developer manufacturer part_of"
    ),
    "T": ("birthdate deathdate founded_date dissolved release_date discovered event_date"),
    "X": (
        "occupation religion native_language speaks genre sport position_played instrument official_language "
        "original_language field_of_work award position_held programming_language taxon_family war series "
        "fictional"
    ),
}
_KIND = {key: kind for kind, keys in _OBJECT_KINDS.items() for key in keys.split()}

_OUTER = {
    "P": (
        "Where was {x} born?",
        "When was {x} born?",
        "What is one notable work by {x}?",
        "What is the nationality of {x}?",
        "Who is {x} married to?",
        "The occupation of {x} is",
        "The gender of {x} is",
        "The place of birth of {x} is",
        "What awards has {x} won?",
        "Which university did {x} attend?",
        "The name of the country of citizenship of {x} is",
        "What language does {x} speak?",
        "The name of the spouse of {x} is",
        "What other things has {x} done?",
        "Where did {x} die?",
        "Who is the father of {x}?",
        "Who are the siblings of {x}?",
        "Who is {x}'s sibling?",
        "What religion does {x} follow?",
    ),
    "G": (
        "What is the capital of {x}?",
        "The name of the capital city of {x} is",
        "The official language of {x} is",
        "What currency is used in {x}?",
        "Who governs {x}?",
        "The name of the continent which {x} is part of is",
        "The name of the head of government of {x} is",
        "The name of the head of state of {x} is",
        "What is {x} known for?",
        "The name of the currency in {x} is",
        "The name of the anthem of {x} is",
        "On which continent is {x}?",
        "What is the population of {x}?",
        "What language is spoken in {x}?",
        "Which river flows through {x}?",
        "Who is the mayor of {x}?",
        "What county is {x} in?",
    ),
    "O": (
        "Who founded {x}?",
        "In which city is the headquarters of {x} located?",
        "Who is the CEO of {x}?",
        "Which parent company owns {x}?",
        "When was {x} founded?",
        "Who were the founders of {x}?",
        "In which country is {x}?",
        "What is {x} known for?",
        "The name of the founder of {x} is",
        "In which league does {x} play?",
        "Where is {x} located?",
        "The place where the headquarters of {x} is located is",
        "What other artists are with {x}?",
    ),
    "T": (
        "What significant event occurred in {x}?",
        "Who was president in {x}?",
        "What else happened in {x}?",
        "Which films came out in {x}?",
        "Which century does {x} belong to?",
        "What major historical event took place during {x}?",
    ),
    "X": (
        "What is typical of {x}?",
        "Where did {x} come from?",
        "Who is another person known for {x}?",
        "Which country does {x} come from?",
        "When did {x} begin?",
        "What is the origin of {x}?",
        "What kind of thing is {x}?",
        "Who invented {x}?",
        "In which country did {x} originate?",
        "What are the characteristics of {x}?",
    ),
}

_HEADS = {"P": "person", "G": "place", "O": "organization", "T": "year", "X": "thing"}
_RELATIVE = (
    (re.compile(r"^Where (was|is) \{s\} (.*)\?$"), "the place where {{s}} {0} {1}"),
    (
        re.compile(
            r"^(?:In which|What) (city|town|country|university|team|company|league) (?:was|is|did|does) \{s\} (.*)\?$"
        ),
        "the {0} where {{s}} was {1}",
    ),
    (
        re.compile(r"^Who (\w+ed|wrote|made|runs|heads|owns|coaches|chairs|governs|sings|won) \{s\}\?$"),
        "the person who {0} {{s}}",
    ),
    (
        re.compile(
            r"^(?:What|Which) (company|label|studio|network|artist|author|country) "
            r"(\w+ed|makes|owns|built|made|wrote|aired) \{s\}\?$"
        ),
        "the {0} that {1} {{s}}",
    ),
    (re.compile(r"^When (was|did) \{s\} (.*)\?$"), "the same year in which {{s}} {0} {1}"),
    (
        re.compile(
            r"^(?:What|Which) (team|sport|instrument|language|religion|league|position) (?:does|did) \{s\} (.*)\?$"
        ),
        "the {0} that {{s}} would {1}",
    ),
)


def question(record: Record, relation: Relation, rng: Random) -> str:
    """A two-step question through a record's fact; empty where the library knows none."""
    if not (kind := _KIND.get(relation.key)):
        return ""
    outer = rng.choice(_OUTER[kind])
    return outer.replace("{x}", _phrase(relation, rng).replace("{s}", record.subject))


def _phrase(relation: Relation, rng: Random) -> str:
    """What leads from the subject to the object: "the director of {s}", "the place where {s} was born"."""
    if rng.random() < 0.4:
        clauses = [
            form.format(*hit.groups()) for q in relation.questions for rule, form in _RELATIVE if (hit := rule.match(q))
        ]
        if clauses:
            return rng.choice(clauses)
    noun = rng.choice(relation.nouns)
    return rng.choice(
        (
            "the {n} of {s}",
            "the {n} of {s}",
            "{s}'s {n}",
            "the " + _HEADS[_KIND[relation.key]] + " that is the {n} of {s}",
        )
    ).replace("{n}", noun)
