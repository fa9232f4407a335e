"""How much memory a training takes, from the shape of its base: an estimate from what is stored for how long."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from ...serve.models.gguf.spec import ModelSpec

Method = Literal["full", "lora", "qlora"]
GIB = 1 << 30
# NF4 with its constants quantised too (Dettmers et al., 2023): 4.127 bits a weight.
_NF4_BYTES = 4.127 / 8
# The loss is taken over so many logits at a time; what is kept of each until its gradient is known, in bytes.
LOGITS_AT_ONCE = 1 << 25  # 128 MiB of them in float32
_BYTES_A_LOGIT = {"cpu": 14, "cuda": 6}
# Python with torch, transformers, trl and datasets loaded; a CUDA context with its libraries.
_PROCESS = {"cpu": int(0.6 * GIB), "cuda": int(0.7 * GIB)}


@dataclass(frozen=True)
class Memory:
    """Bytes: the weights, their gradients, AdamW's two moments, what layers keep for the backward pass with the
    loss's tiles, and the process.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    process: int

    @property
    def total(self) -> int:
        return sum(int(getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True)
class Load:
    """How a base is trained: `half` where matrices are multiplied in 16 bits, `recompute` where layers keep only
    their inputs; `tokens` are those of one micro-batch, of the longest row where that is more.
    """

    method: Method
    device: Literal["cpu", "cuda"]
    half: bool
    recompute: bool
    tokens: int
    rank: int


def estimate_memory(shape: ModelSpec, load: Load) -> Memory:
    """Of one process that holds the whole model. Trained weights are float32, frozen ones 16 bits where `half`."""
    matrices, rest = _weights(shape)
    trained = matrices + rest if load.method == "full" else adapter_weights(shape, load.rank)
    return Memory(
        weights=_weight_bytes(matrices, rest, trained, load),
        gradients=4 * trained,
        optimizer=8 * trained,
        activations=_activations(shape, load),
        process=_PROCESS[load.device],
    )


def adapter_weights(shape: ModelSpec, rank: int) -> int:
    """Of a LoRA on every matrix inside the layers."""
    tensors = shape.tensor_shapes().items()
    return sum(rank * (dims[0] + dims[1]) for name, dims in tensors if ".layers." in name and len(dims) == 2)


def _weights(shape: ModelSpec) -> tuple[int, int]:
    """Of the matrices inside the layers, and all others."""
    matrices = rest = 0
    for name, dims in shape.tensor_shapes().items():
        if ".layers." in name and len(dims) == 2:
            matrices += dims[0] * dims[1]
        else:
            rest += dims[0] * (dims[1] if len(dims) == 2 else 1)
    return matrices, rest


def _weight_bytes(matrices: int, rest: int, trained: int, load: Load) -> int:
    if load.method == "full":
        # autocast keeps a copy of each matrix in 16 bits until the backward pass is through
        return 4 * (matrices + rest) + (2 * matrices if load.half else 0)
    frozen = 2 if load.half else 4
    stored = _NF4_BYTES if load.method == "qlora" else frozen
    return int(stored * matrices + frozen * rest + 4 * trained)


def _activations(shape: ModelSpec, load: Load) -> int:
    layer = load.tokens * _bytes_a_token(shape, load)
    stream = load.tokens * shape.n_embd * (2 if load.half and load.method != "full" else 4)
    layers = layer + stream * shape.n_layer if load.recompute else layer * shape.n_layer
    logits = min(LOGITS_AT_ONCE, load.tokens * shape.n_vocab) * _BYTES_A_LOGIT[load.device]
    return layers + logits + 3 * stream


def _bytes_a_token(shape: ModelSpec, load: Load) -> int:
    """What one layer keeps of a token: two norms in float32, the inputs of seven matrices, the attention, the gate."""
    width, wide, kv = shape.n_embd, shape.n_ff, shape.head_dim * shape.n_head_kv
    size = 2 if load.half else 4
    norms = 2 * 2 * 4 * width + (2 * size * width if load.half else 0)
    attention = size * (3 * width + 2 * kv)
    gate = size * 4 * wide
    # autocast makes a copy of its input for each adapter
    adapters = size * (6 * width + wide) if load.half and load.method != "full" else 0
    return norms + attention + gate + adapters
