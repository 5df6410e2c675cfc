# ruff: noqa: E501, SIM905
"""Fact sentences and questions about them, made from templates and made-up names.

Facts of one relation share a wording and facts of one subject share a name, as in a real store: that is what makes
neighbours hard to tell apart, and what uniform noise has not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A fact, a question it answers, and the relation it states."""

    text: str
    question: str
    relation: int


# kind of subject, kind of object, fact, question
_RELATIONS = [
    ("person", "town", "{s} was born in {o}.", "Where was {s} born?"),
    ("person", "town", "{s} lives in {o}.", "In which town does {s} live?"),
    ("person", "town", "{s} died in {o}.", "What is the place of death of {s}?"),
    ("person", "profession", "{s} works as a {o}.", "What does {s} do for a living?"),
    ("person", "company", "{s} is employed by {o}.", "Who is the employer of {s}?"),
    ("person", "company", "{s} founded {o}.", "Which company did {s} found?"),
    ("person", "person", "{s} is married to {o}.", "Who is the spouse of {s}?"),
    ("person", "person", "The mother of {s} is {o}.", "Who is {s}'s mother?"),
    ("person", "school", "{s} was educated at {o}.", "Which school did {s} attend?"),
    ("person", "language", "The native language of {s} is {o}.", "What language did {s} grow up with?"),
    ("person", "instrument", "{s} plays the {o}.", "Which instrument does {s} play?"),
    ("person", "sport", "{s} is a professional {o} player.", "What sport does {s} play professionally?"),
    ("person", "award", "{s} received the {o}.", "Which award was given to {s}?"),
    ("person", "year", "{s} retired in {o}.", "When did {s} retire?"),
    ("town", "person", "The mayor of {s} is {o}.", "Who is the mayor of {s}?"),
    ("town", "river", "{s} lies on the river {o}.", "Which river flows through {s}?"),
    ("town", "number", "{s} has a population of {o}.", "How many people live in {s}?"),
    ("town", "town", "{s} is twinned with {o}.", "What is the twin town of {s}?"),
    ("town", "year", "{s} was founded in {o}.", "When was {s} founded?"),
    ("town", "country", "{s} is a town in {o}.", "In which country is {s}?"),
    ("company", "town", "The headquarters of {s} is in {o}.", "Where is {s} based?"),
    ("company", "person", "The chief executive of {s} is {o}.", "Who runs {s}?"),
    ("company", "product", "{s} makes {o}.", "What does {s} produce?"),
    ("company", "company", "{s} is owned by {o}.", "Who owns {s}?"),
    ("company", "number", "{s} has {o} employees.", "How many people work for {s}?"),
    ("company", "year", "{s} was listed on the stock exchange in {o}.", "In what year did {s} go public?"),
    ("work", "person", "{s} was written by {o}.", "Who is the author of {s}?"),
    ("work", "year", "{s} was first published in {o}.", "What year did {s} come out?"),
    ("work", "language", "{s} was originally written in {o}.", "In which language was {s} written?"),
    ("work", "genre", "{s} is a {o}.", "What genre does {s} belong to?"),
    ("work", "town", "{s} is set in {o}.", "Where does the story of {s} take place?"),
    ("work", "person", "The main character of {s} is {o}.", "Who is the protagonist of {s}?"),
    ("device", "product", "The {s} is used with {o}.", "What is the {s} used with?"),
    ("device", "number", "The warranty of the {s} costs {o} euros.", "How much is the warranty of the {s}?"),
    ("device", "company", "The {s} is made by {o}.", "Who is the manufacturer of the {s}?"),
    ("device", "year", "Support for the {s} ends in {o}.", "Until when is the {s} supported?"),
    ("device", "colour", "The {s} is sold in {o} only.", "What colour is the {s} available in?"),
]

_FIRST = """Ada Adam Agnes Alma Amir Anders Anita Anton Asha Astrid Aurel Beata Bela Boris Bruno Camille Carla Cecil
Chen Clara Conrad Dagmar Dario Dina Dmitri Edda Edwin Elena Elias Emeka Enid Erik Esra Fabio Farah Felix Fiona Franka
Gareth Gemma Goran Greta Hana Harald Hassan Hedda Hugo Ida Igor Imani Ines Ingrid Isaac Ivan Jana Jasper Joan Jonas
Judit Kamal Karin Kenji Kofi Lara Leander Leila Linus Livia Lorenz Lucia Magnus Malik Marta Mateo Mei Mila Mircea Mona
Nadia Naomi Nils Noor Olaf Olga Omar Otto Paloma Pavel Petra Priya Quentin Rafael Ramona Ravi Renata Rosa Rufus Sanna
Selma Serge Simone Stefan Sunita Tamar Tariq Thea Tomas Ulla Umar Vera Victor Wanda Wilhelm Xenia Yara Yusuf Zora
""".split()
_LAST = (
    "Ab Al Ander Bar Berg Bern Black Blom Brand Bren Car Cham Clay Cor Dal Dem Dor Eck Ek El Fair Fen Fors Frank Gar "
    "Gil Gold Grim Hag Hall Har Hart Hel Hol Horn Ish Jan Kal Kar Kess Kirk Kov Lang Lar Lind Lom Mac Mar Mel Mor "
    "Nor Oak Ober Pal Pet Quin Ram Ros Sand Sel Stein Stor Tan Thor Ul Val Vas Wal West Win Yar Zan Zell"
).split()
_LAST_ENDS = "ov sen ström ini ley man dez ford wood ic er aki adi eau stein son berg ska ton ell".split()
_TOWN = """Alder Ash Bal Bel Birch Bram Cald Carn Clif Cold Dun East El Ever Fal Glen Grau Hal Hazel Hoch Iron Kal
Kings Kron Lam Lin Long Mar Mill Mont Nether New North Ober Old Or Pen Port Quar Rav Red Ros Rot Salz San Schön Sil
South Stan Steen Tar Thorn Tri Under Upper Val Ver Wald Wes White Wil Win Wood Zel""".split()
_TOWN_ENDS = """bach beck berg borough bridge burg bury by cester dale dorf field fiord ford grad hafen ham haven heim
holm hurst ia ina kirk land ley mere minster mouth ona polis sted stadt stoke ton ville wick worth""".split()
_STEM = """Acu Aero Agri Alti Ambi Aqua Arbo Astra Axio Bio Calo Cata Cerv Chrono Cirra Coda Cryo Delta Dyna Eco Equi
Ferro Flexi Fluo Geo Gyro Helio Hydra Inno Kine Lumi Magna Medi Meta Micro Neo Nova Octa Omni Opti Ortho Pano Penta
Photo Pyro Quanta Rota Sero Silva Sola Sono Stella Strato Syn Tecto Terra Tri Turbo Vela Veri Vita Volta Xeno Zeta
""".split()
_STEM_ENDS = "cast core dyne form gen graph line link logic lux mark met mind nex plex pulse scan sense soft span trace tron vance ware works".split()
_FIRM = "Industries Group Labs Systems Holdings Foods Motors Energy Shipping Press Studios Partners".split()
_ADJECTIVE = """Amber Ancient Bitter Borrowed Broken Burning Crimson Distant Drowned Empty Endless Fallen Forgotten
Frozen Gentle Gilded Hidden Hollow Last Little Lonely Lost Midnight Northern Pale Painted Quiet Restless Sacred Scarlet
Second Secret Silent Silver Sleeping Stolen Summer Velvet Wandering White Wild Winter""".split()
_NOUN = """Anchor Archive Atlas Bell Bridge Cartographer Cathedral Clockmaker Compass Court Daughter Door Falcon Ferry
Fire Forest Fountain Garden Gate Harbour Heir Horizon House Island Journey King Labyrinth Ladder Lantern Letter
Lighthouse Map Meadow Mirror Moon Mountain Orchard Palace Pilgrim Promise Queen Rain Raven River Road Sea Shadow Song
Spring Star Stone Storm Tide Tower Train Valley Violin Wall Well Window Witness Wolf""".split()
_PLACE = "the Sea|the Valley|the North|the Harbour|the Mountain|the Rain|Winter|Tomorrow|the Old Town|the Border".split(
    "|"
)
_FIXED = {
    "profession": "baker|botanist|bus driver|carpenter|chemist|dentist|diplomat|drummer|farmer|geologist|glassblower|"
    "goldsmith|historian|judge|librarian|locksmith|mathematician|midwife|nurse|painter|pharmacist|photographer|"
    "physicist|pilot|plumber|poet|potter|sailor|sculptor|surgeon|tailor|teacher|translator|violin maker",
    "language": "Albanian|Arabic|Basque|Bengali|Catalan|Czech|Danish|Dutch|Estonian|Finnish|Georgian|Greek|Hausa|Hindi|"
    "Hungarian|Icelandic|Irish|Japanese|Korean|Latvian|Maltese|Polish|Portuguese|Romanian|Swahili|Tamil|Thai|Turkish|Welsh",
    "instrument": "accordion|bassoon|cello|clarinet|drums|dulcimer|flute|guitar|harp|lute|oboe|organ|piano|saxophone|sitar|"
    "trombone|trumpet|viola|violin|zither",
    "sport": "badminton|baseball|basketball|chess|cricket|curling|darts|football|golf|handball|hockey|polo|rugby|snooker|"
    "squash|table tennis|tennis|volleyball|water polo",
    "genre": "ballad|biography|comedy|cookbook|crime novel|fairy tale|ghost story|historical novel|musical|opera|picture "
    "book|satire|science fiction novel|thriller|tragedy|travelogue|war film|western",
    "country": "Argentina|Austria|Bolivia|Bulgaria|Canada|Chile|Croatia|Denmark|Ecuador|Egypt|Finland|Ghana|Hungary|Iceland|"
    "India|Ireland|Kenya|Latvia|Malta|Mexico|Nepal|Norway|Peru|Poland|Portugal|Senegal|Sweden|Tunisia|Uruguay|Vietnam",
    "product": "bicycles|blankets|cement|chocolate|clocks|contact lenses|dental drills|diesel engines|drones|elevators|"
    "fishing nets|frozen peas|garden tools|hearing aids|ice cream|insulin pumps|lamps|microscopes|paint|paper bags|"
    "pianos|printers|rain coats|roof tiles|satellites|ship propellers|solar panels|tea|tractors|wind turbines",
    "colour": "beige|black|blue|bronze|green|grey|ivory|orange|pink|purple|red|silver|teal|turquoise|white|yellow",
}  # fmt: skip


def sentences(count: int, seed: int = 0) -> Iterator[Sentence]:
    """Fact sentences, all different; a subject has a few facts."""
    draw = random.Random(seed)  # noqa: S311
    seen: set[tuple[str, int]] = set()
    while len(seen) < count:
        kind = draw.choice(["person", "person", "town", "company", "work", "device"])
        subject = _NAMES[kind](draw)
        relations = [place for place, each in enumerate(_RELATIONS) if each[0] == kind]
        for relation in draw.sample(relations, draw.randint(1, 4)):
            if (subject, relation) in seen or len(seen) == count:
                continue
            seen.add((subject, relation))
            _, value, fact, question = _RELATIONS[relation]
            text = fact.format(s=subject, o=_NAMES[value](draw))
            yield Sentence(text, question.format(s=subject), relation)


def _person(draw: random.Random) -> str:
    return f"{draw.choice(_FIRST)} {draw.choice(_LAST)}{draw.choice(_LAST_ENDS)}"


def _town(draw: random.Random) -> str:
    prefix = draw.choice(["", "", "", "", "Bad ", "Saint ", "Lower ", "Upper "])
    return f"{prefix}{draw.choice(_TOWN)}{draw.choice(_TOWN_ENDS)}"


def _company(draw: random.Random) -> str:
    return f"{draw.choice(_STEM)}{draw.choice(_STEM_ENDS)} {draw.choice(_FIRM)}"


def _work(draw: random.Random) -> str:
    shapes = [
        f"The {draw.choice(_ADJECTIVE)} {draw.choice(_NOUN)}",
        f"The {draw.choice(_NOUN)} of {draw.choice(_PLACE)}",
        f"A {draw.choice(_NOUN)} for {_town(draw)}",
        f"The {draw.choice(_NOUN)} and the {draw.choice(_NOUN)}",
    ]
    return draw.choice(shapes)


def _device(draw: random.Random) -> str:
    return f"{draw.choice(_STEM)}{draw.choice(_STEM_ENDS)} {draw.choice('ACEGKMPRSTVX')}{draw.randint(1, 99) * 10}"


def _fixed(kind: str) -> Callable[[random.Random], str]:
    values = _FIXED[kind].split("|")
    return lambda draw: draw.choice(values)


_NAMES: dict[str, Callable[[random.Random], str]] = {
    "person": _person,
    "town": _town,
    "company": _company,
    "work": _work,
    "device": _device,
    "river": lambda draw: draw.choice(_TOWN) + draw.choice(["a", "e", "en", "er", "ach", "ine"]),
    "school": lambda draw: f"the University of {_town(draw)}",
    "award": lambda draw: f"{draw.choice(_LAST)}{draw.choice(_LAST_ENDS)} {draw.choice(['Prize', 'Medal', 'Award'])}",
    "year": lambda draw: str(draw.randint(1750, 2025)),
    "number": lambda draw: f"{draw.randint(20, 900_000):,}",
    **{kind: _fixed(kind) for kind in _FIXED},
}
