"""An edited model as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scr.engines.loading import quiet
from scr.errors import EditError


def export(network: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model and its tokenizer into a new folder, whole or not at all, in the type that the model has.

    Raises:
        EditError: there is something in the folder already, or it cannot be written.
    """
    import shutil

    from safetensors import SafetensorError

    target = refuse_used(folder)
    partial = target.with_name(target.name + ".partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
        partial.mkdir(parents=True)
        with quiet():
            network.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
        for weights in partial.glob("*.safetensors"):  # written for their owner alone, which a server may not be
            shutil.copymode(partial / "config.json", weights)
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except (OSError, SafetensorError) as error:  # the second where there is no room
        reason = getattr(error, "strerror", None) or error
        raise EditError(f"cannot write {folder} ({reason}): choose another place") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_used(folder: Path) -> Path:
    """The absolute path of a folder that a model may be written into.

    Raises:
        EditError: there is something in it already, or it is a file.
    """
    target = folder.expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise EditError(f"{folder} is there already and not empty: name another folder, or remove it")
    return target
