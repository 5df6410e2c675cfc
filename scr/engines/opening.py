"""Which engine answers: a server where an address is given, else the model in this process."""

from __future__ import annotations

from pathlib import Path

from scr.engines import Engine


def open_engine(
    *,
    model: str | Path | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
) -> Engine:
    """Open the engine that these options describe; nothing heavy is imported for the others.

    Args:
        model: with ``base_url`` the served name (None: the only one there is); without, a Hugging Face folder
            or hub id (None: the small model that comes with scr).
        base_url: address of an OpenAI-compatible server, such as ``http://127.0.0.1:8000/v1``.
        api_key: of that server.

    Raises:
        UsageError: the address cannot be one, or the server has several models and none is named.
        EngineError: the model or the server cannot be used.
        AssetError: the model that comes with scr could not be fetched.
        MissingExtra: the embedded engine's libraries are not installed.
    """
    if base_url:
        from scr.engines.openai import OpenAIEngine

        name = None if model is None else str(model)
        return OpenAIEngine.connect(base_url, name, api_key=api_key)
    from scr.engines.transformers import TransformersEngine

    return TransformersEngine.from_pretrained(model)
