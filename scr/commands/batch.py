"""The command that answers questions in bulk."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scr.commands import options
from scr.commands.groups import Asking, Deciding, Drawing, spread
from scr.commands.opening import input_file, opened_edits
from scr.commands.output import note, say_json

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.batch import Mode


@spread
def batch(
    input_: Annotated[str, typer.Argument(metavar="IN", help="JSONL of questions; - is standard input.")],
    output: Annotated[str, typer.Option("--output", "-o", metavar="OUT", help="JSONL of answers; - is stdout.")],
    *,
    bare: Annotated[bool, typer.Option("--bare", help="Without the facts.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="With and without the facts.")] = False,
    chunk: Annotated[
        int, typer.Option("--chunk", metavar="N", min=1, help="Questions decided together, while others are answered.")
    ] = 64,
    asking: Asking,
    drawing: Drawing,
    prompt_form: options.PromptForm = "chat",
    deciding: Deciding,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
    json_: options.Json = False,
) -> None:
    """Answer questions in bulk.

    A line is {"id": …, "query": "…"} or a request of the OpenAI batch format; they run in parallel, and order and ids
    are kept. A line that fails becomes an error record and the rest go on.

    Run the same command again to go on where a run was cut off. Each answer is written when it is there (into
    OUT.early while it waits for an earlier one), so that only what was under way at a server is asked again; a model
    in this process answers a batch at a time, and a batch that was under way is answered anew.

    Examples:

      scr batch questions.jsonl -o answers.jsonl

      scr batch questions.jsonl -o both.jsonl --compare

      cat questions.jsonl | scr batch - -o - --base-url http://localhost:8000
    """
    from scr.answers import Answers, Earlier, held
    from scr.batch import Batch
    from scr.errors import UsageError
    from scr.progress import bar
    from scr.questions import read_questions

    if bare and compare:
        raise UsageError("--bare and --compare exclude each other: --compare asks both ways")
    if json_ and output == "-":
        raise UsageError("--json and -o - both write to standard output: give -o a file")
    total, sampling = _count(input_), drawing.sampling
    with (
        nullcontext(Earlier()) if output == "-" else held(Path(output)) as earlier,
        opened_edits(store, namespace, deciding, asking) as edits,
    ):
        mode: Mode = "bare" if bare else "compare" if compare else "edited"
        parameters = {**_parameters(mode, edits, deciding), "prompt_form": prompt_form, **asdict(drawing)}
        job = Batch(edits.pipeline, mode, chunk)
        with input_file(input_) as file, bar("Answering", total) as advance:
            questions = read_questions(file, sampling, prompt_form)
            if output == "-":
                counts = job.run(questions, Answers(sys.stdout), advance)
            else:
                with Answers.append_to(Path(output), earlier, parameters) as answers:
                    counts = job.run(questions, answers, advance)
    if json_:
        say_json({"answered": counts.answered, "failed": counts.failed, "resumed": counts.resumed})
    else:
        already = f", {counts.resumed:,} were done before" if counts.resumed else ""
        note(f"answered {counts.answered:,}, failed {counts.failed:,}{already}")


def _parameters(mode: Mode, edits: Edits, deciding: Deciding) -> dict[str, Any]:
    """What the answers depend on; where no fact is shown, nothing that chooses and words facts counts."""
    asked = {"mode": mode, "model": edits.engine.model}
    if mode == "bare":
        return asked
    scope = edits.pipeline.scope
    return {
        **asked,
        "store": str(edits.store.path),
        "namespace": edits.store.namespace,
        "scope": deciding.scope or scope.name,
        "threshold": float(scope.threshold),
        "top_k": deciding.top_k,
        "prompts": edits.pipeline.context.fingerprint(),
    }


def _count(name: str) -> int | None:
    """Number of questions, for the bar; also says at once that a file is not there."""
    if name == "-":
        return None
    with input_file(name) as file:
        return sum(1 for line in file if line.strip())
