"""Random-weight models of exact shape: small ones for tests, real sizes for measuring speed.

Weights are noise and the vocabulary is made up, so nothing is downloaded and nothing sensible is said;
times, memory and the tokeniser's rules are those of a real model. Needs no torch.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...reasoning import TAGS
from ..templates import ASSISTANT, BOS, EOS, PAD, R1_DISTILL, USER
from .quantize import quantize
from .spec import TOKEN_CONTROL, TOKEN_NORMAL, TOKEN_USER_DEFINED, ModelSpec, TokenizerSpec, stretched_rope
from .writer import FileType, write_gguf

_TINY = ModelSpec(
    architecture="qwen2", n_vocab=512, n_embd=64, n_layer=2, n_ff=128, n_head=4, n_head_kv=2, n_ctx=4096, tied=False
)
SHAPES: dict[str, ModelSpec] = {
    "tiny-qwen2": _TINY,
    "tiny-llama": replace(_TINY, architecture="llama", rms_eps=1e-5, rope_theta=500_000.0),
    # Wide enough for K-quants, which want rows of a multiple of 256.
    "tiny-qwen2-256": replace(_TINY, n_embd=256, n_ff=256),
    "qwen2-0.5b": ModelSpec(
        architecture="qwen2",
        n_vocab=151_936,
        n_embd=896,
        n_layer=24,
        n_ff=4864,
        n_head=14,
        n_head_kv=2,
        n_ctx=32_768,
        rope_theta=1_000_000.0,
    ),
    "qwen2-1.5b": ModelSpec(
        architecture="qwen2",
        n_vocab=151_936,
        n_embd=1536,
        n_layer=28,
        n_ff=8960,
        n_head=12,
        n_head_kv=2,
        n_ctx=32_768,
        rope_theta=1_000_000.0,
    ),
    "qwen2-7b": ModelSpec(
        architecture="qwen2",
        n_vocab=152_064,
        n_embd=3584,
        n_layer=28,
        n_ff=18_944,
        n_head=28,
        n_head_kv=4,
        n_ctx=32_768,
        rope_theta=1_000_000.0,
        tied=False,
    ),
    # of Llama 3.1
    "llama-8b": ModelSpec(
        architecture="llama",
        n_vocab=128_256,
        n_embd=4096,
        n_layer=32,
        n_ff=14_336,
        n_head=32,
        n_head_kv=8,
        n_ctx=131_072,
        rms_eps=1e-5,
        rope_theta=500_000.0,
        rope_factors=stretched_rope(500_000.0, 128, factor=8.0, low=1.0, high=4.0, trained=8192),
        tied=False,
    ),
}
_CONTROL = (BOS, EOS, PAD, USER, ASSISTANT)


def make_random_gguf(shape: str | ModelSpec, path: Path, quant: str = "Q8_0", seed: int = 0) -> Path:
    """Writes a model of the shape (a name in SHAPES, or a spec) to `path` and returns it.

    F32, F16 and Q8_0 are written directly; any other quantisation goes through llama.cpp in a child
    process, from an F16 file beside `path` that is removed afterwards. Peak memory: one tensor.
    """
    spec = SHAPES[shape] if isinstance(shape, str) else shape
    if isinstance(shape, str):
        spec = replace(spec, name=f"random {shape}")
    if quant in ("F32", "F16", "Q8_0"):
        return _write(spec, path, quant, seed)
    wide = path.with_name(f".{path.name}.{os.getpid()}.f16")
    try:
        return quantize(_write(spec, wide, "F16", seed), path, quant)
    finally:
        wide.unlink(missing_ok=True)


def cached_random_gguf(shape: str, folder: Path, quant: str = "Q4_K_M", seed: int = 0) -> Path:
    """The same, made once per folder: a file already there is taken as it is."""
    path = folder / f"random-{shape}-{quant}-{seed}.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        make_random_gguf(shape, path, quant, seed)
    return path


def _write(spec: ModelSpec, path: Path, file_type: str, seed: int) -> Path:
    kind: FileType = "F32" if file_type == "F32" else "Q8_0" if file_type == "Q8_0" else "F16"
    return write_gguf(
        path, spec=spec, tensors=RandomTensors(spec, seed), tokenizer=synthetic_tokenizer(spec.n_vocab), file_type=kind
    )


class RandomTensors(Mapping[str, np.ndarray]):
    """Noise under the names of a spec, the same for the same seed, made when asked for."""

    def __init__(self, spec: ModelSpec, seed: int) -> None:
        self._shapes = spec.tensor_shapes()
        self._seed = seed
        # Of a Hugging Face initialisation for real sizes; wider where rows are short, or all logits lie together.
        self._scale = 0.02 if spec.n_embd >= 512 else 0.15
        # Logits as far apart as a trained model's. Of flat ones, top-p keeps and sorts the whole vocabulary:
        # 11 ms a token for 151,936, where a trained model's take under one.
        self._spread = 8.0 if spec.n_embd >= 512 else 1.0

    def __getitem__(self, name: str) -> np.ndarray:
        rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        noise = rng.standard_normal(self._shapes[name], dtype=np.float32)
        noise *= self._scale
        if "norm" not in name:
            return noise
        noise += 1.0
        return noise * self._spread if name == "model.norm.weight" else noise

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def synthetic_tokenizer(n_vocab: int) -> TokenizerSpec:
    """A byte-level BPE of exactly `n_vocab` tokens: 256 bytes, made-up words, R1's tags and template."""
    n_words = n_vocab - 256 - len(_CONTROL) - len(TAGS)
    if not 1 <= n_words <= _MAX_WORDS:
        raise ValueError(f"a made-up vocabulary has 264 to {_MAX_WORDS + 263} tokens, not {n_vocab}")
    merges = list(itertools.islice(_merges(), n_words))
    tokens = [*_byte_alphabet(), *(merge.replace(" ", "") for merge in merges), *_CONTROL, *TAGS]
    control, tags = [TOKEN_CONTROL] * len(_CONTROL), [TOKEN_USER_DEFINED] * len(TAGS)
    return TokenizerSpec(
        tokens=tokens,
        token_types=[*[TOKEN_NORMAL] * (256 + n_words), *control, *tags],
        merges=merges,
        bos_id=tokens.index(BOS),
        eos_id=tokens.index(EOS),
        pad_id=tokens.index(PAD),
        pre="qwen2",
        add_bos=False,
        chat_template=R1_DISTILL,
    )


_LETTERS = "etaoinshrdlucmfwypvbgkqjxz"
_MAX_WORDS = 26 + 26**2 + 26**3 + 26**4


def _merges() -> Iterator[str]:
    """Words of one to four letters (the one with a blank before it), each one letter longer than a former."""
    for letter in _LETTERS:
        yield f"Ġ {letter}"
    for length in (1, 2, 3):
        for head in itertools.product(_LETTERS, repeat=length):
            for tail in _LETTERS:
                yield f"{''.join(head)} {tail}"


def _byte_alphabet() -> list[str]:
    """One printable character per byte, as GPT-2 assigned them."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
