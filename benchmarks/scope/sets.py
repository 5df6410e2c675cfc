"""The development tests of the scope decision: facts of a set, questions, and the facts that govern each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from scr.scope.training.pairs import split_of

IN_SCOPE = ("reliability", "generalization", "reasoning", "alias")


@dataclass(frozen=True)
class Asked:
    """A question with what is right for it.

    Attributes:
        query: the question.
        kind: one of `IN_SCOPE`, or what kind of near-miss it is.
        facts: places of the facts that govern it; empty if none does.
        record: place of the record it came from, the unit of resampling.
    """

    query: str
    kind: str
    facts: tuple[int, ...]
    record: int


@dataclass(frozen=True)
class ScopeSet:
    """Facts that are loaded together and questions put to them."""

    name: str
    facts: tuple[str, ...]
    asked: tuple[Asked, ...]
    dropped: dict[str, int] = field(default_factory=dict)

    def sampled(self, records: int, seed: int = 0) -> ScopeSet:
        """The set with the questions of so many records only; all facts stay."""
        every = sorted({asked.record for asked in self.asked})
        rng = Random(seed)  # noqa: S311 - seeded on purpose
        kept = set(rng.sample(every, min(records, len(every))))
        return ScopeSet(self.name, self.facts, tuple(a for a in self.asked if a.record in kept), self.dropped)


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def texts(answers: Any) -> Iterator[str]:
    """Every answer in however many lists, in small letters."""
    if isinstance(answers, str):
        yield answers.casefold().strip()
    else:
        for answer in answers:
            yield from texts(answer)


def knowedit(folder: Path, name: str) -> ScopeSet:
    """WikiData_counterfact or zsRE of KnowEdit, without the questions whose label is known to be wrong.

    Dropped: a `Relation_Specificity` question whose gold answer is the record's old answer (it asks for the edited
    relation), whose prompt is another record's edit, or whose record shares its prompt with another.
    """
    rows = _load(folder / f"knowedit/{name}_test.json")
    with (folder / f"knowedit/{name}_test.sentences.jsonl").open(encoding="utf-8") as file:
        facts = tuple(json.loads(line)["sentence"] for line in file)
    prompts = Counter(row["prompt"] for row in rows)
    same = defaultdict(list)
    for place, row in enumerate(rows):
        same[row["prompt"]].append(place)
    asked: list[Asked] = []
    dropped: Counter[str] = Counter()
    for place, row in enumerate(rows):
        right = tuple(same[row["prompt"]])
        asked.append(Asked(row["prompt"], "reliability", right, place))
        if row.get("rephrase_prompt"):
            asked.append(Asked(row["rephrase_prompt"], "generalization", right, place))
        for group, kind in (
            ("Reasoning", "reasoning"),
            ("Logical_Generalization", "reasoning"),
            ("Subject_Aliasing", "alias"),
        ):
            asked += [Asked(q["prompt"], kind, right, place) for q in row["portability"].get(group, [])]
        old = set(texts(row["ground_truth"]))
        for q in row["locality"].get("Relation_Specificity", []):
            if prompts[row["prompt"]] > 1:
                dropped["prompt shared by records"] += 1
            elif q["prompt"] in prompts:
                dropped["another record's edit"] += 1
            elif old & set(texts(q["ground_truth"])):
                dropped["asks for the edited relation"] += 1
            else:
                asked.append(Asked(q["prompt"], "same subject", (), place))
        asked += [Asked(q["prompt"], "negated", (), place) for q in row["locality"].get("Forgetfulness", [])]
    return ScopeSet(name, facts, tuple(dict.fromkeys(asked)), dict(dropped))


def eren(folder: Path) -> ScopeSet:
    """EREN's counterfact-hard: neighbours of the subject with the relation, the subject with other relations."""
    rows = _load(folder / "eren/counterfact_hard.json")
    asked: list[Asked] = []
    for place, row in enumerate(rows):
        asked += [
            Asked(q, "reliability" if i == 0 else "generalization", (place,), place)
            for i, (q, _) in enumerate(row["edit_scope"])
        ]
        asked += [Asked(q, "same relation", (), place) for q in row["unrelated"]["neighbor_subj"]]
        asked += [Asked(q, "same subject", (), place) for q in row["unrelated"]["same_subj"]]
    edits = {a.query for a in asked if a.facts}
    kept = tuple(a for a in dict.fromkeys(asked) if a.facts or a.query not in edits)
    return ScopeSet("eren", tuple(row["edit_statement"] for row in rows), kept)


def counterfact(folder: Path) -> ScopeSet:
    """The CounterFact records that training and tuning leave out: prompts in scope, neighbours out."""
    rows = [
        row
        for row in _load(folder / "counterfact/counterfact.json")
        if split_of(row["subject"], "counterfact") == "test"
    ][:2000]
    prompts = {row["prompt"]: place for place, row in enumerate(rows)}
    asked = [Asked(row["prompt"], "reliability", (prompts[row["prompt"]],), place) for place, row in enumerate(rows)]
    asked += [
        Asked(row["locality_prompt"], "same relation", (), place)
        for place, row in enumerate(rows)
        if row["locality_prompt"] not in prompts
    ]
    return ScopeSet(
        "counterfact", tuple(f"{row['prompt']} {row['target_new']}." for row in rows), tuple(dict.fromkeys(asked))
    )


def general(folder: Path) -> ScopeSet:
    """Questions, chats, tasks and sums that no fact governs, against 1,000 facts of the two KnowEdit sets."""
    facts = (knowedit(folder, "wiki_counterfact").facts + knowedit(folder, "zsre").facts)[:1000]
    asked: list[tuple[str, str]] = []
    for name, kind, key in (("nq_open_dev", "nq_open", "question"), ("gsm8k_test", "gsm8k", "question")):
        lines = (folder / f"general/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        asked += [(json.loads(line)[key], kind) for line in lines]
    lines = (folder / "general/mt_bench_question.jsonl").read_text(encoding="utf-8").splitlines()
    asked += [(turn, "mt_bench") for line in lines for turn in json.loads(line)["turns"]]
    for line in (folder / "general/user_oriented_instructions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        inputs = [one.get("input", "") for one in row["instances"]]
        asked += [(f"{row['instruction']}\n{text}".strip(), "instructions") for text in inputs]
    return ScopeSet(
        "general", facts, tuple(Asked(q, kind, (), place) for place, (q, kind) in enumerate(dict.fromkeys(asked)))
    )


def every_set(folder: Path) -> list[ScopeSet]:
    """All development tests."""
    return [
        knowedit(folder, "wiki_counterfact"),
        knowedit(folder, "zsre"),
        eren(folder),
        counterfact(folder),
        general(folder),
    ]
