"""Tiny Hugging Face folders, written without torch: exact names and layouts, random weights, a real tokenizer.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from r1chat.serve.models.gguf_spec import TOKEN_CONTROL, TOKEN_NORMAL, ModelSpec
from r1chat.serve.models.shapes import SHAPES, synthetic_tokenizer

TINY = replace(SHAPES["tiny-qwen2-256"], n_vocab=512, n_ctx=512)
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_hf_folder(
    folder: Path, spec: ModelSpec = TINY, *, dtype: str = "BF16", n_shards: int = 1, seed: int = 0
) -> Path:
    """Writes the folder, as transformers saves it, and returns it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    tensors = {
        name: rng.standard_normal(shape, dtype=np.float32) * 0.1 + name.endswith("norm.weight")
        for name, shape in spec.tensor_shapes().items()
    }
    write_shards(folder, tensors, dtype=dtype, n_shards=n_shards)
    (folder / "config.json").write_text(json.dumps(config_of(spec)))
    write_tokenizer(folder, spec)
    return folder


def write_shards(folder: Path, tensors: dict[str, np.ndarray], *, dtype: str, n_shards: int) -> None:
    if n_shards == 1:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names = list(tensors)
    where: dict[str, str] = {}
    for i in range(n_shards):
        file = f"model-{i + 1:05d}-of-{n_shards:05d}.safetensors"
        part = names[i::n_shards]
        write_safetensors(folder / file, {name: tensors[name] for name in part}, dtype)
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def write_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, array in tensors.items():
        raw = stored(array, dtype)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def stored(array: np.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def config_of(spec: ModelSpec) -> dict[str, Any]:
    classes = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}
    return {
        "architectures": [classes[spec.architecture]],
        "model_type": spec.architecture,
        "vocab_size": spec.n_vocab,
        "hidden_size": spec.n_embd,
        "intermediate_size": spec.n_ff,
        "num_hidden_layers": spec.n_layer,
        "num_attention_heads": spec.n_head,
        "num_key_value_heads": spec.n_head_kv,
        "max_position_embeddings": spec.n_ctx,
        "rms_norm_eps": spec.rms_eps,
        "rope_theta": spec.rope_theta,
        "hidden_act": "silu",
        "tie_word_embeddings": spec.tied,
        "torch_dtype": "bfloat16",
    }


def write_tokenizer(folder: Path, spec: ModelSpec) -> None:
    """tokenizer.json and its settings, of R1's tags and template and made-up words."""
    made = synthetic_tokenizer(spec.n_vocab)
    added = [
        {"id": i, "content": token, "special": kind == TOKEN_CONTROL, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for i, (token, kind) in enumerate(zip(made.tokens, made.token_types, strict=True))
        if kind != TOKEN_NORMAL
    ]
    llama = spec.architecture == "llama"
    split = _SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|") if llama else _SPLIT
    ordinary = {token: i for i, token in enumerate(made.tokens) if made.token_types[i] == TOKEN_NORMAL}
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None if llama else {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "ignore_merges": llama, "vocab": ordinary, "merges": list(made.merges)},
    }
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    tokens = {"bos_token": made.bos_id, "eos_token": made.eos_id, "pad_token": made.pad_id}
    settings = {key: made.tokens[index] for key, index in tokens.items() if index is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": made.chat_template}))
