"""Are follow-up questions decided like the questions that they stand for?

    python -m benchmarks.scope.followups --data DATA

Each WikiData_counterfact test question that names its subject is asked again in a conversation: by a pronoun after the
subject was spoken of, and, as what lacks all but the subject, after the same question about another one. Beside it
stand questions about other relations of the subject, which are mostly out of scope (some of the data set's are not).
Three rows: the question alone; the follow-up joined to the turn before it; the follow-up told in full as well.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from unittest.mock import patch

from benchmarks.common import write_result
from scr.context import ContextBuilder
from scr.engines import Prompt
from scr.evaluation.cases import Case
from scr.evaluation.datasets import load
from scr.facts import NewFact
from scr.pipeline import Pipeline
from scr.progress import bar
from scr.scope.opening import open_scope
from scr.store import FactStore

_RESULT = Path(__file__).parent / "results" / "followups.json"
_PRONOUNS = {"it": "its", "he": "his", "she": "her", "they": "their"}


def main() -> None:
    """Read the options, decide, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with knowedit/")
    parser.add_argument("--out", type=Path, default=_RESULT)
    given = parser.parse_args()
    path = given.data / "knowedit" / "wiki_counterfact_test.json"
    cases = [case for case in load(f"wiki_counterfact={path}").cases if _subject(case) in case.edits[0].prompt]
    asked = questions(cases)
    with tempfile.TemporaryDirectory() as folder, FactStore.open(folder) as store:
        store.add_all((NewFact(case.edits[0].fact) for case in cases), on_conflict="keep")
        pipeline = Pipeline(store, open_scope(), ContextBuilder())
        with bar("Deciding", 2 * sum(map(len, asked.values()))) as advance:
            rows = {"told in full": {name: fires(pipeline, some, advance) for name, some in asked.items()}}
            with patch("scr.query.in_full", lambda *_: []):
                rows["joined"] = {name: fires(pipeline, some, advance) for name, some in asked.items()}
    write_result(
        given.out, {"facts": len(cases)}, {**rows, "questions": {name: len(some) for name, some in asked.items()}}
    )


def questions(cases: Sequence[Case]) -> dict[str, list[Prompt]]:
    """Prompts by what they are; those that need a question which a case has not are left out."""
    found: dict[str, list[Prompt]] = {
        name: [] for name in ("alone", "pronoun", "lower case", "subject only", "other relation", "its pronoun")
    }
    for place, case in enumerate(cases):
        subject, prompt = _subject(case), case.edits[0].prompt
        pronoun = list(_PRONOUNS)[place % len(_PRONOUNS)]
        other = _subject(cases[(place + 7) % len(cases)])
        found["alone"].append(_turns(prompt))
        found["pronoun"].append(_turns(f"Tell me about {subject}.", _with(pronoun, subject, prompt)))
        found["lower case"].append(
            _turns(f"who or what is {subject}?".lower(), _with(pronoun, subject, prompt).lower())
        )
        found["subject only"].append(_turns(prompt.replace(subject, other), f"What about {subject}?"))
        for question in case.questions:
            if question.kind == "locality" and subject in str(question.prompt):
                found["other relation"].append(_turns(str(question.prompt)))
                asked = _with(pronoun, subject, str(question.prompt))
                found["its pronoun"].append(_turns(f"Tell me about {subject}.", asked))
                break
    return found


def fires(pipeline: Pipeline, asked: Sequence[Prompt], advance: Callable[[int], object]) -> float:
    """Share of prompts that any fact governs."""
    said = []
    for some in (asked[start : start + 64] for start in range(0, len(asked), 64)):
        said += [decision.in_scope for decision in pipeline.decide_all(some)]
        advance(len(some))
    return round(fmean(said), 4)


def _subject(case: Case) -> str:
    return str(case.edits[0].subject)


def _turns(*asked: str) -> Prompt:
    turns = []
    for text in asked:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "Gladly."}]
    return turns[:-1]


def _with(pronoun: str, subject: str, prompt: str) -> str:
    possessive = re.sub(rf"{re.escape(subject)}['’]s\b", _PRONOUNS[pronoun], prompt)
    return possessive.replace(subject, pronoun)


if __name__ == "__main__":
    main()
