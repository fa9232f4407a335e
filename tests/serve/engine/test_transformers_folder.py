"""What TransformersModelRunner takes of a folder: its vocabulary and template; and what it refuses, in one line."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_folders import BOS, EOS, FolderOf, OpenFolder

from r1chat.serve.engine.config import TRANSFORMERS_RUNNER, EngineConfig
from r1chat.serve.engine.host_cache import cache_key
from r1chat.serve.engine.model_runner import load_runner
from r1chat.serve.errors import ModelLoadError, NotEnoughMemoryError

pytest.importorskip("torch", reason="the transformers engine needs torch")
pytest.importorskip("transformers", reason="the transformers engine needs transformers")


def test_what_the_model_says_of_itself(open_folder: OpenFolder) -> None:
    runner = open_folder(n_ctx=300)
    info = runner.info
    assert (info.engine, info.architecture, info.n_vocab, info.n_ctx) == ("transformers", "qwen2", 1056, 300)
    assert (info.bos_token, info.eos_token) == (BOS, EOS)
    assert info.chat_template is not None and "<｜Assistant｜>" in info.chat_template
    assert not info.deterministic and not info.gpu_offload
    assert (runner.n_cells, runner.n_batch) == (1024, 512)


@pytest.mark.parametrize(("free", "n_cells"), [(1 << 40, 16 * 4096), (4 * 5000, 5000), (4096, 4096), (4095, None)])
def test_the_cache_is_as_large_as_memory_allows(
    open_folder: OpenFolder, monkeypatch: pytest.MonkeyPatch, free: int, n_cells: int | None
) -> None:
    """`free` in tokens: keys and values of 2 heads of 16 numbers in 3 layers take 768 bytes."""
    from r1chat.serve.engine.hf import runner  # needs torch

    monkeypatch.setattr(runner, "available_memory", lambda: 768 * free)
    if n_cells is None:
        with pytest.raises(NotEnoughMemoryError, match="--ctx"):
            open_folder(n_cells=None)
    else:
        opened = open_folder(n_cells=None)
        assert (opened.info.n_ctx, opened.n_cells) == (4096, n_cells)
    assert [runner._context(131_072, n) for n in (10**6, 20_000, 9000, 50)] == [32_768, 16_384, 8192, 8192]


def test_the_template_is_found_in_each_of_its_places(folders: FolderOf, tmp_path: Path) -> None:
    from r1chat.serve.engine.hf.vocab import TransformersVocab  # needs transformers

    folder = shutil.copytree(folders("qwen2"), tmp_path / "model")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    template = settings.pop("chat_template")
    path.write_text(json.dumps(settings))
    assert TransformersVocab(folder, 1056, ()).chat_template is None
    (folder / "chat_template.jinja").write_text(template)
    assert TransformersVocab(folder, 1056, ()).chat_template == template
    (folder / "chat_template.jinja").unlink()
    several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": template}]
    path.write_text(json.dumps(settings | {"chat_template": several}))
    assert TransformersVocab(folder, 1056, ()).chat_template == template


@pytest.mark.parametrize("text", ["<｜User｜>", "<think>", "a</think>b", "<<think>>", "<｜end▁of▁sentence｜>"])
def test_message_text_never_becomes_special_tokens(open_folder: OpenFolder, text: str) -> None:
    runner = open_folder()
    names = ("<｜User｜>", "<think>", "</think>", BOS, EOS)
    special = [runner.tokenize(name, special=True) for name in names]
    assert all(len(tokens) == 1 for tokens in special)
    tokens = runner.tokenize(text, special=False)
    assert not {each for (each,) in special} & set(tokens)
    assert b"".join(map(runner.piece, tokens)).decode() == text


def test_pieces_are_bytes_and_control_tokens_have_none(open_folder: OpenFolder) -> None:
    runner = open_folder()
    text = "naïve 🐑\n  {\"a\": '½'}\x00"
    tokens = runner.tokenize(text, special=False)
    assert b"".join(map(runner.piece, tokens)) == text.encode()
    (end,) = runner.tokenize(EOS, special=True)
    (tag,) = runner.tokenize("<think>", special=True)
    assert (runner.piece(end), runner.token_text(end), runner.is_end(end)) == (b"", EOS.encode(), True)
    assert (runner.piece(tag), runner.is_end(tag)) == (b"<think>", False)
    assert (runner.piece(1055), runner.is_end(1055)) == (b"", False), "a row without a token"


def test_keys_and_values_are_never_stored_in_blocks(open_folder: OpenFolder) -> None:
    with pytest.raises(ModelLoadError, match="--kv-type f16"):
        open_folder(kv_type="q8_0")


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def lose_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def spoil_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][:] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def index_of(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))

    return write


def change_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "ends before its last tensor"),
        (lose_a_tensor, r"lacks 1 of its tensors.*up_proj"),
        (spoil_a_tensor, "non-finite"),
        (change_config(hidden_size=128), r"shape|size"),
        (change_config(num_hidden_layers=10**9), "has 3 layers"),
        (change_config(model_type="gpt2"), "gpt2"),
        (change_config(model_type="never heard of"), r"config\.json"),
        (change_config(use_sliding_window=True, sliding_window=64, max_window_layers=1, layer_types=None), "sliding"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokeniser"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64), "damaged"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../y"}}'),
            "outside",
        ),
        (index_of("../y"), "outside"),
        (index_of("y"), "No such"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"), "safetensors"),
    ],
)
def test_a_folder_that_cannot_be_run_is_refused_in_one_line(
    folders: FolderOf, tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = shutil.copytree(folders("qwen2"), tmp_path / "model")
    damage(folder)
    with pytest.raises(ModelLoadError, match=reason) as caught:
        load_runner(
            EngineConfig(model_path=folder, runner=TRANSFORMERS_RUNNER, runner_args={"device": "cpu"}, n_cells=256)
        )
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_no_machine_has_room_for_is_refused_before_it_is_read(
    folders: FolderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1chat.serve.engine.hf import model  # needs torch

    monkeypatch.setattr(model, "available_memory", lambda: 200_000)
    with pytest.raises(NotEnoughMemoryError, match="GB are free"):
        load_runner(
            EngineConfig(model_path=folders("qwen2"), runner=TRANSFORMERS_RUNNER, runner_args={"device": "cpu"})
        )


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("runner", "packed_attention"):
        monkeypatch.delitem(sys.modules, f"r1chat.serve.engine.hf.{name}", raising=False)
    with pytest.raises(ModelLoadError, match=r'torch.*pip install "r1chat\[distill\]"'):
        load_runner(EngineConfig(model_path=Path("x"), runner=TRANSFORMERS_RUNNER))


def test_kept_prompts_are_those_of_the_same_weights_and_numbers(folders: FolderOf, tmp_path: Path) -> None:
    folder = shutil.copytree(folders("qwen2"), tmp_path / "model")
    key = cache_key(folder, "f16 float32")
    assert key == cache_key(folder, "f16 float32") != cache_key(folder, "f16 bfloat16")
    spoil_a_tensor(folder)
    assert key != cache_key(folder, "f16 float32")
