"""Commands that ask: check (the decision alone) and ask (the answer)."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from scr.commands import options
from scr.commands.groups import Asking, Deciding, Drawing, spread
from scr.commands.opening import moment, opened_edits, prompt_of, text_or_stdin
from scr.commands.output import dim, fact_line, one_line, say, say_json, styled, written_out

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.pipeline import Answer, Decision

Query = Annotated[str, typer.Argument(metavar="QUERY", help="The question; - reads it from standard input.")]


@spread
def check(
    query: Query,
    deciding: Deciding,
    as_of: options.AsOf = None,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
    json_: options.Json = False,
) -> None:
    """Say which facts govern a question; no model is asked.

    Example:

      scr check "What is the capital of France?"
    """
    prompt = prompt_of(text_or_stdin(query, "query"), "completion")
    with opened_edits(store, namespace, deciding) as edits:
        opening = _warm(edits)
        decision = edits.pipeline.decide(prompt, as_of=moment(as_of))
    if json_:
        say_json(decision.to_json())
        return
    say_decision(decision, f", after {opening:.0f} ms of opening encoder and index")


def _warm(edits: Edits) -> float:
    """Open what a decision needs, so that its timings are its own; returns milliseconds."""
    start = perf_counter()
    if edits.store.ledger.revision():
        edits.store.searcher.refresh()
    return (perf_counter() - start) * 1000


def say_decision(decision: Decision, more: str = "") -> None:
    """A decision as a person reads it."""
    verdict = styled("in scope", fg="green", bold=True) if decision.in_scope else styled("out of scope", bold=True)
    spent = f"{decision.timings_ms['total']:.1f} ms{more}"
    say(f"{verdict} {dim(spent) if decision.facts else '(there are no facts)'}")
    for judged in decision.facts:
        mark = styled("✓", fg="green") if judged.applies else " "
        bound = dim(f"{'≥' if judged.applies else '<'} {judged.threshold:.3f}")
        say(f"{mark} {judged.score:.3f} {bound}  {fact_line(judged.fact)}")


@spread
def ask(
    query: Query,
    *,
    bare: Annotated[bool, typer.Option("--bare", help="Without the facts.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="With and without the facts, side by side.")] = False,
    asking: Asking,
    drawing: Drawing,
    prompt_form: options.PromptForm = "chat",
    deciding: Deciding,
    as_of: options.AsOf = None,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
    json_: options.Json = False,
) -> None:
    """Ask the model, with the facts that govern the question.

    Examples:

      scr ask "What is the capital of France?" --compare

      scr ask "What is the capital of France?" --base-url http://localhost:8000
    """
    from scr.errors import UsageError

    if bare and compare:
        raise UsageError("--bare and --compare exclude each other: --compare asks both ways")
    prompt, sampling = prompt_of(text_or_stdin(query, "query"), prompt_form), drawing.sampling
    with opened_edits(store, namespace, deciding, asking) as edits:
        name = edits.engine.model
        if bare:
            (completion,) = edits.pipeline.ask_bare([prompt], sampling)
            said = {"query": query, "answer": completion.text, "model": name, "messages": prompt}
            say_json(said) if json_ else say(written_out(completion.text.strip()))
            return
        answer = edits.pipeline.ask(prompt, sampling, as_of=moment(as_of))
        plain = answer.text
        if compare and answer.context.shown:
            plain = edits.pipeline.ask_bare([prompt], sampling)[0].text
    if json_:
        say_json({**answer.to_json(), **({"bare_answer": plain} if compare else {})})
        return
    _say_answer(answer, plain if compare else None)


def _say_answer(answer: Answer, bare: str | None) -> None:
    if bare is not None:
        say(f"{dim('bare  ')} {written_out(bare.strip())}")
        say(f"{dim('edited')} {written_out(answer.text.strip())}")
    else:
        say(written_out(answer.text.strip()))
    for fact in answer.context.shown:
        say(dim(f"  ↳ {fact.id}  {one_line(fact.text)}"))
