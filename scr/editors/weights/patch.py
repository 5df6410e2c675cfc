"""A patch: the changes that a model carries at this moment, and the exact way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scr.editors.weights.architecture import oriented
from scr.editors.weights.delta import Delta
from scr.errors import EditError

if TYPE_CHECKING:
    import torch


class Patch:
    """Writes deltas into the declared matrices of a model; the only code that changes a weight.

    A weight is always computed anew as the original plus the sum of its deltas, in float64, and rounded once:
    many small edits are not lost one by one to a coarse type, and the same deltas give the same weight.
    """

    def __init__(self, network: Any, names: Sequence[str]) -> None:
        """Remember the matrices of these names (``….weight``), which alone may change."""
        self._matrices = {name: oriented(network, name.removesuffix(".weight")) for name in names}
        self._original = {name: matrix.clone() for name, matrix in self._matrices.items()}
        self._deltas: dict[str, Delta] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that may change."""
        return tuple(self._matrices)

    @property
    def deltas(self) -> Mapping[str, Delta]:
        """What is added at this moment."""
        return dict(self._deltas)

    def add(self, name: str, delta: Delta) -> None:
        """Add to a matrix.

        Raises:
            EditError: the delta is not finite or does not fit; the matrix is as before.
        """
        if name not in self._matrices:
            raise EditError(f"the delta changes {name}, which is not declared: apply it to the model it was made for")
        if delta.shape != (size := tuple(self._matrices[name].shape)):  # before it is multiplied out
            raise EditError(
                f"the change of {name} is {delta.shape} and the matrix {size}: apply it to the model it was made for"
            )
        self._write(name, self._deltas[name].plus(delta) if name in self._deltas else delta)

    def matrix(self, name: str) -> torch.Tensor:
        """The matrix as it is at this moment, [outputs, inputs]; not to be changed."""
        return self._matrices[name]

    def changed(self) -> dict[str, float]:
        """‖ΔW‖/‖W‖ of each matrix that changed."""
        return {
            name: float(delta.matrix().norm() / self._original[name].double().norm())
            for name, delta in self._deltas.items()
        }

    def restore(self) -> None:
        """Take every change back, bit for bit."""
        for name, original in self._original.items():
            self._matrices[name].copy_(original)
        self._deltas = {}

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """The model as it was before every change while this lasts."""
        now = {name: matrix.clone() for name, matrix in self._matrices.items()}
        try:
            for name, original in self._original.items():
                self._matrices[name].copy_(original)
            yield
        finally:
            for name, matrix in now.items():
                self._matrices[name].copy_(matrix)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """All of what is added while this lasts, or, if it fails, none of it."""
        before, deltas = {name: matrix.clone() for name, matrix in self._matrices.items()}, dict(self._deltas)
        try:
            yield
        except BaseException:
            for name, matrix in before.items():
                self._matrices[name].copy_(matrix)
            self._deltas = deltas
            raise

    def _write(self, name: str, total: Delta) -> None:
        matrix, original = self._matrices[name], self._original[name]
        if not total.is_finite():
            raise EditError(f"the change of {name} is not finite: this edit, or so many, are too much for the model")
        change = total.matrix().to(matrix.device)
        new = (original.double() + change).to(matrix.dtype)
        if not bool(new.isfinite().all()):
            raise EditError(f"{name} would not be finite any more: this edit, or so many, are too much for the model")
        matrix.copy_(new)
        self._deltas[name] = total
