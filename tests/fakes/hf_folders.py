"""Hugging Face folders for tests: random weights of a shape, and the bundled model turned back into one.

Everything is written here; nothing is downloaded. Needs torch, transformers and tokenizers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from r1chat.serve.models.gguf_spec import TOKEN_CONTROL, TOKEN_USER_DEFINED
from r1chat.serve.models.gguf_writer import _gguf_name

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def random_folder(folder: Path, architecture: str = "qwen2", **changes: Any) -> Path:
    """Noise for weights, biases and norms too, so that each tensor matters; the bundled model's vocabulary."""
    import torch
    import transformers

    torch.manual_seed(7)
    kinds = {
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    }
    make_config, make = kinds[architecture]
    settings = {
        "vocab_size": 1056,  # a few rows more than there are tokens, as real models have them
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "dtype": "float32",
    }
    model = make(make_config(**(settings | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return _saved(model, folder)


def bundled_folder(path: Path, folder: Path) -> Path:
    """The Qwen2 model of the GGUF at `path` as it was before it was exported, but for Q8_0's rounding."""
    import torch
    import transformers

    reader = gguf.GGUFReader(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}

    def number(key: str) -> Any:
        return reader.fields[f"qwen2.{key}"].contents()

    config = transformers.Qwen2Config(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data),
        hidden_size=number("embedding_length"),
        intermediate_size=number("feed_forward_length"),
        num_hidden_layers=number("block_count"),
        num_attention_heads=number("attention.head_count"),
        num_key_value_heads=number("attention.head_count_kv"),
        max_position_embeddings=number("context_length"),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_theta=number("rope.freq_base"),
        tie_word_embeddings="output.weight" not in stored,
        dtype="float32",
    )
    model = transformers.Qwen2ForCausalLM(config)
    state = {
        name: torch.from_numpy(_numbers(stored[_gguf_name(name)]))
        for name in model.state_dict()
        if _gguf_name(name) in stored
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    return _saved(model, folder, path)


def _numbers(tensor: Any) -> np.ndarray:
    shape = tuple(int(size) for size in reversed(tensor.shape))
    return np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), np.float32).reshape(shape)


def _saved(model: Any, folder: Path, vocabulary: Path | None = None) -> Path:
    from engine_tools import bundled_model

    tokenizer = _tokenizer(vocabulary or bundled_model())
    for owner in (model.config, model.generation_config):
        owner.bos_token_id, owner.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
        owner.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(path: Path) -> Any:
    """Of a GGUF with a byte-level vocabulary and Qwen2's splitter."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = gguf.GGUFReader(path).fields
    texts, types, merges = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges"))
    added = [
        (text, kind) for text, kind in zip(texts, types, strict=True) if kind in (TOKEN_CONTROL, TOKEN_USER_DEFINED)
    ]
    names = {text for text, _ in added}
    vocab = {text: token for token, text in enumerate(texts) if text not in names}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(merge.split(" ")) for merge in merges]))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"), byte_level]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for text, kind in added:  # in the order of their ids
        tokenizer.add_tokens([AddedToken(text, special=kind == TOKEN_CONTROL, normalized=False)])
    assert all(tokenizer.token_to_id(text) == texts.index(text) for text in names)
    template = fields["tokenizer.chat_template"].contents()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, chat_template=template
    )
