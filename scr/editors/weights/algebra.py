"""Solving with second moments, in float64: their smallest and largest eigenvalues are many orders apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from scr.errors import EditError

if TYPE_CHECKING:
    import torch

Made = TypeVar("Made")

_FIRST_RIDGE = 1e-12
_LAST_RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Factor:
    """A symmetric matrix that is not negative, ready to be solved with.

    One that is singular, as moments of few samples are, gets a ridge: the least share of its mean diagonal, in
    powers of ten from 1e-12 on, with which a solution exists.

    Attributes:
        lower: L of L Lᵀ, in float64 [k, k].
    """

    lower: torch.Tensor

    @classmethod
    def of(cls, matrix: torch.Tensor) -> Factor:
        """Factorise [k, k].

        Raises:
            EditError: it cannot be done even with a ridge.
        """
        import torch

        whole = matrix.double()
        ridge, scale = 0.0, float(whole.diagonal().mean())
        while ridge <= _LAST_RIDGE:
            lower, failed = torch.linalg.cholesky_ex(whole + ridge * scale * torch.eye(len(whole), device=whole.device))
            if not failed:
                return cls(lower)
            ridge = ridge * 10 or _FIRST_RIDGE
        raise EditError("the second moments of the model's keys cannot be inverted: take them of more text")

    def solve(self, right: torch.Tensor) -> torch.Tensor:
        """The X of ``matrix @ X = right``, both [k, n], in float64."""
        import torch

        return torch.cholesky_solve(right.double(), self.lower)

    def matrix(self) -> torch.Tensor:
        """The matrix itself, with its ridge [k, k]."""
        return self.lower @ self.lower.T


def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The X of ``matrix @ X = right`` [k, n] for a symmetric matrix that is not negative; see :class:`Factor`."""
    return Factor.of(matrix).solve(right)


class OfMoments(Generic[Made]):
    """What is made of each layer's second moment; it takes seconds, so it is kept as long as the moment is the same."""

    def __init__(self, make: Callable[[torch.Tensor], Made]) -> None:
        """Take what makes it."""
        self._make = make
        self._known: dict[int, tuple[str, Made]] = {}

    def __call__(self, layer: int, moment: torch.Tensor) -> Made:
        """What was or is now made of a layer's moment [k, k]."""
        identity = digest(moment)
        known = self._known.get(layer)
        if known is None or known[0] != identity:
            known = self._known[layer] = identity, self._make(moment)
        return known[1]


def digest(matrix: torch.Tensor) -> str:
    """Of every one of its numbers, 32 hexadecimal digits."""
    import xxhash

    return xxhash.xxh3_128_hexdigest(matrix.cpu().contiguous().numpy().data)


def null_space(moment: torch.Tensor, threshold: float) -> torch.Tensor:
    """An orthonormal basis of the directions in which keys hardly vary.

    Args:
        moment: E[k kᵀ], [k, k].
        threshold: eigenvalues below it count as zero.

    Returns:
        [k, r] in float64; the projection onto the null space is its product with its transpose.
    """
    import torch

    values, vectors = torch.linalg.eigh(moment.double())
    basis: torch.Tensor = vectors[:, values < threshold]
    return basis
