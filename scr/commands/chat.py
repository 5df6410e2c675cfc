"""A chat in the terminal with the facts on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from scr.commands import options
from scr.commands.asking import say_decision
from scr.commands.groups import Asking, Deciding, Drawing, spread
from scr.commands.opening import opened_edits
from scr.commands.output import dim, fact_line, note, one_line, say, written_out

if TYPE_CHECKING:
    from scr.api import Edits
    from scr.engines import Sampling
    from scr.pipeline import Decision

_PROMPT = "> "
_LONGER = Drawing(max_tokens=256)

_HELP = """/add TEXT   insert a fact
/why        which facts governed the last question, and why
/undo       take back the last change of the store
/facts      list the facts
/clear      start the conversation anew
/bare TEXT  ask without the facts
/quit       leave (or Ctrl-D)"""


@spread
def chat(
    *,
    asking: Asking,
    drawing: Drawing = _LONGER,
    deciding: Deciding,
    store: options.Store = None,
    namespace: options.Namespace = options.NAMESPACE,
) -> None:
    """Chat with the model in the terminal, facts on.

    Inside: /add TEXT inserts a fact, /why explains the last answer, /undo takes back, /help lists the rest.

    Example:

      scr chat --base-url http://localhost:8000
    """
    with opened_edits(store, namespace, deciding, asking, make=True) as edits:
        note(f"chatting with {edits.engine.model}; /help lists what can be done, Ctrl-D leaves")
        _Conversation(edits, drawing.sampling).run()


class _Conversation:
    def __init__(self, edits: Edits, sampling: Sampling) -> None:
        self._edits, self._sampling = edits, sampling
        self._turns: list[dict[str, str]] = []
        self._last: Decision | None = None
        self._commands: dict[str, Callable[[str], None]] = {
            "/add": self._add,
            "/why": self._why,
            "/undo": self._undo,
            "/facts": self._facts,
            "/clear": self._clear,
            "/bare": self._bare,
            "/help": lambda _: say(_HELP),
        }

    def run(self) -> None:
        from scr.errors import ScrError

        while (line := _read()) is not None:
            command, _, rest = line.strip().partition(" ")
            if command in {"/quit", "/exit"}:
                return
            try:
                self._do(command, rest.strip(), line.strip())
            except ScrError as error:
                note(f"error: {error}")
            except KeyboardInterrupt:
                note("\ninterrupted")

    def _do(self, command: str, rest: str, line: str) -> None:
        if command in self._commands:
            self._commands[command](rest)
        elif command.startswith("/"):
            note(f"{command} is not known: see /help")
        elif command:
            self._ask(line)

    def _ask(self, text: str) -> None:
        from scr.facts import check_query

        turns = [*self._turns, {"role": "user", "content": check_query(text)}]
        pipeline = self._edits.pipeline
        self._last = pipeline.decide(turns)
        context = pipeline.messages(turns, self._last)
        pieces = []
        for piece in self._edits.engine.stream(context.prompt, self._sampling):
            pieces.append(piece)
            sys.stdout.write(written_out(piece))
            sys.stdout.flush()
        say()
        for fact in context.shown:
            say(dim(f"  ↳ {fact_line(fact)}"))
        # The conversation keeps what the user wrote, so that a fact that is undone leaves no trace in it.
        self._turns = [*turns, {"role": "assistant", "content": "".join(pieces)}]

    def _bare(self, text: str) -> None:
        from scr.facts import check_query

        check_query(text)
        (completion,) = self._edits.pipeline.ask_bare([[{"role": "user", "content": text}]], self._sampling)
        say(written_out(completion.text.strip()))

    def _add(self, text: str) -> None:
        added = self._edits.add(text)
        say(fact_line(added.fact) + (dim("  (already there)") if added.duplicate else ""))
        for fact in added.superseded:
            say(f"  superseded {fact_line(fact)}")

    def _why(self, _: str) -> None:
        if self._last is None:
            note("nothing was asked yet")
        else:
            say_decision(self._last)

    def _undo(self, _: str) -> None:
        for undone in self._edits.store.undo():
            say(f"took back {undone.operation.kind}: " + "; ".join(one_line(fact.text) for fact in undone.facts[:3]))

    def _facts(self, _: str) -> None:
        facts = list(self._edits.store.facts())
        for fact in facts:
            say(fact_line(fact))
        if not facts:
            note("there are none: /add TEXT inserts one")

    def _clear(self, _: str) -> None:
        self._turns, self._last = [], None


def _read() -> str | None:
    if sys.stdin.isatty():
        # Only importing it gives input() a history and line editing.
        import readline  # noqa: F401
    while True:
        try:
            return input(_PROMPT if sys.stdin.isatty() else "")
        except EOFError:
            if sys.stdin.isatty():
                note("")
            return None
        except KeyboardInterrupt:
            note("\n(Ctrl-D leaves)")
