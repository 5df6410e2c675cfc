"""Try prompt templates on a served model: which wording makes it answer from the facts?

    python benchmarks/templates/run.py --base-url http://127.0.0.1:8000/v1 --model smollm2-135m [NAME …]

Tries every folder of ``candidates/`` (or those named), greedily, and the bare model; writes one JSON per model,
form and candidate to ``results/`` and skips what is there. ``shipped`` is the templates in ``prompts/``.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from cases import ATTACKS, Case, all_cases  # noqa: E402
from common import write_result  # noqa: E402
from scoring import contains, exact, rate  # noqa: E402

from scr.context import ContextBuilder  # noqa: E402

MAX_TOKENS = 48
AT_ONCE = 24


class Candidate:
    """A way to show facts: templates for user turn, raw prompt or system turn, and a prefilled answer."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.name, self.folder = name, folder
        self.builder = None
        if name == "shipped":
            self.builder = ContextBuilder()
        elif folder and any((folder / f"{form}.jinja").exists() for form in ("chat", "completion")):
            self.builder = ContextBuilder(folder, budget=100_000)

    def forms(self) -> list[str]:
        """The prompt forms for which it has a template."""
        if self.folder is None:
            return ["chat", "completion"]
        names = {path.stem for path in self.folder.glob("*.jinja")}
        return [
            form for form, needed in (("chat", {"chat", "system"}), ("completion", {"completion"})) if names & needed
        ]

    def request(self, form: str, case: Case) -> dict[str, Any]:
        """The body of the request, without model and sampling."""
        if form == "completion":
            return {"prompt": self.builder.build(case.query, case.facts).prompt if self.builder else case.query}
        turns: Any = [{"role": "user", "content": case.query}]
        if self.builder:
            turns = self.builder.build(turns, case.facts).prompt
        elif self.folder and (self.folder / "system.jinja").exists():
            turns = [{"role": "system", "content": self._system(case)}, *turns]
        prefill = self.folder / "assistant.txt" if self.folder else None
        if prefill and prefill.exists():
            turns = [*turns, {"role": "assistant", "content": prefill.read_text(encoding="utf-8")}]
            return {"messages": turns, "add_generation_prompt": False, "continue_final_message": True}
        return {"messages": turns}

    def _system(self, case: Case) -> str:
        from jinja2 import Environment, FileSystemLoader

        environment = Environment(loader=FileSystemLoader(str(self.folder)), trim_blocks=True)  # noqa: S701
        return environment.get_template("system.jinja").render(facts=case.facts)


def score(form: str, case: Case, answer: str) -> dict[str, Any]:
    """Judge an answer; of a raw completion only the first line that is not blank: base models go on and on."""
    if form == "completion":
        answer = next((line for line in answer.splitlines() if line.strip()), "")
    return {
        "kind": case.kind,
        "case": case.name,
        "right": all(contains(answer, accepted) for accepted in case.answers),
        "exact": len(case.answers) == 1 and exact(answer, case.answers[0]),
        "unwanted": any(contains(answer, [text]) for text in case.unwanted),
        "answer": answer[:240],
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rates per kind of case."""
    table: dict[str, Any] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        table[kind] = {
            "right": rate([row["right"] for row in of_kind]),
            "exact": rate([row["exact"] for row in of_kind]),
        }
        if kind in ("distractors", "wrong", "injection"):
            table[kind]["unwanted"] = rate([row["unwanted"] for row in of_kind])
            table[kind]["right_alone"] = rate([row["right"] and not row["unwanted"] for row in of_kind])
    return table


async def answers(arguments: argparse.Namespace, form: str, candidate: Candidate, cases: list[Case]) -> list[str]:
    """The model's greedy answer to every case, in their order."""
    gate = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=600) as client:

        async def one(case: Case) -> str:
            body = candidate.request(form, case) | {
                "model": arguments.model, "max_tokens": MAX_TOKENS, "temperature": 0, "seed": 0,
            }  # fmt: skip
            path = "chat/completions" if form == "chat" else "completions"
            async with gate:
                response = await client.post(f"{arguments.base_url.rstrip('/')}/{path}", json=body)
            response.raise_for_status()
            choice = response.json()["choices"][0]
            return choice["message"]["content"] or "" if form == "chat" else choice["text"]

        return await asyncio.gather(*(one(case) for case in cases))


def candidates(names: list[str]) -> list[Candidate]:
    """Those named, or the bare model, the shipped templates and every folder."""
    folders = {path.name: path for path in sorted((HERE / "candidates").iterdir()) if path.is_dir()}
    known = {"bare": None, "shipped": None} | folders
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no candidate is called {unknown[0]}: there are {', '.join(known)}")
    return [Candidate(known[name], name) for name in names or known]


def main() -> None:
    """Run what has no result yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--form", choices=["chat", "completion"], help="only this form")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--again", action="store_true", help="measure even where a result is there")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every n-th fact: quicker, less certain")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    for candidate in candidates(arguments.names):
        for form in candidate.forms():
            path = arguments.results / arguments.model / f"{form}-{candidate.name}.json"
            if arguments.form not in (None, form) or (path.exists() and not arguments.again):
                continue
            cases = list(all_cases(form, arguments.every))
            said = asyncio.run(answers(arguments, form, candidate, cases))
            rows = [score(form, case, answer) for case, answer in zip(cases, said, strict=True)]
            parameters = {
                "model": arguments.model,
                "form": form,
                "candidate": candidate.name,
                "max_tokens": MAX_TOKENS,
                "temperature": 0,
                "every": arguments.every,
                "attacks": ATTACKS,
                "cases": Counter(case.kind for case in cases),
                "example": candidate.request(form, cases[0]),
            }
            table = summary(rows)
            write_result(path, parameters, {"summary": table, "answers": rows})
            figures = "  ".join(
                f"{kind} {entry['right']['right']}/{entry['right']['n']}" for kind, entry in table.items()
            )
            print(f"{arguments.model} {form} {candidate.name}: {figures}", flush=True)


if __name__ == "__main__":
    main()
