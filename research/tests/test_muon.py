"""Muon's steps: orthogonal ones, those of PyTorch's own, and quick where bfloat16 is slow."""

import numpy as np
import pytest
import torch

from research.distil.muon import Muon, orthogonalized


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize("shape", [(12, 100), (100, 12)])
def test_singular_values_are_made_about_one_and_singular_vectors_stay(shape):
    matrix = random(*shape)
    made = orthogonalized(matrix, steps=5)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ made @ right.T
    assert made.shape == matrix.shape
    assert inner.diagonal().min() > 0.5 and inner.diagonal().max() < 1.3
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-4


def test_a_matrix_of_zeros_stays_one():
    assert not orthogonalized(torch.zeros(3, 5)).any()


@pytest.mark.parametrize("shape", [(12, 100), (100, 12)])
def test_steps_are_those_of_pytorch_to_the_digits_of_bfloat16(shape):
    ours, theirs = random(*shape), random(*shape)
    mine = Muon([ours], 0.1, 0.9)
    reference = torch.optim.Muon([theirs], 0.1, weight_decay=0, momentum=0.9, ns_steps=4)
    for step in range(3):
        ours.grad = theirs.grad = random(*shape, seed=step + 1)
        mine.step()
        reference.step()
    moved = (theirs - random(*shape)).norm()
    assert (ours - theirs).norm() < 0.02 * moved
    torch.testing.assert_close(mine.state[ours]["momentum_buffer"], reference.state[theirs]["momentum_buffer"])


def test_nothing_is_computed_in_half_precision(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", None)
    matrix = random(4, 6)
    matrix.grad = random(4, 6, seed=1)
    Muon([matrix], 0.1, 0.9).step()
    assert matrix.dtype == torch.float32
