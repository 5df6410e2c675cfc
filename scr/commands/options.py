"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from scr.facts import DEFAULT_NAMESPACE

Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="SCR_STORE",
        metavar="PATH",
        help="Folder of the fact store. [default: stores/default in a checkout, else the user data folder]",
        rich_help_panel="Store",
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        "--namespace",
        envvar="SCR_NAMESPACE",
        metavar="NAME",
        help="Facts of different namespaces never meet.",
        rich_help_panel="Store",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        envvar="SCR_ENCODER",
        metavar="FOLDER|ID",
        help="Text encoder of a new store. [default: the shipped all-MiniLM-L6-v2]",
        rich_help_panel="Store",
    ),
]
MeasuredEncoder = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        envvar="SCR_ENCODER",
        metavar="FOLDER|ID",
        help="Text encoder. [default: the shipped all-MiniLM-L6-v2]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="The store as it was then, e.g. 2026-01-31 or 2026-01-31T12:00:00Z."),
]
Scope = Annotated[
    str | None,
    typer.Option("--scope", envvar="SCR_SCOPE", metavar="NAME", help="Scope classifier.", rich_help_panel="Decision"),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        min=0.0,
        max=1.0,
        metavar="P",
        help="Least score at which a fact applies. [default: the classifier's own]",
        rich_help_panel="Decision",
    ),
]
TopK = Annotated[
    int,
    typer.Option("--top-k", "-k", metavar="N", min=1, max=1000, help="Facts to retrieve.", rich_help_panel="Decision"),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        envvar="SCR_MODEL",
        metavar="NAME",
        help="A model folder or hub id, run in this process; with --base-url, the served name. "
        "[default: the shipped SmolLM2-135M-Instruct, or the only model served]",
        rich_help_panel="Model",
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="SCR_BASE_URL",
        metavar="URL",
        help="An OpenAI-compatible server such as vLLM.",
        rich_help_panel="Model",
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="SCR_API_KEY",
        metavar="KEY",
        help="The server's key.",
        show_envvar=True,
        rich_help_panel="Model",
    ),
]
MaxTokens = Annotated[
    int, typer.Option("--max-tokens", metavar="N", min=1, max=100_000, help="Longest answer.", rich_help_panel="Model")
]
Temperature = Annotated[
    float, typer.Option("--temperature", metavar="T", min=0.0, max=2.0, help="0 is greedy.", rich_help_panel="Model")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Makes random draws repeatable.", rich_help_panel="Model")
]
PromptForm = Annotated[
    Literal["chat", "completion"],
    typer.Option(
        "--prompt-form", metavar="chat|completion", help="Chat turns, or text to go on with.", rich_help_panel="Model"
    ),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        envvar="SCR_PROMPTS",
        metavar="FOLDER",
        help="Prompt templates of your own.",
        rich_help_panel="Model",
    ),
]

NAMESPACE = DEFAULT_NAMESPACE
MAX_TOKENS = 128
MOST = 1_000_000
"""Operations that are listed or taken back at once."""
