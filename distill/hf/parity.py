"""Measures that llama.cpp computes, cuts and renders from a GGUF what transformers does from its folder.

Runs llama.cpp in a child process; torch and transformers here, with one layer's weights in memory at a time.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...serve.models.gguf.info import read_info
from ...serve.models.gguf.quantize import probe
from ...serve.models.gguf.spec import TOKEN_CONTROL, TOKEN_USER_DEFINED, TokenizerSpec
from ...serve.models.gguf.writer import FileType
from .reference import reference_logits

# Relative errors above these are no rounding: 1.4 is that of two models with nothing in common. Of random weights
# of eight layers, which amplify what rounding does where trained ones damp it, a fifth (F32, F16, BF16) and a half
# (Q8_0) of each were measured. Files of K-quants are proven before they are rounded.
MOST_ERROR: dict[FileType, float] = {"F32": 1e-3, "F16": 0.03, "BF16": 0.25, "Q8_0": 0.5}


@dataclass(frozen=True)
class ParityReport:
    """How far llama.cpp on the GGUF lies from transformers in float32 on the folder.

    Logits are compared after every token of the prompts; `relative_error` is the root mean square of their
    differences in units of `logit_std`, about 1.4 for two models that have nothing to do with each other.
    For an F32 file `max_logit_diff` is below 1e-2. `round_trip_failures`: texts that tokens do not spell again.
    """

    max_logit_diff: float
    logit_std: float
    relative_error: float
    top1_agreement: float
    positions: int
    strings: int
    tokenizer_mismatches: tuple[str, ...]
    round_trip_failures: tuple[str, ...]
    templates: int
    template_mismatches: tuple[str, ...]

    def ok(self, max_logit_diff: float = 1e-2) -> bool:
        """All texts and templates agree, and no logit differs by more than the bound."""
        return self.text_ok() and self.max_logit_diff < max_logit_diff

    def text_ok(self) -> bool:
        return not (self.tokenizer_mismatches or self.round_trip_failures or self.template_mismatches)

    def logits(self) -> str:
        return (
            f"logits: max difference {self.max_logit_diff:.2g} (std {self.logit_std:.2g}, relative error "
            f"{self.relative_error:.2g}), top-1 equal at {self.top1_agreement:.1%} of {self.positions} positions"
        )

    def __str__(self) -> str:
        return (
            f"{self.logits()}; tokeniser: {len(self.tokenizer_mismatches)} of {self.strings} strings differ, "
            f"{len(self.round_trip_failures)} do not come back; "
            f"template: {len(self.template_mismatches)} of {self.templates} conversations differ"
        )


@dataclass(frozen=True)
class Reference:
    """What transformers makes of a folder: logits after the prompts' tokens, texts as token ids, chats as text.

    `chats` has the conversations that the folder's template takes, by their number.
    """

    prompts: list[list[int]]
    logits: list[np.ndarray]
    strings: list[str]
    tokens: list[list[int]]
    chats: dict[int, str]


def reference(
    hf_dir: Path,
    *,
    tokenizer_dir: Path | None = None,
    adapter: Path | None = None,
) -> Reference:
    """The folder's side of a comparison, to be held against any number of files. Raises ImportError where torch or
    transformers are not installed.

    `tokenizer_dir` has the tokeniser and template where they are not the folder's; `adapter` is peft's folder.
    """
    from transformers import PreTrainedTokenizerFast

    # Not AutoTokenizer: it picks a class by model type, which rewrites the splitter and adds tokens.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir or hf_dir, local_files_only=True)
    ids = [_encode(tokenizer, text) for text in _PROMPTS]
    chats = _chats(tokenizer)
    strings = [*parity_texts(list(tokenizer.get_added_vocab())), *chats.values()]
    tokens = [_encode(tokenizer, text) for text in strings]
    return Reference(ids, reference_logits(hf_dir, ids, adapter), strings, tokens, chats)


def compare(ours: Reference, gguf: Path, *, adapter: Path | None = None) -> ParityReport:
    """How far a file, with a LoRA's GGUF where one is given, lies from its folder.

    Raises ModelLoadError for one that llama.cpp does not load.
    """
    # A model that does not fit into memory is read from the disk again and again.
    timeout_s = 600 + gguf.stat().st_size / 10e6
    theirs = probe(gguf, prompts=ours.prompts, texts=ours.strings, adapter=adapter, timeout_s=timeout_s)
    differences = np.concatenate([a - b for a, b in zip(ours.logits, theirs.logits, strict=True)])
    same = np.concatenate([a.argmax(1) == b.argmax(1) for a, b in zip(ours.logits, theirs.logits, strict=True)])
    std = float(np.concatenate(ours.logits).std())
    pairs = zip(ours.strings, ours.tokens, theirs.tokens, strict=True)
    return ParityReport(
        max_logit_diff=float(np.abs(differences).max()),
        logit_std=std,
        relative_error=float(np.sqrt(np.square(differences).mean())) / max(std, 1e-30),
        top1_agreement=float(same.mean()),
        positions=len(same),
        strings=len(ours.strings),
        tokenizer_mismatches=tuple(text for text, a, b in pairs if a != b),
        round_trip_failures=tuple(ours.strings[i] for i in theirs.changed),
        templates=len(ours.chats),
        template_mismatches=tuple(_render_differences(ours.chats, gguf)),
    )


def round_trip_failures(gguf: Path, tokenizer: TokenizerSpec) -> tuple[list[str], int]:
    """Texts that llama.cpp's tokens do not spell again, and of how many; what can be said without transformers."""
    kinds = zip(tokenizer.tokens, tokenizer.token_types, strict=True)
    texts = parity_texts([token for token, kind in kinds if kind in (TOKEN_CONTROL, TOKEN_USER_DEFINED)])
    return [texts[i] for i in probe(gguf, texts=texts).changed], len(texts)


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _chats(tokenizer: Any) -> dict[int, str]:
    from jinja2 import TemplateError

    chats: dict[int, str] = {}
    for i, messages in enumerate(_CONVERSATIONS if tokenizer.chat_template else ()):
        try:
            chats[i] = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            # Some templates take no system message, and say so.
            continue
    return chats


def _render_differences(chats: dict[int, str], gguf: Path) -> list[str]:
    """The chats that the file's template renders otherwise than the folder's did."""
    from jinja2 import TemplateError

    info = read_info(gguf)
    names = {"bos_token": info.bos_token, "eos_token": info.eos_token, "add_generation_prompt": True}
    differ = []
    for i, ours in chats.items():
        try:
            theirs = _template(info.chat_template or "").render(messages=_CONVERSATIONS[i], **names)
        except TemplateError as error:
            theirs = str(error)
        if ours != theirs:
            differ.append(ours)
    return differ


def _template(source: str) -> Any:
    """With what transformers lets templates call."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda format: datetime.datetime.now().strftime(format)
    return environment.from_string(source)


def parity_texts(added: Sequence[str], count: int = 1200, seed: int = 0) -> list[str]:
    """Strings meant to part two tokenisers: `added` tokens, digits, blanks, newlines, accents, emoji, contractions.

    Composed (NFC) throughout: llama.cpp does not normalise, and most typed text is.
    """
    import random
    import unicodedata

    rng = random.Random(seed)
    pieces = [*_PIECES, *added]
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
