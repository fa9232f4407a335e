"""What a GGUF is written from: the shape of a model and its tokeniser. Values only, no files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

# GGUF's kinds of token
TOKEN_NORMAL, TOKEN_CONTROL, TOKEN_USER_DEFINED, TOKEN_UNUSED = 1, 3, 4, 5
Splitter = Literal["qwen2", "deepseek-r1-qwen", "llama-bpe"]
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
# How they cut text, as a regular expression: Qwen2's, which DeepSeek-R1-Distill-Qwen shares, and Llama 3's, which the
# Llama distills share. Not DeepSeek-V3's own: llama.cpp takes it through std::regex, and long texts end the process.
SPLITS: Mapping[Splitter, str] = MappingProxyType({"qwen2": _WORDS % r"\p{N}", "llama-bpe": _WORDS % r"\p{N}{1,3}"})


@dataclass(frozen=True)
class RopeScaling:
    """Positions squeezed so that `factor` times the `trained` tokens fit. "yarn" is that of arXiv:2309.00071
    with its own bounds (32 and 1 turns), as llama.cpp and transformers both have it by default.
    """

    kind: Literal["linear", "yarn"]
    factor: float
    trained: int


@dataclass(frozen=True)
class ModelSpec:
    """Shape of one model, in Hugging Face's terms. `tied`: the output head is the embedding table."""

    architecture: Literal["qwen2", "llama"]
    n_vocab: int
    n_embd: int
    n_layer: int
    n_ff: int
    n_head: int
    n_head_kv: int
    n_ctx: int
    rms_eps: float = 1e-6
    rope_theta: float = 10_000.0
    tied: bool = True
    name: str = "model"
    # One divisor per rotated pair (Llama 3.1's stretched rope); empty where rope is plain.
    rope_factors: tuple[float, ...] = ()
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        if self.architecture not in ("qwen2", "llama"):
            raise ValueError(f"cannot write the architecture {self.architecture!r}, only qwen2 and llama")
        if self.n_embd % self.n_head or self.n_head % self.n_head_kv:
            raise ValueError("n_embd must be a multiple of n_head, and n_head of n_head_kv")
        if self.head_dim % 2:
            raise ValueError(f"the head width {self.head_dim} is odd; rope needs an even one")

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Hugging Face name -> shape of every tensor of the model, in the order of the file."""
        width, kv = self.n_embd, self.head_dim * self.n_head_kv
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.n_vocab, width)}
        layer: dict[str, tuple[int, ...]] = {
            "input_layernorm.weight": (width,),
            "self_attn.q_proj.weight": (width, width),
            "self_attn.k_proj.weight": (kv, width),
            "self_attn.v_proj.weight": (kv, width),
            "self_attn.o_proj.weight": (width, width),
            "post_attention_layernorm.weight": (width,),
            "mlp.gate_proj.weight": (self.n_ff, width),
            "mlp.up_proj.weight": (self.n_ff, width),
            "mlp.down_proj.weight": (width, self.n_ff),
        }
        if self.architecture == "qwen2":
            layer |= {
                "self_attn.q_proj.bias": (width,),
                "self_attn.k_proj.bias": (kv,),
                "self_attn.v_proj.bias": (kv,),
            }
        for i in range(self.n_layer):
            shapes |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
        shapes["model.norm.weight"] = (width,)
        if not self.tied:
            shapes["lm_head.weight"] = (self.n_vocab, width)
        return shapes


def stretched_rope(
    theta: float, head_dim: int, *, factor: float, low: float, high: float, trained: int
) -> tuple[float, ...]:
    """Llama 3.1's `rope_factors`: for contexts `factor` times as long as the `trained` tokens, waves that fit
    into those less than `low` times are stretched, those that fit more than `high` times are left.
    """
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * theta ** (i / head_dim)
        blend = min(1.0, max(0.0, (trained / wavelength - low) / (high - low)))
        factors.append(1.0 / ((1 - blend) / factor + blend))
    return tuple(factors)


@dataclass(frozen=True)
class TokenizerSpec:
    """Byte-level BPE. Ordinary tokens are in GPT-2's byte-to-unicode form, added ones in plain text.

    `token_types` are GGUF's (1 normal, 3 control, 4 user-defined, 5 unused); `merges` are "left right".
    """

    tokens: Sequence[str]
    token_types: Sequence[int]
    merges: Sequence[str]
    bos_id: int | None
    eos_id: int
    pad_id: int | None = None
    # A second token that ends a reply, where the model has one beside `eos_id`.
    eot_id: int | None = None
    pre: Splitter = "qwen2"
    add_bos: bool = False
    chat_template: str | None = None

    def check(self, n_vocab: int) -> None:
        """Raises ValueError for what llama.cpp would not load beside a table of `n_vocab` rows."""
        n = len(self.tokens)
        if len(self.token_types) != n:
            raise ValueError(f"{n} tokens, but {len(self.token_types)} token types")
        if n > n_vocab:
            raise ValueError(f"{n} tokens do not fit an embedding table of {n_vocab} rows")
        if len(set(self.tokens)) != n:
            raise ValueError("the vocabulary names a token twice")
        if not self.merges:
            raise ValueError("llama.cpp does not load a byte-level vocabulary without merges")
        for name in ("bos_id", "eos_id", "pad_id", "eot_id"):
            token_id = getattr(self, name)
            if token_id is not None and not 0 <= token_id < n:
                raise ValueError(f"{name} {token_id} lies outside the vocabulary of {n} tokens")
