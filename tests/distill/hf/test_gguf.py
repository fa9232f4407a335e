"""The exported file computes, tokenises and renders as the Hugging Face folder does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest

from r1chat.distill.hf.gguf import export_gguf
from r1chat.distill.hf.parity import ParityReport, compare, reference
from r1chat.serve.models.gguf.info import read_info

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


def parity_report(folder: Path, file: Path) -> ParityReport:
    return compare(reference(folder), file)


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


def edit_json(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    data |= changes
    path.write_text(json.dumps(data))


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("qwen2", tmp_path_factory.mktemp("qwen2") / "hf", tied=True)


@pytest.fixture
def folder(qwen2: Path, tmp_path: Path) -> Path:
    """A copy of the qwen2 model that a test may change."""
    return Path(shutil.copytree(qwen2, tmp_path / "copy"))


def test_q8_file_keeps_the_likeliest_token_almost_everywhere(qwen2: Path, tmp_path: Path) -> None:
    report = parity_report(qwen2, export_gguf(qwen2, tmp_path / "m.gguf"))
    assert report.max_logit_diff < report.logit_std
    assert report.top1_agreement > 0.9
    assert not report.tokenizer_mismatches


def test_bfloat16_folder_loses_nothing_more(tmp_path: Path) -> None:
    folder = make_model("llama", tmp_path / "hf", tied=False, dtype=torch.bfloat16)
    assert parity_report(folder, export_gguf(folder, tmp_path / "m.gguf", "F32")).ok(1e-2)


def test_stretched_rope_of_llama_3_agrees(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    folder = make_model("llama", tmp_path / "hf", tied=False, rope_parameters=rope)
    path = export_gguf(folder, tmp_path / "m.gguf", "F32")
    assert parity_report(folder, path).ok(1e-2)
    plain = make_model("llama", tmp_path / "plain", tied=False, rope_parameters=rope | {"factor": 1.0})
    assert not parity_report(plain, path).ok(1e-2)  # so the stretch is large enough to be seen


@pytest.mark.parametrize("kind", ["yarn", "linear"])
@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_squeezed_positions_agree(kind: str, architecture: str, tmp_path: Path) -> None:
    # Old enough a context that the prompts reach past it, and that yarn's ramp lies among the pairs.
    rope = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 8.0}
    rope |= {"original_max_position_embeddings": 32} if kind == "yarn" else {}
    folder = make_model(architecture, tmp_path / "hf", tied=False, rope_parameters=rope)
    path = export_gguf(folder, tmp_path / "m.gguf", "F32")
    assert parity_report(folder, path).ok(1e-2)
    plain = make_model(architecture, tmp_path / "plain", tied=False)
    assert not parity_report(plain, path).ok(1e-2)


def test_report_sees_another_models_file(qwen2: Path, tmp_path: Path) -> None:
    folder = make_model("qwen2", tmp_path / "hf", tied=True, rms_norm_eps=0.1)
    path = export_gguf(folder, tmp_path / "m.gguf", "F32")
    edit = TEMPLATE.replace("<think>", "")
    (folder / "chat_template.jinja").write_text(edit)
    report = parity_report(qwen2, export_gguf(folder, path, "F32"))
    assert report.max_logit_diff > 1e-2
    assert len(report.template_mismatches) == 3
    assert not report.ok()


def test_report_sees_another_splitter(folder: Path, tmp_path: Path) -> None:
    path = export_gguf(folder, tmp_path / "m.gguf", "F32")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+"
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert parity_report(folder, path).tokenizer_mismatches


def test_tags_stay_visible_and_role_tokens_are_control(qwen2: Path, tmp_path: Path) -> None:
    path = export_gguf(qwen2, tmp_path / "m.gguf")
    reader = gguf.GGUFReader(path)
    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    types = dict(zip(tokens, reader.get_field("tokenizer.ggml.token_type").contents(), strict=True))
    assert [types[t] for t in ("<think>", "</think>", BOS, EOS, PAD, "<｜User｜>")] == [4, 4, 3, 3, 3, 3]
    assert types["[PAD383]"] == 5
    info = read_info(path)
    assert (info.bos_token, info.eos_token, info.chat_template) == (BOS, EOS, TEMPLATE)
    assert reader.get_field("tokenizer.ggml.padding_token_id").contents() == tokens.index(PAD)
    assert reader.get_field("tokenizer.ggml.add_bos_token").contents() is False


def test_merges_as_text_and_template_in_the_settings_give_the_same_file(
    qwen2: Path, folder: Path, tmp_path: Path
) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert isinstance(tokenizer["model"]["merges"][0], list)
    tokenizer["model"]["merges"] = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "chat_template.jinja").unlink()
    edit_json(folder / "tokenizer_config.json", chat_template=[{"name": "default", "template": TEMPLATE}])
    a = export_gguf(qwen2, tmp_path / "a.gguf", name="m")
    b = export_gguf(folder, tmp_path / "b.gguf", name="m")
    assert a.read_bytes() == b.read_bytes()


def test_older_config_with_rope_theta_at_the_top_gives_the_same_file(qwen2: Path, folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config))
    a = export_gguf(qwen2, tmp_path / "a.gguf", name="m")
    assert a.read_bytes() == export_gguf(folder, tmp_path / "b.gguf", name="m").read_bytes()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "mamba"}, "mamba"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"head_dim": 32}, "head_dim"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5}}, "attention_factor"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 16}}, "beta_fast"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}}, "dynamic"),
        ({"rope_parameters": [1]}, "rope"),
        ({"rope_theta": "x", "rope_parameters": None}, "rope_theta"),
        ({"rms_norm_eps": [1]}, "rms_norm_eps"),
        ({"num_hidden_layers": 3}, "missing"),
        ({"num_hidden_layers": 2_000_000_000}, "tensors in all"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(
    changes: dict[str, Any], reason: str, folder: Path, tmp_path: Path
) -> None:
    edit_json(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=reason):
        export_gguf(folder, tmp_path / "m.gguf")
    assert not (tmp_path / "m.gguf").exists()


def test_unknown_splitter_and_kind_of_tokeniser_are_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "tokenizer.json"
    original = json.loads(path.read_text())
    edit_json(path, pre_tokenizer={"type": "ByteLevel"})
    with pytest.raises(ValueError, match="pre-tokeniser"):
        export_gguf(folder, tmp_path / "m.gguf")
    path.write_text(json.dumps(original | {"model": original["model"] | {"type": "Unigram"}}))
    with pytest.raises(ValueError, match="Unigram"):
        export_gguf(folder, tmp_path / "m.gguf")
