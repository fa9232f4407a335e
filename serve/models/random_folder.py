"""Random-weight models of exact shape as Hugging Face folders, to measure engines that read those. Needs no torch.

Written tensor by tensor in bfloat16, so memory stays at one of them; 7B take 15 GB of disk and some minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..files import replace_file
from .gguf.shapes import SHAPES, RandomTensors, synthetic_tokenizer
from .gguf.spec import SPLITS, TOKEN_CONTROL, TOKEN_NORMAL, ModelSpec, TokenizerSpec

_CLASSES = {"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}
# for Llama too: what matters here is that it is quick and cuts words
_SPLIT = SPLITS["qwen2"]


def make_random_folder(shape: str | ModelSpec, folder: Path, seed: int = 0) -> Path:
    """Writes a model of the shape (a name in shapes.SHAPES, or a spec) to `folder` and returns it.

    What is written last is config.json, without which nothing takes the folder for a model.
    """
    spec = SHAPES[shape] if isinstance(shape, str) else shape
    tokenizer = synthetic_tokenizer(spec.n_vocab)
    folder.mkdir(parents=True, exist_ok=True)
    _write_weights(spec, folder / "model.safetensors", seed)
    _write_json(folder / "tokenizer.json", _tokenizer(tokenizer))
    _write_json(folder / "tokenizer_config.json", _settings(tokenizer))
    _write_json(folder / "config.json", _config(spec, tokenizer))
    return folder


def _write_weights(spec: ModelSpec, path: Path, seed: int) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in spec.tensor_shapes().items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    with replace_file(path) as aside, aside.open("wb") as file:
        head = json.dumps(header).encode()
        head += b" " * (-len(head) % 8)
        file.write(len(head).to_bytes(8, "little") + head)
        for tensor in RandomTensors(spec, seed).values():
            _write_bfloat16(file, tensor)


def _write_bfloat16(file: BinaryIO, tensor: np.ndarray) -> None:
    """The upper half of each float32."""
    (tensor.view(np.uint32) >> 16).astype("<u2").tofile(file)


def _config(spec: ModelSpec, tokenizer: TokenizerSpec) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": spec.rope_theta}
    if spec.rope_factors:
        # of Llama 3.1, the only one among the shapes
        rope |= {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope |= {"original_max_position_embeddings": 8192}
    return {
        "architectures": [_CLASSES[spec.architecture]],
        "model_type": spec.architecture,
        "vocab_size": spec.n_vocab,
        "hidden_size": spec.n_embd,
        "intermediate_size": spec.n_ff,
        "num_hidden_layers": spec.n_layer,
        "num_attention_heads": spec.n_head,
        "num_key_value_heads": spec.n_head_kv,
        "max_position_embeddings": spec.n_ctx,
        "rms_norm_eps": spec.rms_eps,
        "rope_parameters": rope,
        "hidden_act": "silu",
        "tie_word_embeddings": spec.tied,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "dtype": "bfloat16",
    }


def _tokenizer(made: TokenizerSpec) -> dict[str, Any]:
    kinds = list(enumerate(zip(made.tokens, made.token_types, strict=True)))
    off = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    split = {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False}
    bytes_ = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": text, "special": kind == TOKEN_CONTROL, **off}
            for i, (text, kind) in kinds
            if kind != TOKEN_NORMAL
        ],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, bytes_]},
        "decoder": bytes_,
        "model": {
            "type": "BPE",
            "vocab": {text: i for i, (text, kind) in kinds if kind == TOKEN_NORMAL},
            "merges": [merge.split(" ") for merge in made.merges],
        },
    }


def _settings(made: TokenizerSpec) -> dict[str, Any]:
    assert made.bos_id is not None
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": made.tokens[made.bos_id],
        "eos_token": made.tokens[made.eos_id],
        "chat_template": made.chat_template,
    }


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data), encoding="utf-8")
