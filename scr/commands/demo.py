"""The whole story in a minute."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

from scr.commands import options
from scr.commands.output import dim, note, say, say_json, styled
from scr.shipped import shipped

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.pipeline import Answer


def demo(
    model: options.Model = None,
    base_url: options.BaseUrl = None,
    api_key: options.ApiKey = None,
    max_tokens: options.MaxTokens = 48,
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
    with (
        tempfile.TemporaryDirectory(prefix="scr-demo-") as folder,
        open_edits(folder, model=model, base_url=base_url, api_key=api_key) as edits,
    ):
        note("Preparing the encoder and the model (the first time takes a minute, then they are cached) …")
        name = edits.engine.model
        imported = edits.store.add_all(NewFact.of(record) for record in _lines("demo.jsonl"))
        questions = [str(record["query"]) for record in _lines("demo_questions.jsonl")]
        prompts = [[{"role": "user", "content": question}] for question in questions]
        answers = edits.pipeline.ask_all(prompts, sampling)
        bare = [completion.text for completion in edits.pipeline.ask_bare(prompts, sampling)]
        undone = _taken_back(edits, answers, sampling)
        if json_:
            pairs = zip(answers, bare, strict=True)
            say_json({"model": name, "answers": [{**one.to_json(), "bare_answer": plain} for one, plain in pairs]})
            return
        say(f"{imported.added} facts inserted. {name}, its weights untouched, is asked {len(questions)} questions:\n")
        for question, answer, plain in zip(questions, answers, bare, strict=True):
            _show(question, answer, plain)
        if undone:
            question, before, after = undone
            say(styled("scr undo", bold=True) + f" takes the facts back: {question}")
            say(f"  {dim('before')}  {_one_line(before)}")
            say(f"  {dim('after ')}  {_one_line(after)}\n")
    say('Now yours: scr add "…", scr ask "…" --compare, scr check "…"; scr --help lists the rest.')


def _taken_back(edits: Edits, answers: list[Answer], sampling: Any) -> tuple[str, str, str] | None:
    answer = next((one for one in answers if one.context.shown), None)
    if answer is None:
        return None
    edits.store.undo()
    return answer.decision.query, answer.text, edits.ask(answer.decision.query, sampling).text


def _show(question: str, answer: Answer, bare: str) -> None:
    verdict = styled("in scope", fg="green") if answer.decision.in_scope else dim("out of scope: untouched")
    say(f"{styled(question, bold=True)}  {verdict}")
    say(f"  {dim('bare  ')}  {_one_line(bare)}")
    say(f"  {dim('edited')}  {_one_line(answer.text)}")
    for fact in answer.context.shown:
        say(dim(f"          ↳ {fact.text}"))
    say()


def _one_line(text: str, limit: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _lines(name: str) -> list[dict[str, Any]]:
    text = (shipped("stores") / name).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]
