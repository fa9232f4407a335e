"""Draws tokens from a small Qwen2 or Llama on a CPU, in half the time that transformers takes: what it does around
the products takes longer than those of a few million weights. Rows that came to their end leave the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm, silu

_LARGEST = 100_000_000  # weights; above, the products are what takes the time
_KEPT = 0.75  # of the rows must be at work, or the others are taken out


def can_decode(model: Any) -> bool:
    """Whether this is a plain model of the two architectures, in float32 on a CPU, with ordinary rope."""
    if type(model).__name__ not in ("Qwen2ForCausalLM", "LlamaForCausalLM"):
        return False
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    return bool(
        model.device.type == "cpu"
        and model.dtype == torch.float32
        and model.num_parameters() < _LARGEST
        and rope.get("rope_type", "default") == "default"
        and not getattr(config, "use_sliding_window", False)
        and config.hidden_act == "silu"
    )


@dataclass(frozen=True)
class Drawing:
    """How a token is drawn from the logits; at temperature 0 it is the likeliest."""

    temperature: float
    top_p: float

    def __call__(self, logits: Tensor) -> Tensor:
        """(rows, vocabulary) -> (rows,)."""
        if self.temperature <= 0:
            return logits.argmax(-1)
        chances = (logits / self.temperature).softmax(-1)
        if self.top_p < 1:
            chances = _nucleus(chances, self.top_p)
        # by the inverse of the distribution, which takes one number a row
        sums = chances.cumsum(-1)
        return (sums <= torch.rand(len(sums), 1) * sums[:, -1:]).sum(-1).clamp(max=chances.shape[-1] - 1)


def decode(
    model: Any, prompts: list[list[int]], *, eos_id: int, max_tokens: int, drawing: Drawing, half: bool
) -> list[list[int]]:
    """New tokens of each prompt, up to and with its end, `max_tokens` at most. Without gradients. `half`: matrices
    are multiplied in bfloat16, as they are where they are trained so.
    """
    lean = _Lean(model, half=half)
    longest = max(map(len, prompts))
    ids = torch.tensor([[eos_id] * (longest - len(row)) + row for row in prompts])
    starts = torch.tensor([longest - len(row) for row in prompts])
    state = _State(lean, starts, longest + max_tokens)
    logits = lean.forward(ids, state, 0)
    new: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for at in range(longest, longest + max_tokens):
        tokens = drawing(logits)
        for row, token in zip(alive, tokens.tolist(), strict=True):
            if not new[row] or new[row][-1] != eos_id:
                new[row].append(token)
        live = [place for place, row in enumerate(alive) if new[row][-1] != eos_id]
        if not live or at + 1 == longest + max_tokens:
            break
        if len(live) < _KEPT * len(alive):
            chosen = torch.tensor(live)
            state.keep(chosen)
            tokens, alive = tokens[chosen], [alive[place] for place in live]
        logits = lean.forward(tokens[:, None], state, at)
    return new


class _State:
    """Keys and values so far, each (rows, heads, positions, head); row i begins at position starts[i]."""

    def __init__(self, lean: _Lean, starts: Tensor, length: int) -> None:
        shape = (len(starts), lean.n_kv, length, lean.head)
        self.keys = [torch.zeros(shape) for _ in lean.layers]
        self.values = [torch.zeros(shape) for _ in lean.layers]
        self.starts = starts
        self._hidden = torch.arange(length)[None] < starts[:, None]

    def keep(self, rows: Tensor) -> None:
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self.starts, self._hidden = self.starts[rows], self._hidden[rows]

    def mask(self, start: int, end: int) -> Tensor:
        """What each of the positions from `start` to `end` may look at: (rows, 1, positions, end)."""
        later = torch.arange(end)[None] > torch.arange(start, end)[:, None]
        hidden = later[None] | self._hidden[:, None, :end]
        if start == 0:  # what fills up a row looks at itself, because a row of nothing has no softmax
            hidden &= ~torch.eye(end, dtype=torch.bool)
        return torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))[:, None]


class _Product:
    """Matrices that take the same input, side by side, in the type in which this CPU multiplies faster."""

    def __init__(self, *parts: Any, half: bool) -> None:
        self._half = half
        self._weight, self._bias = self._of([part.weight for part in parts]), self._of([part.bias for part in parts])

    def __call__(self, x: Tensor) -> Tensor:
        return linear(x.bfloat16() if self._half else x, self._weight, self._bias).float()

    def _of(self, tensors: list[Any]) -> Any:
        if tensors[0] is None:
            return None
        return torch.cat([tensor.bfloat16() if self._half else tensor for tensor in tensors])


class _Layer:
    """One layer's weights."""

    def __init__(self, layer: Any, half: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.qkv = _Product(attention.q_proj, attention.k_proj, attention.v_proj, half=half)
        self.out, self.down = _Product(attention.o_proj, half=half), _Product(mlp.down_proj, half=half)
        self.gate_up = _Product(mlp.gate_proj, mlp.up_proj, half=half)
        self.before, self.after = layer.input_layernorm.weight, layer.post_attention_layernorm.weight


class _Lean:
    """The model's weights as they are now."""

    def __init__(self, model: Any, *, half: bool) -> None:
        config = model.config
        self.layers = [_Layer(layer, half) for layer in model.model.layers]
        self.n_head, self.n_kv = config.num_attention_heads, config.num_key_value_heads
        self.head = model.model.layers[0].self_attn.head_dim
        self._embed, self._out = model.model.embed_tokens.weight, _Product(model.lm_head, half=half)
        self._norm, self._eps = model.model.norm.weight, config.rms_norm_eps
        self._frequencies = model.model.rotary_emb.inv_freq

    def forward(self, ids: Tensor, state: _State, start: int) -> Tensor:
        """(rows, new positions) from position `start` on -> logits of the last, (rows, vocabulary)."""
        count = ids.shape[1]
        mask = state.mask(start, start + count)
        positions = (torch.arange(start, start + count)[None] - state.starts[:, None]).clamp(min=0)
        turns = (positions[..., None] * self._frequencies)[:, None]  # (rows, 1, positions, head / 2)
        cos, sin = turns.cos(), turns.sin()
        x = self._embed[ids]
        for number, layer in enumerate(self.layers):
            x = x + self._attend(layer, self._normed(x, layer.before), state, number, start, cos, sin, mask)
            gate, up = layer.gate_up(self._normed(x, layer.after)).chunk(2, -1)
            x = x + layer.down(silu(gate) * up)
        return self._out(self._normed(x[:, -1], self._norm))

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(x, (x.shape[-1],), weight, self._eps)

    def _attend(
        self, layer: _Layer, x: Tensor, state: _State, number: int, start: int, cos: Tensor, sin: Tensor, mask: Tensor
    ) -> Tensor:
        rows, count, _ = x.shape
        end, group = start + count, self.n_head // self.n_kv
        heads = layer.qkv(x).view(rows, count, -1, self.head).transpose(1, 2)
        turned = _turned(heads[:, : self.n_head + self.n_kv], cos, sin)
        keys, values = state.keys[number], state.values[number]
        keys[:, :, start:end] = turned[:, self.n_head :]
        values[:, :, start:end] = heads[:, self.n_head + self.n_kv :]
        # the heads of a group look at the same keys, as more positions would
        queries = turned[:, : self.n_head].reshape(rows, self.n_kv, group * count, self.head)
        wide = mask.repeat(1, 1, group, 1) if group > 1 and count > 1 else mask
        scores = queries @ keys[:, :, :end].transpose(2, 3) * self.head**-0.5 + wide
        seen = scores.softmax(-1) @ values[:, :, :end]
        seen = seen.view(rows, self.n_head, count, self.head).transpose(1, 2).reshape(rows, count, -1)
        return layer.out(seen)


def _turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rope (arXiv:2104.09864), each half of a head with the other."""
    one, two = heads.chunk(2, -1)
    return torch.cat([one * cos - two * sin, two * cos + one * sin], -1)


def _nucleus(chances: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together have `top_p`, the others at 0 (arXiv:1904.09751)."""
    ordered, at = chances.sort(-1, descending=True)
    ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
    return torch.zeros_like(chances).scatter_(-1, at, ordered)
