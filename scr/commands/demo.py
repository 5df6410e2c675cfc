"""The whole story in a minute."""

from __future__ import annotations

import json
import shutil
import tempfile
import textwrap
from typing import TYPE_CHECKING, Any

from scr.commands import options
from scr.commands.output import dim, note, say, say_json, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scr.api import Edits
    from scr.engines import Sampling
    from scr.pipeline import Answer

_WIDEST = 100
_SHOWN_FACTS = 4


def demo(
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    api_key: options.ApiKey = None,
    max_tokens: options.MaxTokens = 32,
    json_: options.Json = False,
) -> None:
    """Show the whole story in a minute.

    In a temporary store, facts are inserted, questions are asked with and without them, in scope and out of it, and
    the facts are taken back.

    Examples:

      scr demo

      scr demo --base-url http://localhost:8000
    """
    from scr.api import open_edits
    from scr.engines import Sampling
    from scr.facts import NewFact

    sampling = Sampling(max_tokens=max_tokens)
    questions = [str(record["query"]) for record in _lines("demo_questions.jsonl")]
    with (
        tempfile.TemporaryDirectory(prefix="scr-demo-") as folder,
        open_edits(folder, model=model, base_url=base_url, api_key=api_key) as edits,
    ):
        note("Opening the encoder and the model; the first time they are fetched and converted, which takes a minute.")
        name = edits.engine.model
        edits.store.add_all(NewFact.of(record) for record in _lines("demo.jsonl"))
        if json_:
            pairs = _asked(edits, questions, sampling)
            say_json({"model": name, "answers": [{**one.to_json(), "bare_answer": plain} for one, plain in pairs]})
            return
        _tell(edits, questions, sampling)


def _tell(edits: Edits, questions: Sequence[str], sampling: Sampling) -> None:
    facts = list(edits.store.facts())
    say(f"\n{_title(f'{len(facts)} facts go into a store')}  {dim('scr import facts.jsonl')}")
    for fact in facts[:_SHOWN_FACTS]:
        _put("  + ", fact.text)
    say(dim(f"    and {len(facts) - _SHOWN_FACTS} more"))
    decisions = [edits.decide(question) for question in questions]
    inside = [question for question, one in zip(questions, decisions, strict=True) if one.in_scope]
    outside = [question for question, one in zip(questions, decisions, strict=True) if not one.in_scope]
    say(f"\n{_title('In scope')}: the model is shown the fact; its weights stay  {dim('scr ask --compare')}")
    pairs = _asked(edits, inside, sampling)
    for question, (answer, bare) in zip(inside, pairs, strict=True):
        say(f"\n  {styled(question, bold=True)}")
        _put(f"  {dim('without')}  ", bare, width=9)
        _put(f"  {styled('with', fg='green')}     ", answer.text, width=9)
    say(f"\n{_title('Out of scope')}: the model is given the very request that came  {dim('scr check')}")
    for question, (answer, _) in zip(outside, _asked(edits, outside, sampling), strict=True):
        say(f"\n  {styled(question, bold=True)}")
        _put(f"  {dim('both')}     ", answer.text, width=9)
    _take_back(edits, pairs, sampling)
    say(
        f'\nNow yours: {_title("scr add")} "…", {_title("scr ask")} "…" --compare. {_title("scr --help")} has the rest.'
    )


def _asked(edits: Edits, questions: Sequence[str], sampling: Sampling) -> list[tuple[Answer, str]]:
    """Each answer, and the one without the facts; where none is shown they are the same, as the request is."""
    prompts = [[{"role": "user", "content": question}] for question in questions]
    answers = edits.pipeline.ask_all(prompts, sampling)
    edited = [place for place, answer in enumerate(answers) if answer.context.shown]
    bare = [answer.text for answer in answers]
    for place, completion in zip(edited, edits.pipeline.ask_bare([prompts[i] for i in edited], sampling), strict=True):
        bare[place] = completion.text
    return list(zip(answers, bare, strict=True))


def _take_back(edits: Edits, pairs: Sequence[tuple[Answer, str]], sampling: Sampling) -> None:
    if not pairs:
        return
    question, before = pairs[0][0].decision.query, pairs[0][0].text
    edits.store.undo()
    after = edits.ask(question, sampling).text
    say(f"\n{_title('Taken back')}: the facts are out of service, and the ledger keeps them  {dim('scr undo')}")
    say(f"\n  {styled(question, bold=True)}")
    _put(f"  {dim('before')}   ", before, width=9)
    _put(f"  {dim('after')}    ", after, width=9)


def _title(text: str) -> str:
    return styled(text, bold=True, fg="cyan")


def _put(label: str, text: str, width: int = 2) -> None:
    """A text below its label, two lines at most."""
    columns = min(shutil.get_terminal_size().columns, _WIDEST) - width - 4
    lines = textwrap.wrap(" ".join(text.split()), max(columns, 20), max_lines=2, placeholder=" …") or ["(nothing)"]
    say(label + lines[0])
    for line in lines[1:]:
        say(" " * (width + 2) + line)


def _lines(name: str) -> list[dict[str, Any]]:
    from scr.shipped import shipped

    text = (shipped("stores") / name).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]
