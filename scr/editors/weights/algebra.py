"""Solving with second moments, in float64: their smallest and largest eigenvalues are many orders apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scr.errors import EditError

if TYPE_CHECKING:
    import torch

_FIRST_RIDGE = 1e-12
_LAST_RIDGE = 1e-4


def solve(matrix: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The X of ``matrix @ X = right`` for a symmetric matrix that is not negative.

    One that is singular, as moments of few samples are, gets a ridge: the least share of its mean diagonal, in
    powers of ten from 1e-12 on, with which the solution exists.

    Args:
        matrix: [k, k].
        right: [k, n].

    Returns:
        [k, n] in float64.

    Raises:
        EditError: there is no solution even so.
    """
    import torch

    whole, wanted = matrix.double(), right.double()
    ridge, scale = 0.0, float(whole.diagonal().mean())
    while ridge <= _LAST_RIDGE:
        lower, failed = torch.linalg.cholesky_ex(whole + ridge * scale * torch.eye(len(whole), device=whole.device))
        if not failed:
            solution: torch.Tensor = torch.cholesky_solve(wanted, lower)
            return solution
        ridge = ridge * 10 or _FIRST_RIDGE
    raise EditError("the second moments of the model's keys cannot be inverted: take them of more text")


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
