"""What the headers of real models say, without their files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1chat.serve.models.gguf.info import GgufInfo, Weights
from r1chat.serve.models.gguf.shapes import SHAPES

# of Q4_K_M, which stores a number in a bit less than five bits
BYTES_PER_NUMBER = 0.6


def info_of(shape: str, **changes: Any) -> GgufInfo:
    """A name in SHAPES, in about Q4_K_M."""
    spec = SHAPES[shape]
    head = spec.n_embd // spec.n_head
    in_blocks = sum(math.prod(dims) for name, dims in spec.tensor_shapes().items() if ".layers." in name)
    block = int(in_blocks / spec.n_layer * BYTES_PER_NUMBER)
    embedding = int(spec.n_vocab * spec.n_embd * BYTES_PER_NUMBER)
    info = GgufInfo(
        path=Path("model.gguf"),
        architecture=spec.architecture,
        name=shape,
        n_params=in_blocks,
        size_bytes=block * spec.n_layer + embedding,
        file_type="Q4_K_M",
        context_length=spec.n_ctx,
        block_count=spec.n_layer,
        embedding_length=spec.n_embd,
        feed_forward_length=spec.n_ff,
        head_count=spec.n_head,
        head_count_kv=(spec.n_head_kv,) * spec.n_layer,
        key_length=head,
        value_length=head,
        n_vocab=spec.n_vocab,
        bos_token="",
        eos_token="",
        chat_template=None,
        thought_tags=(),
        weights=Weights((block,) * spec.n_layer, embedding, 0 if spec.tied else embedding, spec.tied),
    )
    return replace(info, **changes)
