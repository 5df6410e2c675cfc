"""Methods in which the model reads: with templates of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scr.context import ContextBuilder
from scr.editors import Asked
from scr.editors.registry import Workbench, open_editor
from scr.encoder import Encoder
from scr.errors import UsageError

from .test_context import NORVANIA, QUESTION, TILDA, Scripted, chat


def test_templates_of_ones_own_are_used_by_every_method_that_has_one(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{% for fact in facts %}{{ fact.text }} {% endfor %}{{ query }}")
    body = "{% for fact in facts %}{{ fact }} {% endfor %}{{ query }}"
    for name in ("eren", "scr-2025"):
        (tmp_path / f"{name}.jinja").write_text(f"Mine, {name}: {body}")
    (tmp_path / "ike.jinja").write_text(f"Prompt: Who?\nAnswer: Me\n\nMine, ike: {body}")
    for method in ("eren", "scr-2025", "ike"):
        engine = Scripted(lambda _: "Elmsport")
        bench = Workbench(engine, lambda: encoder, ContextBuilder(tmp_path))
        with open_editor(method, bench).apply([NORVANIA, TILDA]) as edited:
            (one,) = edited.prepare([Asked(chat(QUESTION), (NORVANIA,), True)])
        seen = [*engine.asked, *(str(turn["content"]) for turn in one.prompt if not isinstance(turn, str))]
        assert any(text.startswith(f"Mine, {method}: ") for text in seen), method


@pytest.mark.parametrize(
    ("method", "template", "line"),
    [
        ("eren", "{{ query", "eren.jinja, line 1 cannot be used"),
        ("eren", "{{ nothing }}", "eren.jinja cannot be used: 'nothing' is undefined"),
        ("scr-2025", "{{ query }}", "does not show the fact '"),
        ("ike", "One.\n\nPrompt: {{ query }} {{ facts }}", "every demonstration is a paragraph of its own"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(
    method: str, template: str, line: str, encoder: Encoder, tmp_path: Path
) -> None:
    (tmp_path / "chat.jinja").write_text("{% for fact in facts %}{{ fact.text }} {% endfor %}{{ query }}")
    (tmp_path / f"{method}.jinja").write_text(template)
    bench = Workbench(Scripted(), lambda: encoder, ContextBuilder(tmp_path))
    with open_editor(method, bench).apply([NORVANIA]) as edited, pytest.raises(UsageError, match=re.escape(line)):
        edited.prepare([Asked(chat(QUESTION), (NORVANIA,))])
