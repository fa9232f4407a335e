"""The exported file computes, tokenises and renders as the Hugging Face folder does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from r1chat.distill.export import export_gguf, parity_report

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_SPLIT = QWEN2_SPLIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CORPUS = ["The farmer has 17 sheep and 240 goats.", "Wait, let me check: 25 + 17 = 42.", "don't you think it's so?"]
BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
TEMPLATE = (
    "{{bos_token}}{% for m in messages %}{% if m['role'] == 'user' %}{{'<｜User｜>' + m['content']}}"
    "{% else %}{{m['content'] + eos_token}}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"
)


def make_tokenizer(split: str, *, ignore_merges: bool) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    special = [AddedToken(t, special=True, normalized=False) for t in (BOS, EOS, PAD, "<｜User｜>", "<｜Assistant｜>")]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ("<think>", "</think>")])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, chat_template=TEMPLATE
    )


def make_model(architecture: str, folder: Path, *, tied: bool, dtype: Any = None, **changes: Any) -> Path:
    """A random-weight model whose biases and norms are random too, so that each tensor matters."""
    torch.manual_seed(7)
    tokenizer = make_tokenizer(
        LLAMA_SPLIT if architecture == "llama" else QWEN2_SPLIT, ignore_merges=architecture == "llama"
    )
    kinds = {
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    }
    make_config, make = kinds[architecture]
    settings = {
        "vocab_size": 384,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": tied,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    model = make(make_config(**(settings | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.to(dtype or torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_f32_file_agrees_with_the_folder(architecture: str, tied: bool, tmp_path: Path) -> None:
    folder = make_model(architecture, tmp_path / "hf", tied=tied)
    report = parity_report(folder, export_gguf(folder, tmp_path / "m.gguf", "F32"))
    assert report.ok(1e-2), report
    assert report.top1_agreement == 1.0
    assert report.strings >= 1000
    assert report.templates == 3
    assert report.logit_std > 0.1  # a model of zeros would agree as well
