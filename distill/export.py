"""Writes a Hugging Face folder as GGUF, and measures that llama.cpp computes the same from the file.

The writing needs no torch; the parity report does, and runs llama.cpp in a child process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..serve.models.gguf_info import read_info
from ..serve.models.gguf_writer import FileType, MetadataValue, write_gguf
from ..serve.models.quantize import probe
from .hf_folder import SafetensorsFolder, read_json, read_spec, read_tokenizer


def export_gguf(
    hf_dir: Path,
    out: Path,
    file_type: FileType = "Q8_0",
    *,
    name: str | None = None,
    metadata: Mapping[str, MetadataValue] | None = None,
) -> Path:
    """Writes the model in `hf_dir` to `out`. Raises ValueError, naming what cannot be carried over."""
    config = read_json(hf_dir / "config.json")
    return write_gguf(
        out,
        spec=read_spec(config, name or hf_dir.name),
        tensors=SafetensorsFolder(hf_dir),
        tokenizer=read_tokenizer(hf_dir, config),
        file_type=file_type,
        metadata=metadata,
    )


@dataclass(frozen=True)
class ParityReport:
    """How far llama.cpp on the GGUF lies from transformers in float32 on the folder.

    Logits are compared after every token of the prompts. For an F32 file `max_logit_diff` is below 1e-2.
    """

    max_logit_diff: float
    logit_std: float
    top1_agreement: float
    positions: int
    strings: int
    tokenizer_mismatches: tuple[str, ...]
    templates: int
    template_mismatches: tuple[str, ...]

    def ok(self, max_logit_diff: float = 1e-2) -> bool:
        """All texts and templates agree, and no logit differs by more than the bound."""
        agree = not self.tokenizer_mismatches and not self.template_mismatches
        return agree and self.max_logit_diff < max_logit_diff

    def __str__(self) -> str:
        return (
            f"logits: max difference {self.max_logit_diff:.2g} (std {self.logit_std:.2g}), "
            f"top-1 equal at {self.top1_agreement:.1%} of {self.positions} positions; "
            f"tokeniser: {len(self.tokenizer_mismatches)} of {self.strings} strings differ; "
            f"template: {len(self.template_mismatches)} of {self.templates} conversations differ"
        )


def parity_report(
    hf_dir: Path, gguf: Path, *, prompts: Sequence[str] | None = None, texts: Sequence[str] | None = None
) -> ParityReport:
    """Compares the folder with the file. `prompts` and `texts` default to the built-in sets."""
    from transformers import PreTrainedTokenizerFast

    # Not AutoTokenizer: it picks a class by model type, which rewrites the splitter and adds tokens.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(hf_dir)
    texts = list(parity_texts(tokenizer) if texts is None else texts)
    ids = [_encode(tokenizer, text) for text in (_PROMPTS if prompts is None else prompts)]
    ours = _hf_logits(hf_dir, ids)
    rendered, renders_differ = _render_parity(tokenizer, gguf)
    theirs = probe(gguf, prompts=ids, texts=[*texts, *rendered])
    expected = [_encode(tokenizer, text) for text in [*texts, *rendered]]
    pairs = zip([*texts, *rendered], expected, theirs.tokens, strict=True)
    differences = [np.abs(a - b).max() for a, b in zip(ours, theirs.logits, strict=True)]
    same = np.concatenate([a.argmax(1) == b.argmax(1) for a, b in zip(ours, theirs.logits, strict=True)])
    return ParityReport(
        max_logit_diff=float(max(differences)),
        logit_std=float(np.concatenate(ours).std()),
        top1_agreement=float(same.mean()),
        positions=len(same),
        strings=len(expected),
        tokenizer_mismatches=tuple(text for text, a, b in pairs if a != b),
        templates=len(_CONVERSATIONS) if tokenizer.chat_template else 0,
        template_mismatches=tuple(renders_differ),
    )


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _hf_logits(hf_dir: Path, prompts: list[list[int]]) -> list[np.ndarray]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(hf_dir, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.inference_mode():
        return [model(torch.tensor([ids])).logits[0].numpy() for ids in prompts]


def _render_parity(tokenizer: Any, gguf: Path) -> tuple[list[str], list[str]]:
    """Texts the tokeniser's template renders, and those the file's template renders otherwise."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if not tokenizer.chat_template:
        return [], []
    info = read_info(gguf)
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(info.chat_template or "")
    rendered, differ = [], []
    for messages in _CONVERSATIONS:
        ours = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        theirs = template.render(
            messages=messages, add_generation_prompt=True, bos_token=info.bos_token, eos_token=info.eos_token
        )
        rendered.append(ours)
        if ours != theirs:
            differ.append(ours)
    return rendered, differ


def parity_texts(tokenizer: Any, count: int = 1200, seed: int = 0) -> list[str]:
    """Strings meant to part two tokenisers: digits, blanks, newlines, tags, accents, emoji, contractions.

    Composed (NFC) throughout: llama.cpp does not normalise, and most typed text is.
    """
    import random
    import unicodedata

    rng = random.Random(seed)
    pieces = [*_PIECES, *tokenizer.get_added_vocab()]
    texts = [*_PIECES, *_PROMPTS]
    while len(texts) < count:
        texts.append("".join(rng.choice(pieces) for _ in range(rng.randint(1, 12))))
    return [unicodedata.normalize("NFC", text) for text in texts]


_PROMPTS = (
    "What is 15% of 240? Show each step.\n",
    "A farmer has 17 sheep. All but 9 run away. How many are left?",
    "<think>\n14 * 3 = 30 + 12 = 42.\nWait, let me check: 42 / 3 = 14.\n</think>\n\nThe answer is \\boxed{42}.",
)
_PIECES = (
    *("0", "7", "42", "240", "1,000", "3.14", "9.9", "2026", "12345678"),
    *(" ", "  ", "    ", "\n", "\n\n", " \n", "\t", "\r\n", "\n  \n"),
    *("sheep", " sheep", "The", " the", "THE", "don't", "I'll", "we're", "'S", "x'y", "O'Neil"),
    *(".", ",", "?!", "...", "$", "%", "=", "+", "-", "/", "*", "\\boxed{", "}", "()", "{{", "#", "@"),
    *("<think>", "</think>", "</", "think", ">", "<|im_end|>", "<|", "|>"),
    *("é", "naïve", "Straße", "Ελλάδα", "привет", "你好", "東京", "नमस्ते", "עברית", "مرحبا", "한국어"),
    *("🐑", "👩‍🚀", "👨‍👩‍👧", "½", "²", "٣", "Ⅷ", "€", "—", "…", "“”", "\u00a0", "\u200b", "\ufeff"),
)
_CONVERSATIONS: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "What is 2 + 2?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n\n  there "}],
    [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "<think>\n1 + 1 = 2\n</think>\n\n2"},
        {"role": "user", "content": "And 2 + 2?"},
    ],
)
