"""The loss of a language model without its logits: on a CPU in torch's own products, elsewhere with trl's kernels.

trl's head multiplies in float32 where there is no Triton, for every token, learned or not; that is most of the time
of a small model.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear, pad
from torch.utils.checkpoint import checkpoint
from trl.trainer.utils import add_fused_lm_head

from .memory import LOGITS_AT_ONCE

_SPARE_LOGITS = 1 << 20  # computed in vain, so that there are few shapes, each of which has kernels of its own


def add_loss_head(model: Any, device: torch.device) -> None:
    """Afterwards, `model(..., labels=..., fused_lm_head=True).log_probs` are those of all labels but -100."""
    if device.type == "cpu":
        model.forward = MethodType(_forward, model)
    else:
        add_fused_lm_head(model)


class _LogProbs(dict[str, torch.Tensor]):
    """A dict, because wrappers of models look for tensors in those."""

    @property
    def log_probs(self) -> torch.Tensor:
        return self["log_probs"]


def _forward(
    self: Any, *args: Any, labels: torch.Tensor | None = None, fused_lm_head: bool = False, **inputs: Any
) -> Any:
    """Log probabilities, (learned tokens,): each of the token that follows. Asked for anything else, as generation
    does, it is the model's own.
    """
    if not fused_lm_head:
        return type(self).forward(self, *args, labels=labels, **inputs)
    assert labels is not None
    hidden = self.base_model(**{**inputs, "use_cache": False}).last_hidden_state[:, :-1]
    learnt = labels[:, 1:] != -100
    hidden, targets = hidden[learnt], labels[:, 1:][learnt]
    weight, bias = self.lm_head.weight, self.lm_head.bias
    count = len(targets)
    spare = round_up(count, max(1, _SPARE_LOGITS // len(weight))) - count
    hidden, targets = pad(hidden, (0, 0, 0, spare)), pad(targets, (0, spare))
    size = max(1, LOGITS_AT_ONCE // len(weight))
    if len(targets) <= size:
        return _LogProbs(log_probs=_log_probs(hidden, targets, weight, bias)[:count])
    tiles = zip(hidden.split(size), targets.split(size), strict=True)
    # recomputed tile by tile in the backward pass, so that the logits of one tile are there at a time
    parts = [checkpoint(_log_probs, *tile, weight, bias, use_reentrant=False) for tile in tiles]
    return _LogProbs(log_probs=torch.cat(parts)[:count])


def _log_probs(
    hidden: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    return -cross_entropy(linear(hidden, weight, bias).float(), targets, reduction="none")


def round_up(count: int, step: int) -> int:
    """The next multiple of `step`."""
    return -(-count // step) * step
