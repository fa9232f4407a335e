"""TransformersModelRunner computes what plain transformers computes, whoever shares the batch or the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from engine_tools import Channel, finish_of, request, run, text_of
from forward_tools import batch_of, compute, last_logits, logits_along, made_up, placed
from model_folders import KINDS, FolderOf, OpenFolder

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.model_runner import InterruptedStep, InvalidBatchError, KVFullError
from r1chat.serve.engine.request import FinishReason, Grammar
from r1chat.serve.errors import InvalidRequestError

torch = pytest.importorskip("torch", reason="the transformers engine needs torch")
transformers = pytest.importorskip("transformers", reason="the transformers engine needs transformers")


def plain_logits(folder: Path, tokens: list[int]) -> np.ndarray:
    """Of every position, by transformers' own attention on the whole text at once."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        logits: np.ndarray = model.eval()(torch.tensor([tokens])).logits[0].numpy()
    return logits


@pytest.mark.parametrize("shape", KINDS)
def test_logits_are_those_of_plain_transformers(open_folder: OpenFolder, folders: FolderOf, shape: str) -> None:
    tokens = made_up(150)
    expected = plain_logits(folders(shape), tokens)
    runner = open_folder(shape)
    # a prompt in pieces, the last tokens one by one
    first = placed(0, tokens[:90])
    (logits,) = last_logits(runner, first)
    np.testing.assert_allclose(logits, expected[89], atol=1e-4)
    first.tokens += tokens[90:140]
    (logits,) = last_logits(runner, first)
    np.testing.assert_allclose(logits, expected[139], atol=1e-4)
    np.testing.assert_allclose(logits_along(runner, first, tokens[140:]), expected[140:], atol=1e-4)
    assert expected.std() > 0.5, "logits that could be told apart"


def test_rows_of_many_sequences_at_once_are_those_of_each_alone(open_folder: OpenFolder) -> None:
    runner = open_folder()
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


def test_drafts_bring_the_logits_of_each_of_their_rows(open_folder: OpenFolder, folders: FolderOf) -> None:
    tokens = made_up(40)
    expected = plain_logits(folders("qwen2"), tokens)
    runner = open_folder()
    compute(runner, placed(0, tokens[:30]))
    batch = Batch()
    batch.add(replace(placed(0, tokens[:31]), n_computed=30), 1, draft=tokens[31:])
    runner.forward(batch)
    logits = [runner.logits(row) for row in batch.chunks[0].logit_rows]
    np.testing.assert_allclose(logits, expected[30:], atol=1e-4)


def test_a_copied_beginning_is_shared_and_goes_its_own_way(open_folder: OpenFolder) -> None:
    runner = open_folder(n_cells=220)
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


def test_a_restored_state_goes_on_as_before(open_folder: OpenFolder) -> None:
    runner = open_folder()
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
def test_a_state_that_does_not_fit_is_refused(
    open_folder: OpenFolder, wrong: Callable[[np.ndarray], np.ndarray]
) -> None:
    runner = open_folder()
    compute(runner, placed(0, made_up(50)))
    assert not runner.restore(1, wrong(runner.save(0)))
    assert runner.n_computed(1) == 0
    compute(runner, placed(2, made_up(1024 - 50)))


def test_a_full_cache_and_an_invalid_batch_are_told_apart_and_survived(open_folder: OpenFolder) -> None:
    runner = open_folder(n_cells=256)
    compute(runner, placed(0, made_up(200)))
    with pytest.raises(KVFullError):
        compute(runner, placed(1, made_up(57)))
    with pytest.raises(InvalidBatchError):
        compute(runner, replace(placed(0, made_up(210)), n_computed=205))
    with pytest.raises(InvalidBatchError):
        compute(runner, placed(1, [1056]))
    assert (runner.n_computed(0), runner.n_computed(1)) == (200, 0)
    compute(runner, placed(1, made_up(56)))


def test_an_interrupted_pass_leaves_the_cache_as_it_was(
    open_folder: OpenFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = open_folder()
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


def test_greedy_text_is_what_a_plain_loop_over_transformers_gives(open_folder: OpenFolder, folders: FolderOf) -> None:
    runner = open_folder()
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


def test_log_probabilities_are_those_of_the_row(open_folder: OpenFolder, folders: FolderOf) -> None:
    runner = open_folder()
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


def test_an_answer_is_bound_by_its_grammar(open_folder: OpenFolder) -> None:
    asked = request("r", "hello", temperature=1.0, seed=1, max_tokens=40, reasoning_budget=0)
    grammar = Grammar(
        "json_schema",
        json.dumps(
            {"type": "object", "properties": {"n": {"enum": [7, 8]}}, "required": ["n"], "additionalProperties": False}
        ),
    )
    events = run(Engine(open_folder()), [msgspec.structs.replace(asked, grammar=grammar)])["r"]
    assert json.loads(text_of(events, Channel.CONTENT))["n"] in (7, 8)
    assert finish_of(events).reason is FinishReason.STOP


def test_tokens_that_left_the_cache_come_back_from_host_memory(open_folder: OpenFolder) -> None:
    runner = open_folder(n_cells=160, n_ctx=150, n_seq_max=2)
    engine = Engine(runner, host=HostCache(1 << 26))
    first = request("a", "one " * 30, temperature=0.0, max_tokens=8)
    whole = text_of(run(engine, [first])["a"], Channel.REASONING)
    run(engine, [request("b", "two " * 40, temperature=0.0, max_tokens=8)])
    again = run(engine, [request("c", "one " * 30, temperature=0.0, max_tokens=8)])["c"]
    assert engine.stats().restores_total == 1
    assert finish_of(again).usage.cached_tokens > 32
    assert text_of(again, Channel.REASONING) == whole


def test_a_bias_on_a_token_beyond_the_vocabulary_is_refused(open_folder: OpenFolder) -> None:
    with pytest.raises(InvalidRequestError):
        Engine(open_folder()).add_request(request("r", logit_bias={1056: 1.0}))


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.1), ("nf4", 0.5)])
def test_quantised_weights_compute_nearly_the_same(
    open_folder: OpenFolder, folders: FolderOf, quantization: str, tolerance: float
) -> None:
    pytest.importorskip("bitsandbytes", reason="quantised weights need bitsandbytes")
    pytest.importorskip("accelerate", reason="quantised weights need accelerate")
    tokens = made_up(60)
    expected = plain_logits(folders("qwen2"), tokens)[-1]
    runner = open_folder("qwen2", {"quantization": quantization})
    (logits,) = last_logits(runner, placed(0, tokens))
    error = np.abs(logits - expected).std() / expected.std()
    assert 0 < error < tolerance
    assert quantization in runner.info.description
