"""Prompt templates: compiled in a sandbox, filled with texts that are data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scr.errors import ScrError, UsageError

if TYPE_CHECKING:
    from jinja2 import Template


def load_template(name: str, folders: Sequence[Path]) -> Template:
    """Compile ``NAME.jinja`` of the first folder that has it.

    In a sandbox: a folder of prompts that someone passes on must not be able to run code.

    Raises:
        UsageError: it is no template.
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
    try:
        return environment.get_template(f"{name}.jinja")
    except Exception as error:  # a file may be wrong in any way: its syntax, its letters, its permissions
        paths = [path for folder in folders if (path := folder / f"{name}.jinja").exists()]
        raise _unusable(str([*paths, folders[-1] / f"{name}.jinja"][0]), error) from error


def filled(template: Template, promised: Iterable[tuple[str, str]], **values: Any) -> str:
    """The template with values in it, held to the promise that texts are shown as they are.

    The values are data: Jinja never reads them as template source.

    Args:
        template: from :func:`load_template`.
        promised: what has to stand in the text, each with what it is called.
        values: of the template's variables.

    Raises:
        UsageError: it fails, or leaves something out.
    """
    try:
        text = template.render(values)
    except ScrError:
        raise
    except Exception as error:  # a template may fail in any way that Python can
        raise _unusable(str(template.filename), error) from error
    if missing := next((name for name, part in promised if part not in text), None):
        raise UsageError(f"the template {template.filename} does not show {missing} as it is: let it stand there")
    return text


def _unusable(path: str, error: Exception) -> UsageError:
    line = getattr(error, "lineno", None)
    reason = " ".join(str(error).split()) or type(error).__name__
    where = f"{path}{f', line {line}' if line else ''}"
    return UsageError(
        f"the template {where} cannot be used: {reason}: correct it, or leave its folder out (--prompts, SCR_PROMPTS)"
    )


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
