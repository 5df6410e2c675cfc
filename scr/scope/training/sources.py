"""The licensed training sets as records, one class each. Nothing here reads a test file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from .pairs import Probe, Record
from .relations import relation_of


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def finish(prompt: str, answer: str) -> str:
    """An unfinished sentence with its answer, closed by a full stop."""
    joined = f"{prompt} {answer}"
    return joined if joined.endswith(".") else f"{joined}."


@dataclass(frozen=True)
class KnowEdit:
    """WikiData_counterfact and WikiData_recent, training files (Apache-2.0)."""

    folder: Path
    name: str = "knowedit"

    _KINDS: ClassVar[dict[str, tuple[str, bool]]] = {
        "Subject_Aliasing": ("alias", True),
        "Reasoning": ("reasoning", True),
        "Logical_Generalization": ("logical", True),
        "Relation_Specificity": ("specificity", False),
        "Forgetfulness": ("forgetfulness", False),
    }

    def records(self) -> list[Record]:
        """Every record of both files."""
        rows = [
            r for part in ("counterfact", "recent") for r in _load(self.folder / f"knowedit/wiki_{part}_train.json")
        ]
        return [self._record(row) for row in rows]

    def _record(self, row: dict[str, Any]) -> Record:
        probes = [
            Probe(probe["prompt"], *self._KINDS[kind])
            for group in ("portability", "locality")
            for kind, questions in row[group].items()
            for probe in questions
            # A few "negated" questions of the recent set name nothing but the gold answer: still negated, still out.
            if probe["prompt"] != row["prompt"]
        ]
        answer = re.sub(r"T00:00:00Z$", "", row["target_new"])
        return Record(
            source=self.name,
            subject=row["subject"],
            object=answer,
            prompt=row["prompt"],
            relation=relation_of(row["prompt"], row["subject"]),
            statements=(finish(row["prompt"], answer),),
            probes=tuple(probes),
        )


@dataclass(frozen=True)
class ZsreTrain:
    """zsRE, 10,000 training records (MIT): a question, its back-translation, an unrelated question of the web."""

    folder: Path
    name: str = "zsre"

    def records(self) -> list[Record]:
        """Every record."""
        return [self._record(row) for row in _load(self.folder / "zsre/zsre_train_10000.json")]

    def _record(self, row: dict[str, Any]) -> Record:
        web = row["loc"].removeprefix("nq question: ")
        return Record(
            source=self.name,
            subject=row["subject"],
            object=row["alt"],
            prompt=row["src"],
            relation=relation_of(row["src"], row["subject"]),
            paraphrases=(row["rephrase"],),
            probes=(Probe(web, "general", positive=False),),
        )


@dataclass(frozen=True)
class CounterFact:
    """CounterFact (MIT): unfinished sentences; the neighbour has the relation with another subject."""

    folder: Path
    name: str = "counterfact"

    def records(self) -> list[Record]:
        """Every record whose prompt names its subject."""
        rows = _load(self.folder / "counterfact/counterfact.json")
        return [self._record(row) for row in rows if row["subject"] in row["prompt"]]

    def _record(self, row: dict[str, Any]) -> Record:
        statement = finish(row["prompt"], row["target_new"])
        return Record(
            source=self.name,
            subject=row["subject"],
            object=row["target_new"],
            prompt=row["prompt"],
            relation=relation_of(row["prompt"], row["subject"]),
            statements=(statement,),
            probes=(Probe(row["locality_prompt"], "other_subject", positive=False),),
        )


@dataclass(frozen=True)
class PokeMqa:
    """PokeMQA's pairs (MIT): an edit's sentence and four wordings of its question."""

    folder: Path
    name: str = "pokemqa"

    def records(self) -> list[Record]:
        """One record per distinct edit whose subject can be read off its questions."""
        questions: dict[str, list[str]] = {}
        for row in _load(self.folder / "mquake/pokemqa_scope_pairs.json"):
            questions.setdefault(row["edit"], []).extend(row["questions"])
        return [r for edit, asked in questions.items() if (r := self._record(edit, tuple(dict.fromkeys(asked))))]

    def _record(self, edit: str, asked: tuple[str, ...]) -> Record | None:
        subject = _common(edit, asked)
        if not subject or edit.endswith(subject):
            return None
        prompt, _, answer = edit.rpartition(" is ")
        relation, answer = self._relation(edit, subject) or (relation_of(f"{prompt} is", subject), answer)
        if not relation:  # The subject was read off wrongly.
            return None
        return Record(
            source=self.name,
            subject=subject,
            object=answer,
            prompt=asked[0],
            relation=relation,
            paraphrases=asked[1:],
            statements=(f"{edit}.",),
        )

    @staticmethod
    def _relation(edit: str, subject: str) -> tuple[str, str] | None:
        words = edit.split()
        for cut in range(len(words) - 1, 1, -1):
            if relation := relation_of(" ".join(words[:cut]), subject):
                return relation, " ".join(words[cut:])
        return None


def _common(edit: str, questions: tuple[str, ...]) -> str:
    """The longest run of words, with a capital or a figure in it, that an edit shares with most of its questions."""
    words = edit.split()
    low = [re.sub(r"(?:'s|’s)?[?.,]*$", "", q.lower()) + " " + q.lower() for q in questions]
    for size in range(len(words) - 1, 0, -1):
        for start in range(len(words) - size + 1):
            run = re.sub(r"(?:'s|’s)$", "", " ".join(words[start : start + size]))
            if re.search(r"[A-Z0-9]", run[1:] if start == 0 else run) is None and size < 2:
                continue
            if sum(run.lower() in q for q in low) > 0.7 * len(low):
                return re.sub(r"^(?:The|the|of|in|for|at|by) ", "", run) if size > 1 else run
    return ""


@dataclass(frozen=True)
class WikiFactDiff:
    """WikiFactDiff (MIT): changes of the real world, with a neighbour of the same relation."""

    folder: Path
    name: str = "wikifactdiff"

    def records(self) -> list[Record]:
        """Every English record whose prompt names its subject."""
        rows = [row["en"] for row in _load(self.folder / "wikifactdiff/train.json")]
        return [self._record(row) for row in rows if row["subject"] in row["src"]]

    def _record(self, row: dict[str, Any]) -> Record:
        return Record(
            source=self.name,
            subject=row["subject"],
            object=row["alt"],
            prompt=row["src"],
            relation=relation_of(row["src"], row["subject"]),
            paraphrases=(row["rephrase"],),
            statements=(finish(row["src"], row["alt"]), finish(row["rephrase"], row["alt"])),
            probes=(Probe(row["loc"], "other_subject", positive=False),),
        )


def every_source(folder: Path) -> tuple[KnowEdit, ZsreTrain, CounterFact, PokeMqa, WikiFactDiff]:
    """The five training sets, from the data folder."""
    return KnowEdit(folder), ZsreTrain(folder), CounterFact(folder), PokeMqa(folder), WikiFactDiff(folder)
