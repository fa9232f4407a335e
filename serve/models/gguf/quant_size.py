"""How large a model's file will be, before it is written: an upper bound, a few per cent above what comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Bits a weight takes in most tensors, and in those llama.cpp treats better.
_BITS = {
    "F32": (32, 32),
    "F16": (16, 16),
    "BF16": (16, 16),
    "Q8_0": (8.5, 8.5),
    "Q6_K": (6.5625, 8.5),
    "Q5_K_M": (5.5, 6.5625),
    "Q4_K_M": (4.5, 6.5625),
    "Q4_0": (4.5, 6.5625),
}
# What a K-quant becomes where a row is no multiple of 256 numbers.
_FALLBACK_BITS = {4.5: 5.5, 5.5: 6.0, 6.5625: 8.5}
# Under its GGUF and its Hugging Face name.
_BETTER = ("token_embd", "embed_tokens", "output", "lm_head", "attn_v", "v_proj", "ffn_down", "down_proj", "qkv")
# The vocabulary and the rest of the header.
_HEADER = 16 << 20


def file_bytes(shapes: Mapping[str, tuple[int, ...]], file_type: str) -> int:
    """Bytes of a file with tensors of these names and shapes, the length of a row last."""
    return _HEADER + math.ceil(
        sum(_bits(name, shape, file_type) * math.prod(shape) for name, shape in shapes.items()) / 8
    )


def _bits(name: str, shape: tuple[int, ...], file_type: str) -> float:
    if len(shape) == 1 or file_type == "F32":
        return 32
    row = shape[-1]
    if row % 32 or file_type in ("F16", "BF16"):
        return 16
    bits = _BITS[file_type][any(part in name for part in _BETTER)]
    return _FALLBACK_BITS.get(bits, bits) if row % 256 and file_type.endswith(("_K", "_K_M")) else bits
