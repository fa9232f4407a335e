"""Reads a Hugging Face folder: the model's shape, its tensors one at a time, its byte-level BPE; no torch.

Covers qwen2 and llama. What a GGUF could not say, or llama.cpp would compute otherwise, is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..serve.models.gguf_spec import (
    TOKEN_CONTROL,
    TOKEN_NORMAL,
    TOKEN_UNUSED,
    TOKEN_USER_DEFINED,
    ModelSpec,
    TokenizerSpec,
    stretched_rope,
)

Json = dict[str, Any]


def read_spec(config: Json, name: str) -> ModelSpec:
    """Shape of the model described by a config.json, written by transformers 4 or 5."""
    architecture = config["model_type"]
    heads = config["num_attention_heads"]
    wanted = {
        "hidden_act": "silu",
        "head_dim": config["hidden_size"] // heads,
        "use_sliding_window": False,
        "mlp_bias": False,
    }
    if architecture == "llama":
        wanted["attention_bias"] = False
    for key, value in wanted.items():
        if (found := config.get(key)) not in (None, value):
            raise ValueError(f"cannot export {architecture} with {key} = {found!r}, only {value!r}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    theta = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    return ModelSpec(
        architecture=architecture,
        name=name,
        n_vocab=config["vocab_size"],
        n_embd=config["hidden_size"],
        n_layer=config["num_hidden_layers"],
        n_ff=config["intermediate_size"],
        n_head=heads,
        n_head_kv=config.get("num_key_value_heads") or heads,
        n_ctx=config["max_position_embeddings"],
        rms_eps=config["rms_norm_eps"],
        rope_theta=theta,
        rope_factors=_rope_factors(rope, theta, config["hidden_size"] // heads),
        # transformers leaves the key out where it has the class's default, which is False for both.
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _rope_factors(rope: Json, theta: float, head_dim: int) -> tuple[float, ...]:
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return ()
    if kind != "llama3":
        raise ValueError(f"cannot export rope scaling of type {kind!r}, only plain and 'llama3'")
    factor, low, high = (float(rope[k]) for k in ("factor", "low_freq_factor", "high_freq_factor"))
    trained = int(rope["original_max_position_embeddings"])
    return stretched_rope(theta, head_dim, factor=factor, low=low, high=high, trained=trained)


class SafetensorsFolder(Mapping[str, np.ndarray]):
    """The tensors of a folder's *.safetensors files by name, read from disk only when asked for."""

    def __init__(self, folder: Path) -> None:
        self._where: dict[str, tuple[Path, Json, int]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
            for name, entry in header.items():
                if name != "__metadata__":
                    self._where[name] = (path, entry, 8 + size)
        if not self._where:
            raise ValueError(f"no tensors in {folder}: it has no *.safetensors file")

    def __getitem__(self, name: str) -> np.ndarray:
        path, entry, base = self._where[name]
        stored = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}.get(entry["dtype"])
        if stored is None:
            raise ValueError(f"{name} is stored as {entry['dtype']}, only F64, F32, F16 and BF16 are read")
        begin, end = entry["data_offsets"]
        count = (end - begin) // np.dtype(stored).itemsize
        flat = np.fromfile(path, dtype=stored, count=count, offset=base + begin)
        if entry["dtype"] == "BF16":
            # bfloat16 is the upper half of a float32; numpy knows no such type.
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        return flat.reshape(entry["shape"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def read_tokenizer(hf_dir: Path, config: Json) -> TokenizerSpec:
    """The folder's byte-level BPE tokeniser. Raises ValueError for any other kind."""
    data = read_json(hf_dir / "tokenizer.json")
    settings_path = hf_dir / "tokenizer_config.json"
    settings = read_json(settings_path) if settings_path.exists() else {}
    model = data["model"]
    if model["type"] != "BPE":
        raise ValueError(f"cannot export a tokeniser of type {model['type']}, only byte-level BPE")
    ids = dict(model["vocab"]) | {token["content"]: token["id"] for token in data["added_tokens"]}
    tokens, types = _token_table(ids, data["added_tokens"])
    template = _chat_template(hf_dir, settings)
    return TokenizerSpec(
        tokens=tokens,
        token_types=types,
        merges=[m if isinstance(m, str) else " ".join(m) for m in model["merges"]],
        bos_id=_special_id("bos", ids, settings, config),
        eos_id=_required(_special_id("eos", ids, settings, config)),
        pad_id=_special_id("pad", ids, settings, config),
        pre=_pre_tokenizer(data),
        # A template that prints BOS itself would get a second one from every reader that adds it.
        add_bos=bool(settings.get("add_bos_token")) and "bos_token" not in (template or ""),
        chat_template=template,
    )


def _token_table(ids: dict[str, int], added: list[Json]) -> tuple[list[str], list[int]]:
    tokens = [f"[PAD{i}]" for i in range(max(ids.values()) + 1)]
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
    if token is not None:
        return ids[token]
    configured = config.get(f"{kind}_token_id")
    return configured[0] if isinstance(configured, list) else configured


def _required(eos_id: int | None) -> int:
    if eos_id is None:
        raise ValueError("neither tokenizer_config.json nor config.json names an end-of-text token")
    return eos_id


def _pre_tokenizer(data: Json) -> Literal["qwen2", "llama-bpe"]:
    """Which of llama.cpp's splitters cuts text the way this tokeniser does."""
    contractions, digits = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)", {r"\p{N}": "qwen2", r"\p{N}{1,3}": "llama-bpe"}
    pattern = contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    known = {pattern.replace("DIGITS", regex): pre for regex, pre in digits.items()}
    parts = (data.get("pre_tokenizer") or {}).get("pretokenizers", [])
    regexes = [part["pattern"].get("Regex") for part in parts if part["type"] == "Split"]
    if len(regexes) != 1 or regexes[0] not in known:
        raise ValueError(f"unknown pre-tokeniser {regexes}: only Qwen2's and Llama 3's split can be named in a GGUF")
    pre = known[regexes[0]]
    # llama.cpp takes whole words found in the vocabulary before merging for llama-bpe, and never for qwen2.
    if bool(data["model"].get("ignore_merges")) != (pre == "llama-bpe"):
        raise ValueError(f"the tokeniser's ignore_merges does not agree with llama.cpp's {pre}")
    return "qwen2" if pre == "qwen2" else "llama-bpe"


def _chat_template(hf_dir: Path, settings: Json) -> str | None:
    file = hf_dir / "chat_template.jinja"
    if file.exists():
        return file.read_text(encoding="utf-8")
    template = settings.get("chat_template")
    if isinstance(template, list):
        return next((t["template"] for t in template if t["name"] == "default"), None)
    return template


def read_json(path: Path) -> Json:
    data: Json = json.loads(path.read_text(encoding="utf-8"))
    return data
