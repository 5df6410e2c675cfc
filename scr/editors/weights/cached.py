"""Tensors that take long to make, kept in the cache folder: written whole or not at all, by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scr.errors import StoreError

if TYPE_CHECKING:
    import torch


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Have a folder of the cache, made if it is missing, for this process alone.

    Raises:
        StoreError: it cannot be written.
    """
    from filelock import FileLock
    from safetensors import SafetensorError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            yield
    except (OSError, SafetensorError) as error:  # the second where there is no room
        raise StoreError(
            f"cannot write the cache {folder} ({getattr(error, 'strerror', None) or error}): "
            "make room there, or set SCR_CACHE"
        ) from error


def save(path: Path, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, int] | None = None) -> None:
    """Write a file whole or not at all."""
    from safetensors.torch import save_file

    made = path.with_name(path.name + ".new")
    texts = {name: str(value) for name, value in (numbers or {}).items()}
    save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, made, texts)
    made.replace(path)


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """The tensors of a file and the numbers beside them.

    Raises:
        StoreError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            numbers = {name: int(value) for name, value in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, numbers  # noqa: SIM118 (no dictionary)
    except SafetensorError as error:
        raise StoreError(f"the file {path} is damaged ({error}): delete it, and it is made anew") from error
