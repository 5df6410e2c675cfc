"""Loading a Hugging Face model and its tokenizer, with every failure said in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from scr.engines.local import name_of, source_of
from scr.errors import EngineError, MissingExtra, ModelNotFound, ScrError


class Loaded(NamedTuple):
    """A model in memory.

    Attributes:
        model: a ``transformers`` causal language model, in evaluation mode, on its device.
        tokenizer: its tokenizer.
        name: the folder's name, or the hub id.
    """

    model: Any
    tokenizer: Any
    name: str


def load(model: str | Path | None, device: str | None, dtype: str | None) -> Loaded:
    """Load a folder, a hub id, or (None) the small model that comes with scr.

    Hub models that are already on this machine are used without asking the network.

    Args:
        model: what to load.
        device: such as ``cpu`` or ``cuda:0``; None takes a GPU if there is one.
        dtype: such as ``bfloat16``; None takes float32 on a CPU, where half precision makes an answer depend on
            which others share its batch, and the checkpoint's own type on a GPU.

    Raises:
        ModelNotFound: there is no such model, or the hub cannot be asked for it.
        EngineError: the model is there but cannot be loaded.
        AssetError: the model that comes with scr could not be fetched.
        MissingExtra: torch or transformers is not installed.
    """
    torch = import_torch()
    source = source_of(model)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind = getattr(torch, dtype) if dtype else (torch.float32 if place.type == "cpu" else "auto")
    with quiet():
        try:
            network, tokenizer = _read(source, kind)
        except ScrError:
            raise
        except Exception as error:  # of the libraries that read these files, each has exceptions of its own
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise EngineError(f"the model {source} cannot be loaded: {reason}") from error
        return Loaded(network.to(place).eval(), tokenizer, name_of(source))


def import_torch() -> Any:
    """Import torch such that its threads sleep while they wait.

    By default they spin. Where other work shares the cores, each of a model's many small steps then waits for
    a thread that the scheduler has put aside: generation was measured to take ten times as long.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    fresh = "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ
    if fresh:
        os.environ["OMP_WAIT_POLICY"] = "passive"  # OpenMP reads it once, when torch loads it
    try:
        import torch
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "transformers"}:
            raise
        raise MissingExtra("local", "a model in this process") from None
    finally:
        if fresh:
            os.environ.pop("OMP_WAIT_POLICY", None)
    return torch


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings and progress bars of transformers' own while this lasts."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _read(source: str, dtype: Any) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def read(local: bool) -> tuple[Any, Any]:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
        return AutoModelForCausalLM.from_pretrained(source, dtype=dtype, local_files_only=local), tokenizer

    if Path(source).is_dir():
        return read(local=True)
    with suppress(OSError, ValueError):
        return read(local=True)
    _ask_hub(source)
    return read(local=False)


def _ask_hub(name: str) -> None:
    """Ask the hub once whether it has the model: loading from a hub that is out of reach retries for 47 seconds."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        HfApi().model_info(name, timeout=10)
        return
    except HFValidationError:
        reason = "it is neither a folder nor a hub id"
    except GatedRepoError:
        reason = "its owner asks for a login: run `hf auth login`"
    except RepositoryNotFoundError:
        reason = "the Hugging Face hub has no public model of this name"
    except (OfflineModeIsEnabled, OSError) as error:
        raise _unreachable(name, error) from error
    except Exception as error:
        # Which HTTP library the hub's client uses, and so what it raises, depends on its version.
        if not type(error).__module__.startswith(("http", "requests", "urllib3")):
            raise
        raise _unreachable(name, error) from error
    raise ModelNotFound(f"there is no model {name!r} ({reason}): correct the name, or give a Hugging Face model folder")


def _unreachable(name: str, error: Exception) -> ModelNotFound:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return ModelNotFound(
        f"the model {name!r} is not on this machine and the Hugging Face hub cannot be reached ({reason}): "
        "connect, or give a Hugging Face model folder"
    )
