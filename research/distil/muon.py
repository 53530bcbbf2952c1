"""Muon in float32: PyTorch's own multiplies in bfloat16, eighty times as slow where vectors have 256 bits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

__all__ = ["Muon", "orthogonalized"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 4


def orthogonalized(matrix: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Return a matrix with the singular vectors of another and singular values of about 1 (0.5 to 1.5).

    By Newton and Schulz's iteration with Jordan's coefficients: each step multiplies X by a·I + b·A + c·A² with
    A = X·Xᵀ. All these polynomials are multiplied by each other first, being smaller than X, and then by X once.

    Args:
        matrix: float32 (rows, columns).
        steps: of the iteration; each triples singular values near nothing.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalized(matrix.T, steps).T
    a, b, c = COEFFICIENTS
    matrix = matrix / matrix.norm().clamp(min=1e-7)
    gram, identity = matrix @ matrix.T, torch.eye(len(matrix))
    product = identity
    for _ in range(steps):
        polynomial = torch.addmm(a * identity + b * gram, gram, gram, alpha=c)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    return product @ matrix


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is orthogonalized (Jordan et al., "Muon: An optimizer for hidden layers", 2024).

    Args:
        matrices: float32 (rows, columns).
        lr: the spectral norm of one step, where a matrix has no more rows than columns.
        momentum: Nesterov's.
    """

    def __init__(self, matrices: Iterable[torch.Tensor], lr: float, momentum: float) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum})

    def step(self, closure: Any = None) -> None:  # noqa: ARG002 (as PyTorch's have it)
        """Take one step by the matrices' gradients; ``closure`` is not called."""
        for group in self.param_groups:
            for matrix in group["params"]:
                self._step(matrix, group["lr"], group["momentum"])

    def _step(self, matrix: torch.Tensor, rate: float, momentum: float) -> None:
        rows, columns = matrix.shape
        with torch.no_grad():
            mean = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix))
            mean.lerp_(matrix.grad, 1 - momentum)
            ahead = matrix.grad.lerp(mean, momentum)
            matrix.add_(orthogonalized(ahead), alpha=-rate * math.sqrt(max(1, rows / columns)))
