"""A model that does not think, made by hand: random weights, no tags, no token it could end a reply with early.

Others' suites ask a non-thinking model for a few tokens of text. Noise alone would answer with broken UTF-8,
control tokens and an early end, and would never close a string of JSON. So two dimensions of the embeddings
are no noise: one is constant, and the output head reads from it how gladly a token is said, letters gladly,
bytes beyond ASCII and control tokens only where a grammar leaves nothing else; the other marks words, and
after a word a quote comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from r1chat.serve.models.gguf.shapes import SHAPES, synthetic_tokenizer
from r1chat.serve.models.gguf.spec import TOKEN_CONTROL, TOKEN_NORMAL, ModelSpec, TokenizerSpec
from r1chat.serve.models.gguf.writer import write_gguf

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CONTROL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
_SPEC = replace(SHAPES["tiny-qwen2"], name="plain", n_vocab=512, n_ctx=8192)


def write_plain_model(path: Path, template: str = CHATML) -> Path:
    """Writes the model, with `template` as its own, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer = _tokenizer(template)
        write_gguf(path, spec=_SPEC, tensors=_Weights(_SPEC, tokenizer), tokenizer=tokenizer, file_type="F32")
    return path


def _tokenizer(template: str) -> TokenizerSpec:
    """Control tokens first, as llama's own vocabulary has them; then bytes and made-up words; no tags."""
    made_up = synthetic_tokenizer(_SPEC.n_vocab + 2)  # it has two control tokens and tags more
    plain = [token for token, kind in zip(made_up.tokens, made_up.token_types, strict=True) if kind == TOKEN_NORMAL]
    return TokenizerSpec(
        tokens=[*_CONTROL, *plain],
        token_types=[TOKEN_CONTROL] * len(_CONTROL) + [TOKEN_NORMAL] * len(plain),
        merges=made_up.merges,
        bos_id=_CONTROL.index("<s>"),
        eos_id=_CONTROL.index("<|im_end|>"),
        pre="qwen2",
        add_bos=True,
        chat_template=template,
    )


class _Weights(Mapping[str, np.ndarray]):
    """Noise, but for the constant dimension and the head's row for it."""

    def __init__(self, spec: ModelSpec, tokenizer: TokenizerSpec) -> None:
        self._shapes = spec.tensor_shapes()
        kinds = zip(tokenizer.tokens, tokenizer.token_types, strict=True)
        self._leaning = np.array([_leaning(token, kind) for token, kind in kinds], dtype=np.float32)
        self._words = self._leaning == 0.0
        self._quote = tokenizer.tokens.index('"')

    def __getitem__(self, name: str) -> np.ndarray:
        rng = np.random.default_rng([7, len(name), *name.encode()])
        shape = self._shapes[name]
        if "norm" in name:
            return np.ones(shape, dtype=np.float32)
        noise = rng.standard_normal(shape, dtype=np.float32) * 0.15
        if name == "model.embed_tokens.weight":
            noise[:, :2] = [40.0, 0.0]
            noise[self._words, 1] = 40.0
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            noise[:2] = 0.0  # nothing but the embedding writes to those two
        elif name == "lm_head.weight":
            # after the norm both are about 5, so that a leaning of 1 is five nats
            noise[:, 0], noise[:, 1] = self._leaning, 0.0
            noise[self._quote, 1] = 1.5
        return noise

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)


def _leaning(token: str, kind: int) -> float:
    """How gladly a token is said: 0 as any word, below that hardly, far below only where it must be."""
    if kind == TOKEN_CONTROL:
        return -3.0
    if token in '"{}[],:' or token.isdigit():
        return -0.4
    if (token.replace("Ġ", "").isalpha() and token.replace("Ġ", "").isascii()) or token == "Ġ":
        return 0.0
    return -1.5 if token.isascii() and token.isprintable() else -3.0
