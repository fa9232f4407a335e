"""Attention over rows of many sequences in one forward pass: each looks at its own cells, and nothing is padded.

transformers calls `attend` in every layer in place of its own attention, with the step as a keyword. Needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from ..model_runner import InterruptedStep
from .cell_runs import Run

NAME = "r1chat_packed"


class KeysAndValues:
    """Room for `n_cells` tokens: [layers, 2, heads, cells, width]."""

    def __init__(
        self, n_cells: int, *, n_layers: int, n_heads: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # zeros cost memory only once they are written to, where the system does so
        self._room = torch.zeros(n_layers, 2, n_heads, n_cells, width, dtype=dtype, device=device)

    @property
    def cell_bytes(self) -> int:
        layers, two, heads, _, width = self._room.shape
        return layers * two * heads * width * self._room.element_size()

    def write(self, layer: int, cells: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        """`key` and `value`: [heads, len(cells), width]."""
        self._room[layer, 0].index_copy_(1, cells, key)
        self._room[layer, 1].index_copy_(1, cells, value)

    def read(self, layer: int, runs: list[Run]) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values [heads, tokens, width]; where they lie in one run, views."""
        keys, values = _stretch(self._room[layer], runs)
        return keys, values

    def take_out(self, runs: list[Run]) -> np.ndarray:
        """All layers' numbers of those cells, as uint8."""
        state = _stretch(self._room, runs).contiguous()
        return state.cpu().view(torch.uint8).numpy().reshape(-1)

    def put_back(self, runs: list[Run], state: np.ndarray) -> None:
        """What take_out() gave, into as many cells."""
        layers, two, heads, _, width = self._room.shape
        numbers = torch.from_numpy(state.copy()).view(self._room.dtype).view(layers, two, heads, -1, width)
        done = 0
        for start, stop in runs:
            self._room[..., start:stop, :] = numbers[..., done : done + stop - start, :].to(self._room.device)
            done += stop - start


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive rows of one sequence; its tokens, they included, lie in `runs`. `mask` [rows, tokens] says which of
    them each row sees, None for a single row, which sees all.
    """

    rows: slice
    runs: list[Run]
    mask: torch.Tensor | None


@dataclass(frozen=True, slots=True)
class PackedStep:
    """One forward pass: `cells` are those of the first rows, in order; rows beyond them are idle and see nothing."""

    memory: KeysAndValues
    cells: torch.Tensor
    spans: list[Span]
    interrupted: Event


def causal_mask(start: int, n_rows: int, device: torch.device) -> torch.Tensor | None:
    """For rows from position `start` on."""
    if n_rows == 1:
        return None
    positions = torch.arange(start + n_rows, device=device)
    return positions[None] <= positions[start:, None]


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    scaling: float,
    r1chat_step: PackedStep,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: heads [1, heads, rows, width] in, [1, rows, heads, width] out.

    Raises InterruptedStep.
    """
    step, layer = r1chat_step, module.layer_idx
    if step.interrupted.is_set():
        raise InterruptedStep("The forward pass was ended early.")
    n_rows = len(step.cells)
    step.memory.write(layer, step.cells, key[0, :, :n_rows], value[0, :, :n_rows])
    out = query.new_zeros(query.shape[2], query.shape[1], query.shape[3])
    for span in step.spans:
        keys, values = step.memory.read(layer, span.runs)
        out[span.rows] = _attended(query[0, :, span.rows], keys, values, span.mask, scaling)
    return out[None], None


def _attended(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """[rows, heads, width]. The query's heads that share one of the keys' are rows of it, or one batch."""
    heads, rows, width = query.shape
    kv_heads = len(keys)
    if mask is None:
        grouped = query.reshape(1, kv_heads, heads // kv_heads * rows, width)
        out = scaled_dot_product_attention(grouped, keys[None], values[None], scale=scaling)
    else:
        grouped = query.reshape(kv_heads, heads // kv_heads, rows, width)
        shape = (kv_heads, heads // kv_heads, *keys.shape[1:])
        shared = keys[:, None].expand(shape), values[:, None].expand(shape)
        out = scaled_dot_product_attention(grouped, *shared, attn_mask=mask, scale=scaling)
    return out.reshape(heads, rows, width).transpose(0, 1)


def _stretch(room: torch.Tensor, runs: list[Run]) -> torch.Tensor:
    """The cells of `runs` one after the other; they lie in the last dimension but one."""
    parts = [room[..., start:stop, :] for start, stop in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)
