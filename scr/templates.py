"""Prompt templates: compiled in a sandbox, filled with texts that are data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def load_template(name: str, folders: Sequence[Path]) -> Template:
    """Compile ``NAME.jinja`` of the first folder that has it.

    In a sandbox: a folder of prompts that someone passes on must not be able to run code.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=False,  # the reader is a language model, and facts are shown as they are
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.jinja")


def tag_for(texts: Sequence[str]) -> str:
    """A name for the marks around facts: ``facts``, or longer where a text could pass for such a mark.

    What a lenient reader takes for one counts too: blanks and attributes in it, letters of another width, characters
    that are not seen.
    """
    plain = unicodedata.normalize("NFKC", "\n".join(texts)).casefold()
    joined = "".join(char for char in plain if char.isascii() or not _is_unseen(char))
    tag = "facts"
    while f"{tag}>" in joined or re.search(rf"<[\s/]*{tag}(?![\w-])|{tag}\s+>", joined):
        tag += "-"
    return tag


def _is_unseen(char: str) -> bool:
    """Whether it may leave no trace: formats, joiners, variation selectors, what is not assigned, Hangul fillers."""
    return unicodedata.category(char) in {"Cf", "Mn", "Me", "Cn"} or char in "\u115f\u1160"
