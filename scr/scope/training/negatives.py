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
