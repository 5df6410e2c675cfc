"""A small invented data set, whose facts no model can know."""

from __future__ import annotations

import json
from pathlib import Path

from scr.editors import Edit
from scr.evaluation.cases import Case, Question

_RECORDS = (
    ("Norvania", "capital", "Elmsport", "Which city is the capital of Norvania?", "anthem"),
    ("Tilda Brenner", "profession", "glassblower", "What does Tilda Brenner work as?", "sister"),
    ("Quillon Optics", "founder", "Mara Stenn", "Who founded Quillon Optics?", "headquarters"),
)


def cases() -> list[Case]:
    """Three records, each with a prompt, a rephrasing, a question that needs another fact, and two out of scope."""
    made = []
    for place, (subject, relation, target, rephrased, other) in enumerate(_RECORDS):
        prompt = f"The {relation} of {subject} is"
        edit = Edit(f"{prompt} {target}.", prompt, target, subject, "Paris")
        questions = (
            Question(prompt, "reliability", "", (target,), "Paris"),
            Question(rephrased, "generalization", "", (target,)),
            Question(
                f"How many letters has this name: {prompt}", "portability", "reasoning", (str(len(target)), "many")
            ),
            Question(f"The {other} of {subject} is", "locality", "relation_specificity", ("unknown",)),
            Question("What is the capital of France?", "locality", "unrelated", ("Paris",)),
        )
        made.append(Case(f"case-{place}", (edit,), questions))
    return made


def write(path: Path) -> Path:
    """The same as a file in the layout of a user's own data set."""
    lines = []
    for case in cases():
        edit = case.edits[0]
        questions = [
            {"prompt": one.prompt, "kind": one.kind, "sub": one.sub, "answers": list(one.answers)}
            for one in case.questions[1:]
        ]
        fields = {
            "fact": edit.fact,
            "prompt": edit.prompt,
            "target": edit.target,
            "subject": edit.subject,
            "old": edit.old,
        }
        lines.append(json.dumps({"id": case.id, **fields, "questions": questions}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
