from __future__ import annotations

import pytest
import torch

from r1chat.distill.stream.muon import Muon, orthogonalised

SHAPES = [(48, 32), (32, 48), (48, 32), (32, 32)]


def test_singular_values_come_near_one_whatever_they_were() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, 24, 40) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    for shaped in (matrices, matrices.mT):
        values = torch.linalg.svdvals(orthogonalised(shaped))
        assert values.min() > 0.3 and values.max() < 1.3


def test_no_gradient_leaves_a_matrix_of_noughts_as_it_is() -> None:
    assert orthogonalised(torch.zeros(1, 4, 4)).abs().max() == 0


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 2e-2), (torch.bfloat16, 2e-2)])
def test_steps_are_those_of_torch(dtype: torch.dtype, off: float) -> None:
    """torch rounds to bfloat16 on the way, so the steps agree to its three digits."""
    torch.manual_seed(0)
    began = [torch.randn(shape) for shape in SHAPES]
    slopes = [[torch.randn(shape) for shape in SHAPES] for _ in range(3)]
    ours = [torch.nn.Parameter(matrix.clone()) for matrix in began]
    theirs = [torch.nn.Parameter(matrix.clone()) for matrix in began]
    optimizers = [
        (ours, Muon(ours, lr=0.1, weight_decay=0.05, dtype=dtype)),
        (theirs, torch.optim.Muon(theirs, lr=0.1, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")),
    ]
    for matrices, optimizer in optimizers:
        for slope in slopes:
            for matrix, gradient in zip(matrices, slope, strict=True):
                matrix.grad = gradient.clone()
            optimizer.step()
    for mine, other, at_first in zip(ours, theirs, began, strict=True):
        moved = (other - at_first).norm()
        assert moved > 1
        assert (mine - other).norm() < off * moved
