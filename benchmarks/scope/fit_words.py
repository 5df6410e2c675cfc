"""Fit the three weights of ``scr.scope.words`` on training files: ``python -m benchmarks.scope.fit_words --data DATA``.

Two kinds of sets, of one weight each. *Cloze*: 250 records each of the KnowEdit, zsRE and CounterFact training files,
whose prompts mostly repeat the fact; out of scope are their own locality questions. *Natural*: PokeMQA's edits with
questions in other words; out of scope is a question whose own edit is not in the store.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.common import write_result
from scr.encoder import open_encoder
from scr.scope.words import stems

FILES = ("knowedit/wiki_counterfact_train.json", "zsre/zsre_train_10000.json", "counterfact/counterfact.json")
Rows = NDArray[np.float64]


def features(questions: list[str], facts: list[str], hidden: list[set[int]] | None = None) -> Rows:
    """(cosine, coverage, 1) of each question's nearest fact that is not hidden, shape (questions, 3)."""
    encoder = open_encoder()
    cosines = encoder.encode(questions) @ encoder.encode(facts).T
    for row, places in enumerate(hidden or []):
        cosines[row, list(places)] = -1
    nearest = cosines.argmax(axis=1)
    rows = []
    for row, (question, place) in enumerate(zip(questions, nearest, strict=True)):
        asked = stems(question)
        rows.append((cosines[row, place], len(asked & stems(facts[place])) / max(len(asked), 1), 1.0))
    return np.array(rows)


def cloze(data: Path, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """In scope and out of scope of prompts that mostly repeat the fact."""
    facts, inside, outside = [], [], []
    for name in FILES:
        records: list[dict[str, Any]] = json.loads((data / name).read_text("utf-8"))
        for place in generator.choice(len(records), 250, replace=False):
            record = records[place]
            target = record.get("target_new") or record.get("alt") or ""
            prompt = record.get("prompt") or record["src"]
            facts.append(f"{prompt.rstrip()} {target if isinstance(target, str) else target[0]}.")
            inside.append(prompt)
            rephrased = record.get("rephrase_prompt") or record.get("rephrase")
            if isinstance(rephrased, str) and "counterfact.json" not in name:
                inside.append(rephrased)
            outside += [record[key] for key in ("locality_prompt", "loc") if isinstance(record.get(key), str)]
            outside += [one["prompt"] for kind in (record.get("locality") or {}).values() for one in kind[:2]]
    return features(inside, facts), features([one.removeprefix("nq question: ") for one in outside], facts)


def natural(data: Path, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """In scope and out of scope of questions in other words."""
    records = json.loads((data / "mquake/pokemqa_scope_pairs.json").read_text("utf-8"))
    pool = [records[place] for place in generator.choice(len(records), 2200, replace=False)]
    facts = [f"{record['edit']}." for record in pool]
    asked = [record["questions"][generator.integers(4)] for record in pool[:700]]
    kinds = [set(record["questions"]) for record in pool]
    own = [{place for place, kind in enumerate(kinds) if kind & kinds[row]} for row in range(len(asked))]
    return features(asked, facts), features(asked, facts, own)


def loss(weights: Rows, inside: Rows, outside: Rows) -> float:
    """Log loss, both classes of equal weight."""
    return float(np.log1p(np.exp(-inside @ weights)).mean() + np.log1p(np.exp(outside @ weights)).mean())


def auroc(inside: Rows, outside: Rows, weights: Rows) -> float:
    """Share of (in scope, out of scope) pairs in the right order."""
    return float((inside @ weights > (outside @ weights)[:, None]).mean())


def main() -> None:
    """Fit, print, and write the result beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    generator = np.random.default_rng(0)
    sets = {"cloze": cloze(data, generator), "natural": natural(data, generator)}
    fitted = minimize(lambda w: sum(loss(w, *pair) for pair in sets.values()), [12, 3, -9], method="Nelder-Mead").x
    results: dict[str, Any] = {"weights": [round(float(one), 2) for one in fitted]}
    for name, (inside, outside) in sets.items():
        results[name] = {
            "auroc": auroc(inside, outside, fitted),
            "auroc_cosine": auroc(inside, outside, np.array([1.0, 0.0, 0.0])),
            "recall": float((inside @ fitted > 0).mean()),
            "false_fire": float((outside @ fitted > 0).mean()),
        }
    print(json.dumps(results, indent=1))
    write_result(Path(__file__).parent / "results" / "words.json", {"seed": 0, "files": [*FILES, "PokeMQA"]}, results)


if __name__ == "__main__":
    main()
