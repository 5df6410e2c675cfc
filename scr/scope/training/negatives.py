"""Questions that look as if a fact governed them and do not."""

from __future__ import annotations

import re
from random import Random

from .pairs import Record
from .relations import library
from .wording import fill

_NEGATED = (
    "Other than {o}, what is the {n} of {s}?",
    "What is the {n} of {s}, besides {o}?",
    "Which {n} of {s} is not {o}?",
    "The {n} of {s}, which is not {o}, is",
    "Apart from {o}, the {n} of {s} is",
    "What is not the {n} of {s}?",
    "Who or what was the {n} of {s} before {o}?",
    "What was the previous {n} of {s}?",
    "What was {s}'s former {n}?",
    "Name another {n} of {s}, not {o}.",
    "{s} {n} except {o}",
    "The {n} of {s} is not {o}; it is",
    "Who was the first {n} of {s}?",
    "The name of the {n} of {s}, which is not {o}, is",
    "What will be the next {n} of {s}?",
    "What isn't {s}'s {n}?",
)
_OBJECT = (
    "What is {o}?",
    "Tell me about {o}.",
    "Where is {o}?",
    "Who founded {o}?",
    "What is the history of {o}?",
    "What is {o} famous for?",
    "When was {o} born?",
    "How old is {o}?",
    "Who is {o}?",
    "What does {o} mean?",
    "What is the capital of {o}?",
    "How many people live in {o}?",
    "What language do they speak in {o}?",
    "{o} wikipedia",
    "The {n} of {o} is",
    "What is the {n} of {o}?",
    "{o}'s {n}",
    "Who is the head of {o}?",
    "What is the population of {o}?",
    "Name something related to {o}.",
)
_FRAMED = (
    "In a novel I am writing, {s} has another {n}. Suggest one.",
    "What would have happened if {s} had had a different {n}?",
    "Who plays {s} in the film?",
    "Invent a funny {n} for {s}.",
    "Why do people care about the {n} of anyone?",
    "What is the {n} of someone like {s}?",
    'What does the word "{n}" mean?',
    "How do I spell {s}?",
    "How is {s} pronounced?",
    'How many letters are in "{s}"?',
    'Translate "{s}" into German.',
    "What is a good {n}?",
    "Which famous people have the same {n} as {s}'s neighbour?",
    "What is the {n} of the father of {s}?",
    "What is the {n} of {s}'s wife?",
    "The {n} of the brother of {s} is",
    "Who is the mother of the person next to {s}?",
    "What is the {n} of {s}'s best friend?",
)
_TASKS = (
    "Write a poem about {s}.",
    "Write a Python function that prints the name {s}.",
    "Summarise the following text: {s} was seen in town yesterday.",
    "Draft an email to {s} about the meeting on Friday.",
    "Translate into Spanish: {s} is a friend of mine.",
    "Write a short story in which {s} meets a dragon.",
    "Make a shopping list for a party with {s}.",
    'Is this sentence grammatical? "{s} have gone home."',
    "Rewrite politely: {s}, stop that.",
    "Give me five baby names that sound like {s}.",
    "def lookup(name='{s}'): # complete this function",
    "Sort these names: {s}, Zoe, Adam.",
    "Classify the sentiment: I really love {s}!",
    "Write a haiku that mentions {s}.",
    "Plan a dinner for {s} and four guests.",
)
GENERAL = (
    "hello",
    "How are you today?",
    "Thanks, that was helpful!",
    "What can you do?",
    "Tell me a joke.",
    "Good morning!",
    "ok",
    "Can you help me?",
    "Why?",
    "And then?",
    "Write a Python function that reverses a linked list.",
    "Fix this bug: for i in range(10) print(i)",
    "What is 17 times 23?",
    "Solve x^2 - 5x + 6 = 0.",
    "A train leaves at 9 and travels at 80 km/h. How far does it get by noon?",
    "Summarise our conversation so far.",
    "Translate 'good night' into Italian.",
    "Give me a recipe for lentil soup.",
    "How do I remove a red wine stain?",
    "Write a cover letter for a job as a nurse.",
    "Explain recursion to a child.",
    "What is the difference between TCP and UDP?",
    "Plan a three-day trip to the mountains.",
    "Proofread this: Their going too the store.",
    "SELECT name FROM users WHERE id = 3; what does this do?",
    "Suggest a title for my blog post about gardening.",
    "What are good ways to fall asleep?",
    "Convert 5 miles to kilometres.",
    "What is the derivative of sin(x)?",
    "If I have 3 apples and eat one, how many are left?",
    "Write a limerick about cats.",
    "Rewrite this sentence in the passive voice: The dog chased the ball.",
    "How do I exit vim?",
    "Pretend you are a pirate.",
    "What is the meaning of life?",
    "List the prime numbers below 30.",
    "Compose a tweet for the launch of our app.",
    "Compare electric and petrol cars.",
    "Give feedback on my essay about honesty.",
    "Maria has 12 marbles and gives a third of them to Tom. How many does she keep?",
    "What should I wear to a wedding?",
    "Write unit tests for a stack class.",
    "How does photosynthesis work?",
    "Describe the water cycle.",
    "Who would win, a lion or a tiger?",
    "Write a product description for a standing desk.",
    "Generate a regex for email addresses.",
    "What's the weather like tomorrow?",
    "Set a timer for ten minutes.",
    "Play some music.",
    "Act as a travel guide.",
)

_PROBLEMS = (
    "{a} has {m} marbles and gives {n} of them to {b}. How many marbles does {a} have left?",
    "{a} sells {m} {t} a day at ${n} each. How much money does {a} make in a week?",
    "A box holds {m} {t}. {a} buys {n} boxes and eats {k} of them. How many {t} are left?",
    "{a} is {n} years older than {b}. In {k} years {b} will be {m}. How old is {a} now?",
    "It takes {a} {m} minutes to walk to school and {b} twice as long. How long do both walk in {n} days?",
    "{a} runs {n} miles every morning for {k} weeks. How many miles is that in all?",
    "A shop sells {t} for ${m} each, with {n}% off on Fridays. How much do {k} {t} cost on a Friday?",
    "{a} reads {m} pages a day. The book has {k}00 pages, and {b} reads half as fast. When are both done?",
    "There are {m} pupils in a class, {n} of whom play football. What share of the class does not?",
    "{a} saves ${m} a month for {n} months and then spends ${k} on {t}. How much is left?",
    "A farmer has {m} cows and {n} times as many hens. How many legs are there?",
    "{a} bakes {m} cakes, {b} bakes {n} more than {a}. How many cakes do they bake together?",
    "A tank holds {m}00 litres and loses {n} litres an hour. How much is in it after {k} hours?",
    "Three friends share {m} {t}. {a} takes {n}, {b} takes the rest but {k}. How many does the third get?",
    "{a}'s phone plan costs ${m} a month plus {n} cents a message. What is the bill for {k}0 messages?",
    "What is {m} plus {n} times {k}?",
    "Simplify ({m}x + {n})({k}x - 1).",
    "Convert {m}.{n} kilograms to pounds.",
    "If a shirt costs ${m} after a discount of {n}%, what did it cost before?",
    "{a} and {b} drive {m} miles at {n} mph. How many hours does the trip take?",
)
_NAMES = ("James", "Maria", "Otto", "Anna", "Tina", "Weng", "Carlos", "Yuki", "Josh", "Fatima", "Mark", "Elena", "Ali")
_THINGS = (
    "apples",
    "eggs",
    "pencils",
    "stickers",
    "muffins",
    "books",
    "tickets",
    "balloons",
    "clips",
    "toys",
    "shells",
)
_REQUESTS = (
    "Write a {k} about {t}.",
    "Explain {t} to a ten-year-old.",
    "Give me {n} ideas for {t}.",
    "What are the pros and cons of {t}?",
    "Draft a short message to my team about {t}.",
    "Come up with a slogan for {t}.",
    "Suggest a plan to learn more about {t} in {n} weeks.",
    "Act as an expert on {t} and give me your best advice.",
    "Compare {t} with {u}.",
    "Rewrite this so that it is friendlier: I do not care about {t}.",
    "Make a table of the costs of {t}.",
    "Which of these does not belong: {t}, {u}, sand?",
    "Sort the following by size: {t}, {u}.",
    "How do I get better at {t}?",
    "Extract the names from this text and list them: {a} met {b} to talk about {t}.",
    "Is the tone of this review good or bad? The {t} came late and {a} was rude.",
    "Turn this into a question: {a} likes {t}.",
    "Fill in the blank: {a} went to the ___ to buy {t}.",
    "Write code that counts {t} in a list.",
    "Edit this paragraph for grammar: {a} and me was talking of {t}.",
    "You are a travel agent. Describe a day trip for people who like {t}.",
    "Give synonyms for a word that people use of {t}.",
    "Which number comes next: {m}, {n}, {k}?",
    "What should {a} say to {b} about {t}?",
)
_TOPICS = (
    "remote work", "gardening", "public speaking", "bicycles", "healthy food", "climate change", "machine learning",
    "small talk", "budget travel", "chess", "sleep", "job interviews", "recycling", "video games", "poetry",
    "electric cars", "time management", "coffee", "dogs", "online privacy", "photography", "running", "board games",
)  # fmt: skip
_FORMS = ("poem", "short story", "limerick", "blog post", "press release", "toast", "speech", "song", "summary")


def general(rng: Random) -> str:
    """Small talk, a sum, a request: nothing that a fact could answer."""
    chance = rng.random()
    if chance < 0.25:
        return rng.choice(GENERAL)
    if chance < 0.6:
        a, b = rng.sample(_NAMES, 2)
        return rng.choice(_PROBLEMS).format(
            a=a, b=b, t=rng.choice(_THINGS), m=rng.randint(12, 90), n=rng.randint(2, 11), k=rng.randint(3, 9)
        )
    a, b = rng.sample(_NAMES, 2)
    t, u = rng.sample(_TOPICS, 2)
    return rng.choice(_REQUESTS).format(
        a=a, b=b, t=t, u=u, k=rng.choice(_FORMS), m=rng.randint(12, 90), n=rng.randint(2, 11)
    )


def negated(record: Record, rng: Random) -> str:
    """Asks for anything but the fact's object, or for another time."""
    if rng.random() < 0.35 and (prompt := _negated_prompt(record, rng)):
        return prompt
    return fill(rng.choice(_NEGATED), record, rng.choice(library()[record.relation].nouns))


def _negated_prompt(record: Record, rng: Random) -> str:
    """The record's own unfinished sentence or a library one, with ", which is not O," before its end."""
    prompt = (
        record.prompt
        if record.prompt.endswith(" is")
        else fill(f"The {rng.choice(library()[record.relation].nouns)} of {{s}} is", record)
    )
    return f"{prompt[:-3]}, {rng.choice(('which is not', 'excluding', 'other than', 'besides'))} {record.object}, is"


def about_object(record: Record, rng: Random) -> str:
    """Asks for something else about the fact's object."""
    return fill(rng.choice(_OBJECT), record, rng.choice(library()[record.relation].nouns))


def framed(record: Record, rng: Random) -> str:
    """Names the subject and the relation without asking for the fact."""
    return fill(rng.choice(_FRAMED), record, rng.choice(library()[record.relation].nouns))


def task(record: Record, rng: Random) -> str:
    """Gives the model something to do in which the subject is a mere word."""
    return fill(rng.choice(_TASKS), record)


_ENDINGS = ("berg", "gren", "son", "ström", "man", "er", "ton", "ley", "ham", "feld", "ova", "ski", "ini", "et", "ard")


def lookalike(subject: str, rng: Random) -> str:
    """A subject that differs in one figure, numeral or name; empty if nothing can be changed."""
    if figures := list(re.finditer(r"\d+", subject)):
        spot = rng.choice(figures)
        other = str(max(0, int(spot[0]) + rng.choice((-11, -10, -5, -2, -1, 1, 2, 3, 5, 10))))
        return subject[: spot.start()] + other + subject[spot.end() :] if other != spot[0] else ""
    if numeral := re.search(r"\b(?:I{1,3}|IV|V|VI{1,3}|IX|XI{0,3})\b", subject):
        other = rng.choice([n for n in ("I", "II", "III", "IV", "V", "VI", "X") if n != numeral[0]])
        return subject[: numeral.start()] + other + subject[numeral.end() :]
    words = subject.split()
    if len(words) < 2 or len(words) > 4:
        return ""
    if len(words[-1]) > 4 and rng.random() < 0.5:
        ending = rng.choice([e for e in _ENDINGS if not words[-1].endswith(e)])
        return " ".join([*words[:-1], words[-1][: rng.randint(3, len(words[-1]) - 1)] + ending])
    names = [
        n
        for n in (
            "James",
            "Maria",
            "Otto",
            "Anna",
            "William",
            "Li",
            "Carlos",
            "Yuki",
            "Peter",
            "Fatima",
            "George",
            "Elena",
        )
        if n != words[0]
    ]
    return " ".join([rng.choice(names), *words[1:]])
