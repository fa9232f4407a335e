"""Muon for matrices (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/).

torch.optim.Muon does the same one matrix after the other and always in bfloat16, which takes a third of a small model's
step on a CPU that multiplies bfloat16 slowly. Here matrices of one shape are taken together, in a type of one's choice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Updates of Nesterov momentum, orthogonalised and of the size that AdamW's would have (`match_rms_adamw`, Liu et
    al., arXiv:2502.16982). `dtype` is what the products are computed in.
    """

    def __init__(
        self, matrices: Iterable[torch.nn.Parameter], lr: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": 0.95})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for shape, matrices in alike.items():
                # the root mean square of an orthogonal matrix is 1 / sqrt(longer side), and AdamW's is some 0.2
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                directions = torch.stack([self._direction(matrix, group["momentum"]) for matrix in matrices])
                updates = orthogonalised(directions.to(self._dtype)).float()
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _direction(self, matrix: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        mean: torch.Tensor = state["momentum_buffer"]
        mean.lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(mean, momentum)


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """`matrices` (number, rows, columns) with all their singular values between some 0.5 and 1.5, by five quintic
    Newton-Schulz iterations.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide
