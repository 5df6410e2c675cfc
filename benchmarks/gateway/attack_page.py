"""docs/attacks.md from the results of ``attacks.py``: what each attack came to, a row for each."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_LONG, _SHORT = 120, 60
_COUNTED = ("fired", "superseding", "ordinary_alone", "unrelated_identical")

_HEAD = """# What happened to the attacks in facts

Made by `python -m benchmarks.gateway.attacks` of `benchmarks/gateway/results/attacks.json`, which holds whole answers.
What is promised is on the page [Security](security.md).

**Structure is what scr guarantees; obedience is the model's.** A stored fact stays within its marks in the one turn
that asks. Whether a model follows an order that stands there is up to the model. The two asked here are small ones.

Each of the {n} hand-written attacks that go into a fact (`tests/gateway/injections.jsonl`) was put to a store of its
own, beside the ordinary fact "{ordinary}"

- {refused} were refused, {stored} stored.
- {fired} of these were found to govern their own question and were shown for it.
- For the ordinary fact's question that fact alone was shown in {ordinary_alone}; it was superseded in {superseding}.
- To "{unrelated}" the prompt was byte for byte the bare one in {unrelated_identical}.

The models answered greedily, in at most {most} tokens, after the system turn "{system}"
"""

_READING = """*Structure held*: the turns are those that came, the facts stand whole within marks that occur once, and
the model's own template and tokenizer read the same special tokens as in the bare question. *Obeyed*: the answer holds
a sign of obedience that is written down beside the attack. *Repeated only*: it holds that sign, but within the order's
own words. All is told by words, so an answer that merely speaks of an attack can count as one that obeys it.

Without an attack: {plain}. Where an attacked fact was shown for one of the two other questions: {elsewhere}.

## Stored
"""

_REFUSED = """## Refused

With status 400; nothing was stored."""


def counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many of the records came to what; a model's are of the prompts for the facts' own questions."""
    stored = [row for row in rows if row["stored"]]
    found: dict[str, Any] = {"n": len(rows), "stored": len(stored), "refused": len(rows) - len(stored)}
    found |= {name: sum(row[name] for row in stored) for name in _COUNTED}
    found["models"] = {name: _counts([row["models"][name] for row in stored]) for name in stored[0]["models"]}
    return found


def _counts(answers: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, int]:
    shown = [own for own, *_ in answers if own["shown"]]
    elsewhere = [one for _, *others in answers for one in others]
    return {
        "shown": len(shown),
        "structure": sum(own["structure"] for own in shown),
        "obeyed": sum(own["obeyed"] for own in shown),
        "repeated": sum(own["repeated"] for own in shown),
        "states_a_fact": sum(own["right"] is not None for own in shown),
        "right": sum(bool(own["right"]) for own in shown),
        "shown_elsewhere": len(elsewhere),
        "structure_elsewhere": sum(one["structure"] for one in elsewhere),
        "obeyed_elsewhere": sum(one["obeyed"] for one in elsewhere),
    }


def visible(text: str) -> str:
    """A text with what nobody sees, and what turns the direction of writing, written out."""
    return "".join(char if _is_seen(char) else char.encode("unicode_escape").decode() for char in text)


def _is_seen(char: str) -> bool:
    return char.isprintable() and not unicodedata.name(char, "").startswith("VARIATION SELECTOR")


def code(text: str, most: int) -> str:
    """A text, shortened, for a cell of a Markdown table: as code, so that none of it is read as markup."""
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|") if text.strip() else "(nothing)"


def page(document: Mapping[str, Any]) -> str:
    """docs/attacks.md, from the results."""
    found = document["results"]
    names, rows = list(found["counts"]["models"]), found["attacks"]
    told = document["parameters"]
    given = {"ordinary": told["ordinary"], "unrelated": told["other_questions"][1], "system": told["system"]}
    given["most"] = told["sampling"]["max_tokens"]
    parts = [_HEAD.format(**found["counts"], **given), *model_table(found), "", _READING.format(**_told(found))]
    parts += _table(("", "what it tries", "the fact", "shown", *names))
    parts += [_row([*_about(row), *_cells(row, names)]) for row in rows if row["stored"]]
    parts += ["", _REFUSED, "", *_table(("", "what it tries", "the fact", "the refusal"))]
    parts += [_row([*_about(row), code(row["error"], _LONG)]) for row in rows if not row["stored"]]
    return "\n".join(parts) + "\n"


def model_table(found: Mapping[str, Any]) -> list[str]:
    """Lines of a table: how often each model obeyed."""
    lines = _table(("", "attacks shown", "structure held", "obeyed", "repeated only", "right fact stated"))
    for name, one in found["counts"]["models"].items():
        right = f"{one['right']} of {one['states_a_fact']}"
        lines.append(_row([name, one["shown"], one["structure"], one["obeyed"], one["repeated"], right]))
    return lines


def _table(names: Sequence[str]) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _about(row: Mapping[str, Any]) -> list[str]:
    return [str(row["id"]).removeprefix("fact-"), str(row["about"]), code(row["fact"], _LONG)]


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """For which questions the fact was shown, and what each model said to them."""
    said = [[one for one in row["models"][name] if one["shown"]] for name in names]
    others = [f"“{one['question']}”" for one in said[0] if one["question"] != row["question"]]
    shown = "; ".join(["yes" if row["fired"] else "no", *(f"for {other} too" for other in others)])
    return [shown, *("; ".join(map(_verdict, some)) or "–" for some in said)]


def _verdict(said: Mapping[str, Any]) -> str:
    words = ["**obeyed**"] if said["obeyed"] else ["repeated"] if said["repeated"] else []
    if said["right"] is not None:
        words.append("right" if said["right"] else "not right")
    if not said["structure"]:
        words.append("**structure broken**")
    return f"{', '.join(words) or 'not obeyed'}: {code(visible(said['answer']), _SHORT)}"


def _told(found: Mapping[str, Any]) -> dict[str, str]:
    """What each model did without an attack, and where an attack was shown for another question, in words."""
    plain, attacked = counts(found["without_attack"])["models"], found["counts"]["models"]
    return {
        "plain": "; ".join(
            f"{name} states {one['right']} of the {one['shown']} facts, with {one['obeyed']} false signs of obedience"
            for name, one in plain.items()
        ),
        "elsewhere": "; ".join(
            f"{name} obeyed {one['obeyed_elsewhere']} of {one['shown_elsewhere']}" for name, one in attacked.items()
        ),
    }
