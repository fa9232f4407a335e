"""TransformersModelRunner computes what plain transformers computes, whoever shares the batch or the cache."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_tools import Channel, finish_of, request, run, text_of
from forward_tools import batch_of, compute, last_logits, logits_along, made_up, placed

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache, cache_key
from r1chat.serve.engine.model_runner import InterruptedStep, InvalidBatchError, KVFullError, load_runner
from r1chat.serve.engine.request import FinishReason, Grammar
from r1chat.serve.errors import InvalidRequestError, ModelLoadError, NotEnoughMemoryError

torch = pytest.importorskip("torch", reason="the transformers engine needs torch")
transformers = pytest.importorskip("transformers", reason="the transformers engine needs transformers")

import model_folders  # noqa: E402

RUNNER = "r1chat.serve.engine.transformers_runner:TransformersModelRunner"
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen2 tied": {"tie_word_embeddings": True},
    "llama": {"num_key_value_heads": 1, "rope_parameters": LLAMA3_ROPE},
    "qwen3": {},
}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("folders")

    def folder_of(shape: str) -> Path:
        folder = root / shape.replace(" ", "-")
        return folder if folder.exists() else model_folders.random_folder(folder, shape.split()[0], **SHAPES[shape])

    return folder_of


@pytest.fixture
def opened(folders: Callable[[str], Path]) -> Iterator[Open]:
    """opened(shape, **EngineConfig), other keywords go to the runner; closed afterwards."""
    runners: list[Any] = []

    def open_runner(shape: str = "qwen2", runner_args: dict[str, str] | None = None, **config: Any) -> Any:
        config = {"n_threads": 1, "n_cells": 1024, **config}
        args = {"device": "cpu", **(runner_args or {})}
        runners.append(load_runner(EngineConfig(model_path=folders(shape), runner=RUNNER, runner_args=args, **config)))
        return runners[-1]

    yield open_runner
    for runner in runners:
        runner.close()


def plain_logits(folder: Path, tokens: list[int]) -> np.ndarray:
    """Of every position, by transformers' own attention on the whole text at once."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        logits: np.ndarray = model.eval()(torch.tensor([tokens])).logits[0].numpy()
    return logits


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_are_those_of_plain_transformers(opened: Open, folders: Callable[[str], Path], shape: str) -> None:
    tokens = made_up(150)
    expected = plain_logits(folders(shape), tokens)
    runner = opened(shape)
    # a prompt in pieces, the last tokens one by one
    first = placed(0, tokens[:90])
    (logits,) = last_logits(runner, first)
    np.testing.assert_allclose(logits, expected[89], atol=1e-4)
    first.tokens += tokens[90:140]
    (logits,) = last_logits(runner, first)
    np.testing.assert_allclose(logits, expected[139], atol=1e-4)
    np.testing.assert_allclose(logits_along(runner, first, tokens[140:]), expected[140:], atol=1e-4)
    assert expected.std() > 0.5, "logits that could be told apart"


def test_rows_of_many_sequences_at_once_are_those_of_each_alone(opened: Open) -> None:
    runner = opened()
    prompts = [made_up(n, salt) for salt, n in enumerate((1, 7, 40, 100, 3, 64))]
    alone = []
    for tokens in prompts:
        alone += last_logits(runner, placed(0, tokens))
        runner.remove(0, 0)
    sequences = [placed(seq_id, tokens) for seq_id, tokens in enumerate(prompts)]
    together = last_logits(runner, *sequences, n_idle=3)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    # decoding, with a prompt beside it
    for sequence in sequences[:5]:
        sequence.tokens.append(5)
    late = placed(6, made_up(30, 9))
    together = last_logits(runner, *sequences[:5], late)
    for seq_id in range(7):
        runner.remove(seq_id, 0)
    alone = [last_logits(runner, placed(seq_id, [*prompts[seq_id], 5]))[0] for seq_id in range(5)]
    np.testing.assert_allclose(together[:5], alone, atol=1e-4)


def test_drafts_bring_the_logits_of_each_of_their_rows(opened: Open, folders: Callable[[str], Path]) -> None:
    tokens = made_up(40)
    expected = plain_logits(folders("qwen2"), tokens)
    runner = opened()
    compute(runner, placed(0, tokens[:30]))
    batch = Batch()
    batch.add(replace(placed(0, tokens[:31]), n_computed=30), 1, draft=tokens[31:])
    runner.forward(batch)
    logits = [runner.logits(row) for row in batch.chunks[0].logit_rows]
    np.testing.assert_allclose(logits, expected[30:], atol=1e-4)


def test_a_copied_beginning_is_shared_and_goes_its_own_way(opened: Open) -> None:
    runner = opened(n_cells=220)
    compute(runner, placed(0, made_up(100)))
    for seq_id in (1, 2, 3):
        runner.copy(0, seq_id, 80)
    runner.remove(0, 0)
    # 80 cells are held by three, and 140 are free
    branches = [replace(placed(seq_id, [*made_up(80), *made_up(40, seq_id)]), n_computed=80) for seq_id in (1, 2, 3)]
    together = last_logits(runner, *branches)
    with pytest.raises(KVFullError):
        compute(runner, placed(4, made_up(21)))
    for seq_id in (1, 2, 3):
        runner.remove(seq_id, 0)
    for seq_id, logits in zip((1, 2, 3), together, strict=True):
        (alone,) = last_logits(runner, placed(seq_id, [*made_up(80), *made_up(40, seq_id)]))
        np.testing.assert_allclose(logits, alone, atol=1e-4)
        runner.remove(seq_id, 0)
    compute(runner, placed(0, made_up(220)))


def test_a_restored_state_goes_on_as_before(opened: Open) -> None:
    runner = opened()
    sequence = placed(0, made_up(300))
    compute(runner, sequence)
    state = runner.save(0)
    expected = logits_along(runner, sequence, made_up(16, 1))
    # it comes back into holes that others left, under another id
    for seq_id in (1, 2, 3, 4, 5):
        compute(runner, placed(seq_id, made_up(120, seq_id)))
    for seq_id in (0, 1, 3, 5):
        runner.remove(seq_id, 0)
    assert runner.restore(7, state)
    assert runner.n_computed(7) == 300
    back = replace(placed(7, made_up(300)), n_computed=300)
    np.testing.assert_allclose(logits_along(runner, back, made_up(16, 1)), expected, atol=1e-5)


@pytest.mark.parametrize("wrong", [lambda state: state[:-1], lambda state: np.tile(state, 30), lambda state: state[:0]])
def test_a_state_that_does_not_fit_is_refused(opened: Open, wrong: Callable[[np.ndarray], np.ndarray]) -> None:
    runner = opened()
    compute(runner, placed(0, made_up(50)))
    assert not runner.restore(1, wrong(runner.save(0)))
    assert runner.n_computed(1) == 0
    compute(runner, placed(2, made_up(1024 - 50)))


def test_a_full_cache_and_an_invalid_batch_are_told_apart_and_survived(opened: Open) -> None:
    runner = opened(n_cells=256)
    compute(runner, placed(0, made_up(200)))
    with pytest.raises(KVFullError):
        compute(runner, placed(1, made_up(57)))
    with pytest.raises(InvalidBatchError):
        compute(runner, replace(placed(0, made_up(210)), n_computed=205))
    with pytest.raises(InvalidBatchError):
        compute(runner, placed(1, [1056]))
    assert (runner.n_computed(0), runner.n_computed(1)) == (200, 0)
    compute(runner, placed(1, made_up(56)))


def test_an_interrupted_pass_leaves_the_cache_as_it_was(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = opened()
    sequence = placed(0, made_up(100))
    compute(runner, sequence)
    runner.interrupt()  # between steps: forgotten
    first = logits_along(runner, sequence, [5])
    runner.remove(0, 100)
    layer, written = runner._loaded.model.model.layers[1], []

    def interrupting(*_: object) -> None:
        written.append(runner._cells.length(0))
        runner.interrupt()

    hook = layer.register_forward_pre_hook(interrupting)
    sequence = replace(placed(0, [*made_up(100), 5]), n_computed=100)
    with pytest.raises(InterruptedStep):
        runner.forward(batch_of(sequence))
    hook.remove()
    assert written == [101] and runner.n_computed(0) == 100
    np.testing.assert_allclose(last_logits(runner, sequence), first, atol=1e-5)


def test_what_the_model_says_of_itself(opened: Open) -> None:
    runner = opened(n_ctx=300)
    info = runner.info
    assert (info.engine, info.architecture, info.n_vocab, info.n_ctx) == ("transformers", "qwen2", 1056, 300)
    assert (info.bos_token, info.eos_token) == (model_folders.BOS, model_folders.EOS)
    assert info.chat_template is not None and "<｜Assistant｜>" in info.chat_template
    assert not info.deterministic and not info.gpu_offload
    assert (runner.n_cells, runner.n_batch) == (1024, 512)


def test_the_template_is_found_in_each_of_its_places(folders: Callable[[str], Path], tmp_path: Path) -> None:
    from r1chat.serve.engine.transformers_vocab import TransformersVocab  # needs transformers

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
def test_message_text_never_becomes_special_tokens(opened: Open, text: str) -> None:
    runner = opened()
    names = ("<｜User｜>", "<think>", "</think>", model_folders.BOS, model_folders.EOS)
    special = [runner.tokenize(name, special=True) for name in names]
    assert all(len(tokens) == 1 for tokens in special)
    tokens = runner.tokenize(text, special=False)
    assert not {each for (each,) in special} & set(tokens)
    assert b"".join(map(runner.piece, tokens)).decode() == text


def test_pieces_are_bytes_and_control_tokens_have_none(opened: Open) -> None:
    runner = opened()
    text = "naïve 🐑\n  {\"a\": '½'}\x00"
    tokens = runner.tokenize(text, special=False)
    assert b"".join(map(runner.piece, tokens)) == text.encode()
    (end,) = runner.tokenize(model_folders.EOS, special=True)
    (tag,) = runner.tokenize("<think>", special=True)
    assert (runner.piece(end), runner.token_text(end), runner.is_end(end)) == (b"", model_folders.EOS.encode(), True)
    assert (runner.piece(tag), runner.is_end(tag)) == (b"<think>", False)
    assert (runner.piece(1055), runner.is_end(1055)) == (b"", False), "a row without a token"


def test_greedy_text_is_what_a_plain_loop_over_transformers_gives(opened: Open, folders: Callable[[str], Path]) -> None:
    runner = opened()
    engine = Engine(runner)
    asked = [request(f"r{i}", f"question {i}", temperature=0.0, max_tokens=20) for i in range(3)]
    requests = [msgspec.structs.replace(each, reasoning_open=False) for each in asked]  # the governor stays out of it
    events = run(engine, requests)
    for each in requests:
        finished = finish_of(events[each.request_id])
        prompt = engine.tokenize(each.prompt)
        said = [token for token in finished.tokens if not runner.is_end(token)]
        expected = plain_logits(folders("qwen2"), [*prompt, *said])
        for place, token in enumerate(said, start=len(prompt) - 1):
            assert expected[place].max() - expected[place, token] < 1e-4


def test_log_probabilities_are_those_of_the_row(opened: Open, folders: Callable[[str], Path]) -> None:
    runner = opened()
    engine = Engine(runner)
    asked = request("r", "hello", temperature=1.5, seed=3, max_tokens=8, top_logprobs=3)
    asked = msgspec.structs.replace(asked, reasoning_open=False)
    events = run(engine, [asked])["r"]
    entries = [entry for event in events for entry in getattr(event, "logprobs", ())]
    prompt = engine.tokenize(asked.prompt)
    logits = torch.from_numpy(plain_logits(folders("qwen2"), [*prompt, *finish_of(events).tokens]))
    rows = logits.log_softmax(-1)[len(prompt) - 1 :]
    assert len(entries) >= 4
    for entry, row in zip(entries, rows, strict=False):
        assert entry.logprob == pytest.approx(float(row[entry.token]), abs=1e-4)
        assert [each.token for each in entry.top] == row.topk(3).indices.tolist()


def test_an_answer_is_bound_by_its_grammar(opened: Open) -> None:
    asked = request("r", "hello", temperature=1.0, seed=1, max_tokens=40, reasoning_budget=0)
    grammar = Grammar(
        "json_schema",
        json.dumps(
            {"type": "object", "properties": {"n": {"enum": [7, 8]}}, "required": ["n"], "additionalProperties": False}
        ),
    )
    events = run(Engine(opened()), [msgspec.structs.replace(asked, grammar=grammar)])["r"]
    assert json.loads(text_of(events, Channel.CONTENT))["n"] in (7, 8)
    assert finish_of(events).reason is FinishReason.STOP


def test_tokens_that_left_the_cache_come_back_from_host_memory(opened: Open) -> None:
    runner = opened(n_cells=160, n_ctx=150, n_seq_max=2)
    engine = Engine(runner, host=HostCache(1 << 26))
    first = request("a", "one " * 30, temperature=0.0, max_tokens=8)
    whole = text_of(run(engine, [first])["a"], Channel.REASONING)
    run(engine, [request("b", "two " * 40, temperature=0.0, max_tokens=8)])
    again = run(engine, [request("c", "one " * 30, temperature=0.0, max_tokens=8)])["c"]
    assert engine.stats().restores_total == 1
    assert finish_of(again).usage.cached_tokens > 32
    assert text_of(again, Channel.REASONING) == whole


def test_kept_prompts_are_those_of_the_same_weights_and_numbers(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders("qwen2"), tmp_path / "model")
    key = cache_key(folder, "f16 float32")
    assert key == cache_key(folder, "f16 float32") != cache_key(folder, "f16 bfloat16")
    spoil_a_tensor(folder)
    assert key != cache_key(folder, "f16 float32")


def test_keys_and_values_are_never_stored_in_blocks(opened: Open) -> None:
    with pytest.raises(ModelLoadError, match="--kv-type f16"):
        opened(kv_type="q8_0")


def test_a_bias_on_a_token_beyond_the_vocabulary_is_refused(opened: Open) -> None:
    with pytest.raises(InvalidRequestError):
        Engine(opened()).add_request(request("r", logit_bias={1056: 1.0}))


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.1), ("nf4", 0.5)])
def test_quantised_weights_compute_nearly_the_same(
    opened: Open, folders: Callable[[str], Path], quantization: str, tolerance: float
) -> None:
    pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")
    pytest.importorskip("accelerate", reason="quantised weights need accelerate")
    tokens = made_up(60)
    expected = plain_logits(folders("qwen2"), tokens)[-1]
    runner = opened("qwen2", {"quantization": quantization})
    (logits,) = last_logits(runner, placed(0, tokens))
    error = np.abs(logits - expected).std() / expected.std()
    assert 0 < error < tolerance
    assert quantization in runner.info.description


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
    folders: Callable[[str], Path], tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    folder = shutil.copytree(folders("qwen2"), tmp_path / "model")
    damage(folder)
    with pytest.raises(ModelLoadError, match=reason) as caught:
        load_runner(EngineConfig(model_path=folder, runner=RUNNER, runner_args={"device": "cpu"}, n_cells=256))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_what_no_machine_has_room_for_is_refused_before_it_is_read(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1chat.serve.engine import transformers_model  # needs torch

    monkeypatch.setattr(transformers_model, "available_memory", lambda: 200_000)
    with pytest.raises(NotEnoughMemoryError, match="GB are free"):
        load_runner(EngineConfig(model_path=folders("qwen2"), runner=RUNNER, runner_args={"device": "cpu"}))


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("transformers_runner", "packed_attention"):
        monkeypatch.delitem(sys.modules, f"r1chat.serve.engine.{name}", raising=False)
    with pytest.raises(ModelLoadError, match=r'torch.*pip install "r1chat\[distill\]"'):
        load_runner(EngineConfig(model_path=Path("x"), runner=RUNNER))
