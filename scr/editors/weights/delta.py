"""Deltas: what is added to a matrix, as low-rank factors or whole, and their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scr.errors import EditError

if TYPE_CHECKING:
    import torch

_FORMAT = "scr-deltas-1"


@dataclass(frozen=True, slots=True)
class Delta:
    """A change of one matrix, oriented as [outputs, inputs]; kept in float32.

    Either ``left @ right`` or ``whole``. What is written into a model is computed from these numbers alone, so that
    a delta that was saved and loaded gives the very same model.

    Attributes:
        left: [outputs, r], or None.
        right: [r, inputs], or None.
        whole: [outputs, inputs], or None.
    """

    left: torch.Tensor | None = None
    right: torch.Tensor | None = None
    whole: torch.Tensor | None = None

    @classmethod
    def low_rank(cls, left: torch.Tensor, right: torch.Tensor) -> Delta:
        """The product of [outputs, r] and [r, inputs]; whole where that takes less memory."""
        if left.numel() + right.numel() > len(left) * right.shape[1]:
            return cls(whole=(left.double() @ right.double()).float())
        return cls(left=left.detach().float(), right=right.detach().float())

    @classmethod
    def full(cls, whole: torch.Tensor) -> Delta:
        """A change of any rank."""
        return cls(whole=whole.detach().float())

    @property
    def shape(self) -> tuple[int, int]:
        """Outputs and inputs."""
        if self.whole is not None:
            return len(self.whole), self.whole.shape[1]
        assert self.left is not None and self.right is not None  # noqa: S101, PT018 (the one or the other)
        return len(self.left), self.right.shape[1]

    def matrix(self) -> torch.Tensor:
        """The change as [outputs, inputs] in float64."""
        if self.whole is not None:
            return self.whole.double()
        assert self.left is not None and self.right is not None  # noqa: S101, PT018 (the one or the other)
        return self.left.double() @ self.right.double()

    def plus(self, other: Delta) -> Delta:
        """Both changes, one after the other."""
        import torch

        if self.whole is None and other.whole is None:
            assert self.left is not None and self.right is not None  # noqa: S101, PT018
            assert other.left is not None and other.right is not None  # noqa: S101, PT018
            return Delta.low_rank(torch.cat([self.left, other.left], 1), torch.cat([self.right, other.right], 0))
        return Delta.full(self.matrix() + other.matrix())

    def is_finite(self) -> bool:
        """Whether every number is one."""
        return all(bool(part.isfinite().all()) for part in (self.left, self.right, self.whole) if part is not None)


def refuse_taken(path: Path) -> Path:
    """The absolute path of a file that deltas may be written into.

    Raises:
        EditError: there is something of that name already, or no folder to put it in.
    """
    target = path.expanduser().absolute()
    if target.exists():
        raise EditError(f"{path} is there already: name another file, or remove it")
    if not target.parent.is_dir():
        raise EditError(f"there is no folder {path.parent} to write {path.name} into: make it, or name another file")
    return target


def save_deltas(path: Path, deltas: Mapping[str, Delta], method: str, base: str) -> None:
    """Write deltas as one safetensors file.

    Args:
        path: the file; it is replaced if it is there.
        deltas: by name of the parameter.
        method: that made them.
        base: fingerprint of the model that they belong to.

    Raises:
        EditError: it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {
        f"{name}:{part}": tensor.cpu().contiguous()
        for name, delta in deltas.items()
        for part in ("left", "right", "whole")
        if (tensor := getattr(delta, part)) is not None
    }
    made = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, made, {"scr": json.dumps({"format": _FORMAT, "method": method, "base": base})})
        made.replace(path)
    except (OSError, SafetensorError) as error:  # the second where there is no room, or no leave to write
        with suppress(OSError):
            made.unlink()
        reason = getattr(error, "strerror", None) or error
        raise EditError(f"cannot write {path} ({reason}): choose another place") from error


def load_deltas(path: Path) -> tuple[dict[str, Delta], str, str]:
    """Read what :func:`save_deltas` wrote.

    Returns:
        the deltas by name of the parameter, the method that made them, and the fingerprint of their model.

    Raises:
        EditError: there is no such file, or it is another kind.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise EditError(f"there is no file {path}: correct the path")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("scr", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise EditError(f"{path} is damaged or no safetensors file ({error}): give one that scr saved") from error
    if not isinstance(about, dict) or about.get("format") != _FORMAT:
        raise EditError(f"{path} holds no edits of scr's: give a file that scr saved")
    parts: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        parameter, _, part = name.rpartition(":")
        parts.setdefault(parameter, {})[part] = tensor
    if not all(name.endswith(".weight") and _is_delta(found) for name, found in parts.items()):
        raise EditError(f"{path} is incomplete or damaged: give a file that scr saved")
    return {name: Delta(**found) for name, found in parts.items()}, str(about.get("method")), str(about.get("base"))


def _is_delta(parts: Mapping[str, torch.Tensor]) -> bool:
    """Whether these are the parts of one, of the kind and shapes that are saved."""
    import torch

    if any(part.dim() != 2 or part.dtype != torch.float32 for part in parts.values()):
        return False
    if {*parts} == {"left", "right"}:
        return parts["left"].shape[1] == len(parts["right"])
    return {*parts} == {"whole"}
