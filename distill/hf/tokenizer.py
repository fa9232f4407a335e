"""A Hugging Face folder's byte-level BPE and chat template, as a GGUF has them.

A tokeniser that llama.cpp would cut otherwise is refused: it would answer, only worse than it was trained to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...serve.models.gguf.spec import (
    SPLITS,
    TOKEN_CONTROL,
    TOKEN_NORMAL,
    TOKEN_UNUSED,
    TOKEN_USER_DEFINED,
    Splitter,
    TokenizerSpec,
)
from .tensors import read_json

Json = dict[str, Any]
_MAX_TOKENS = 1 << 22


def read_tokenizer(hf_dir: Path, config: Json) -> TokenizerSpec:
    """The folder's byte-level BPE tokeniser. Raises ValueError for any other kind."""
    data = read_json(hf_dir / "tokenizer.json")
    settings = _optional(hf_dir / "tokenizer_config.json")
    try:
        return _read(data, settings, _ends(config, _optional(hf_dir / "generation_config.json")), hf_dir, config)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"tokenizer.json is not as the tokenizers library writes it ({error!r:.60})") from error


def _read(data: Json, settings: Json, ends: list[int], hf_dir: Path, config: Json) -> TokenizerSpec:
    model = data["model"]
    pre = _splitter(data)
    added = data.get("added_tokens") or []
    ids = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
    tokens, types = _token_table(ids, added)
    template = _chat_template(hf_dir, settings)
    bos = _special_id("bos", ids, settings, config)
    eos = _special_id("eos", ids, settings, config)
    if eos is None:
        raise ValueError("neither tokenizer_config.json nor config.json names an end-of-text token")
    return TokenizerSpec(
        tokens=tokens,
        token_types=types,
        merges=[m if isinstance(m, str) else " ".join(m) for m in model["merges"]],
        bos_id=bos,
        eos_id=eos,
        pad_id=_special_id("pad", ids, settings, config),
        eot_id=next((end for end in ends if end != eos), None),
        pre=pre,
        # A template that prints BOS itself would get a second one from every reader that adds it.
        add_bos=bos is not None and _starts_with_bos(data, settings, bos) and "bos_token" not in (template or ""),
        chat_template=template,
    )


def _optional(path: Path) -> Json:
    return read_json(path) if path.exists() else {}


def _ends(config: Json, generation: Json) -> list[int]:
    """Every token that the folder says ends a reply."""
    both = (generation.get("eos_token_id"), config.get("eos_token_id"))
    return [end for given in both for end in (given if isinstance(given, list) else [given]) if type(end) is int]


def _token_table(ids: dict[str, int], added: list[Json]) -> tuple[list[str], list[int]]:
    last = max(ids.values())
    if last >= _MAX_TOKENS or min(ids.values()) < 0:
        raise ValueError(f"tokenizer.json gives a token the number {last}, of {len(ids)} tokens")
    tokens = [f"[PAD{i}]" for i in range(last + 1)]
    types = [TOKEN_UNUSED] * len(tokens)
    for token, index in ids.items():
        tokens[index], types[index] = token, TOKEN_NORMAL
    for entry in added:
        text = entry["content"]
        looks_special = text.startswith(("<|", "<｜")) and text.endswith(("|>", "｜>"))
        types[entry["id"]] = TOKEN_CONTROL if entry["special"] or looks_special else TOKEN_USER_DEFINED
    return tokens, types


def _special_id(kind: str, ids: dict[str, int], settings: Json, config: Json) -> int | None:
    token = settings.get(f"{kind}_token")
    if isinstance(token, dict):
        token = token["content"]
    if token in ids:
        return ids[token]
    configured = config.get(f"{kind}_token_id")
    first = configured[0] if isinstance(configured, list) and configured else configured
    return first if type(first) is int else None


def _starts_with_bos(data: Json, settings: Json, bos: int) -> bool:
    if settings.get("add_bos_token") is not None:
        return bool(settings["add_bos_token"])
    processor = data.get("post_processor") or {}
    for part in processor.get("processors", [processor]):
        first = (part.get("single") or [{}])[0].get("SpecialToken")
        if part.get("type") == "TemplateProcessing" and first is not None:
            return bool(part["special_tokens"][first["id"]]["ids"] == [bos])
    return False


def _splitter(data: Json) -> Splitter:
    """Which of llama.cpp's splitters cuts text the way this tokeniser does."""
    model = data["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        kind = "BPE with byte_fallback" if model["type"] == "BPE" else model["type"]
        raise ValueError(f"cannot export a tokeniser of type {kind}, only byte-level BPE")
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise ValueError(f"cannot export a tokeniser with {key}")
    normalizer = data.get("normalizer")
    # NFC leaves composed text, which is nearly all there is, as it is; llama.cpp does not normalise.
    if normalizer is not None and normalizer["type"] != "NFC":
        raise ValueError(f"cannot export a tokeniser that normalises text ({normalizer['type']})")
    regexes = _regexes(data.get("pre_tokenizer") or {})
    pre = next((name for name, regex in SPLITS.items() if (regex,) == regexes), None)
    if pre is None:
        raise ValueError(
            f"unknown pre-tokeniser {list(regexes)!r:.80}: only Qwen2's and Llama 3's split can be named in a GGUF"
        )
    # llama.cpp takes whole words found in the vocabulary before merging for llama-bpe, and for no other.
    if bool(model.get("ignore_merges")) != (pre == "llama-bpe"):
        raise ValueError(f"the tokeniser's ignore_merges does not agree with llama.cpp's {pre}")
    return pre


def _regexes(pre_tokenizer: Json) -> tuple[str, ...]:
    """The patterns that text is split at before it becomes bytes; () where the steps are others than that."""
    *splits, last = pre_tokenizer.get("pretokenizers") or [pre_tokenizer]
    plain = all(s["type"] == "Split" and s["behavior"] == "Isolated" and not s.get("invert") for s in splits)
    to_bytes = (
        last.get("type") == "ByteLevel" and not last.get("add_prefix_space", True) and not last.get("use_regex", True)
    )
    if not (plain and to_bytes):
        return ()
    # The same pattern with line ends as characters, and as escapes.
    return tuple(str(s["pattern"].get("Regex")).replace("\r", "\\r").replace("\n", "\\n") for s in splits)


def _chat_template(hf_dir: Path, settings: Json) -> str | None:
    file = hf_dir / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):
        return next((t["template"] for t in template if t["name"] == "default"), None)
    return template
