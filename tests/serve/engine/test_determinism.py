"""A deterministic request's logits are bit-equal whatever else the runner computes, keeps or drops."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from engine_tools import request, run
from forward_tools import OpenModel, batch_of, compute, last_logits, logits_along, made_up, placed
from recording_runner import Record, RecordingRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.model_runner import KVFullError
from r1chat.serve.engine.sequence import Sequence
from r1chat.serve.engine.speculation import PromptLookup, Speculator
from r1chat.serve.models.gguf.shapes import make_random_gguf


@pytest.mark.parametrize(
    ("shape", "quant", "holds"),
    [("bundled", "Q8_0", True), ("tiny-qwen2", "Q8_0", True), ("tiny-qwen2-256", "Q4_K_M", False)],
)
def test_the_model_says_for_which_files_it_holds(open_model: OpenModel, shape: str, quant: str, holds: bool) -> None:
    assert open_model(shape, quant).info.deterministic is holds
    assert open_model(shape, quant, n_threads=2).info.deterministic is holds


def test_a_file_that_is_not_what_its_type_says_is_found_out(open_model: OpenModel, model_folder: Path) -> None:
    """K-quants under the name of Q8_0."""
    path = make_random_gguf("tiny-qwen2-256", model_folder / "liar.gguf", "Q4_K_M")
    import gguf

    (kind,) = gguf.GGUFReader(path, "r+").fields["general.file_type"].parts[-1:]
    kind[:] = 7
    kind.base.flush() if hasattr(kind.base, "flush") else None
    runner = RecordingRunner(EngineConfig(model_path=path, n_threads=1, n_cells=1024))
    assert not runner.info.deterministic
    runner.close()


PROMPT, TAIL = made_up(200), made_up(60, 9)


def alone(runner: RecordingRunner) -> np.ndarray:
    """The reference: the request by itself in an empty cache."""
    compute(runner, sequence := placed(0, PROMPT, deterministic=True))
    return logits_along(runner, sequence, TAIL)


def test_cells_freed_below_a_request_do_not_change_its_rounding(open_model: OpenModel) -> None:
    expected = alone(open_model())
    runner = open_model()
    compute(runner, placed(1, made_up(150, 1)))
    compute(runner, sequence := placed(0, PROMPT, deterministic=True))
    first = logits_along(runner, sequence, TAIL[:20])
    runner.remove(1, 0)
    rest = logits_along(runner, sequence, TAIL[20:])
    assert np.array_equal([*first, *rest], expected)


def test_a_shared_beginning_below_free_cells_is_copied_where_it_must_be(open_model: OpenModel) -> None:
    expected = alone(open_model())
    runner = open_model()
    compute(runner, placed(1, made_up(150, 1)))
    compute(runner, placed(2, PROMPT, deterministic=True))
    runner.copy(2, 0, 180)
    runner.remove(1, 0)
    sequence = replace(placed(0, PROMPT, deterministic=True), n_computed=180)
    compute(runner, sequence)
    assert np.array_equal(logits_along(runner, sequence, TAIL), expected)
    other = replace(placed(2, PROMPT, deterministic=True), n_computed=200)
    assert np.array_equal(logits_along(runner, other, TAIL), expected), "its source is as it was"


def test_where_there_is_no_room_to_put_it_in_order_the_step_is_refused_whole(open_model: OpenModel) -> None:
    runner = open_model(n_cells=512)
    compute(runner, placed(1, made_up(100, 1)))
    compute(runner, placed(2, PROMPT, deterministic=True))
    compute(runner, placed(3, made_up(200, 3)))
    runner.copy(2, 0, 200)
    runner.remove(1, 0)
    sequence = replace(placed(0, [*PROMPT, 1], deterministic=True), n_computed=200)
    with pytest.raises(KVFullError):
        runner.forward(batch_of(sequence))
    assert (runner.n_computed(0), runner.n_computed(2)) == (200, 200)
    runner.remove(3, 0)
    compute(runner, sequence)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_lone_row_rounds_like_a_row_in_company_however_deep(open_model: OpenModel, n_threads: int) -> None:
    """From 512 cells on llama.cpp shares a lone row's attention among the threads."""
    runner = open_model(n_threads=n_threads, n_batch=1024)
    prompt = made_up(900)
    compute(runner, sequence := placed(0, prompt, deterministic=True))
    expected = logits_along(runner, sequence, TAIL[:8])
    runner.remove(0, 900)
    sequence, other = replace(placed(0, prompt, deterministic=True), n_computed=900), placed(1, made_up(40, 3))
    compute(runner, other)
    rows = []
    for token in TAIL[:8]:
        sequence.tokens.append(token)
        other.tokens.append(token)
        rows.append(last_logits(runner, other, sequence)[1])
    assert np.array_equal(rows, expected)


def test_a_row_that_is_left_over_from_the_pieces_of_a_batch_gets_company(open_model: OpenModel) -> None:
    """60 rows of somebody's prompt, and then the request's one."""
    runner = open_model(n_threads=2, n_batch=1024)
    prompt = made_up(900)
    compute(runner, sequence := placed(0, prompt, deterministic=True))
    expected = logits_along(runner, sequence, TAIL[:1], n_idle=1)
    runner.remove(0, 900)
    sequence = replace(placed(0, [*prompt, TAIL[0]], deterministic=True), n_computed=900)
    assert np.array_equal(last_logits(runner, placed(1, made_up(60, 3)), sequence)[1], expected[0])
    assert runner.n_computed(runner.n_resident) == 0


@pytest.mark.parametrize(("shape", "seed"), [*(("tiny-qwen2", seed) for seed in range(4)), ("bundled", 5)])
def test_whatever_company_comes_and_goes(open_model: OpenModel, shape: str, seed: int) -> None:
    """Others start, end, are cut, copied, parked and brought back; so is the request itself."""
    rng = random.Random(seed)
    n_threads = rng.choice([1, 2])
    expected = alone(open_model(shape, n_threads=n_threads))
    runner = open_model(shape, n_threads=n_threads, n_cells=2048)
    company = Company(runner, rng)
    company.disturb()
    sequence = placed(0, PROMPT, deterministic=True)
    while sequence.n_uncomputed:
        company.step_with(sequence, min(sequence.n_uncomputed, rng.randrange(1, 90)))
        company.disturb()
    rows = []
    for token in TAIL:
        sequence.tokens.append(token)
        row = company.step_with(sequence, 1)
        rows.append(runner.logits(row).copy())
        company.disturb()
        if rng.random() < 0.1:
            state = runner.save(0)
            runner.remove(0, 0)
            company.disturb()
            sequence.seq_id = 0
            assert runner.restore(0, state)
    assert np.array_equal(rows, expected)


class Company:
    """Up to five other sequences, ids 1 to 5."""

    def __init__(self, runner: RecordingRunner, rng: random.Random) -> None:
        self._runner = runner
        self._rng = rng
        self._others: dict[int, list[int]] = {}

    def disturb(self) -> None:
        rng, runner = self._rng, self._runner
        for seq_id in range(1, 6):
            if rng.random() > 0.3:
                continue
            held = self._others.setdefault(seq_id, [])
            choice = rng.choice(["leave", "cut", "copy", "restore"])
            if choice == "leave":
                self._drop(seq_id, 0)
            elif choice == "cut" and held:
                self._drop(seq_id, rng.randrange(len(held)))
            elif choice == "copy" and not held:
                source = rng.choice([each for each in self._others if each != seq_id] or [seq_id])
                n_tokens = len(self._others.get(source, [])) // 2
                runner.copy(source, seq_id, n_tokens)
                self._others[seq_id] = self._others.get(source, [])[:n_tokens]
            elif choice == "restore" and held:
                state = runner.save(seq_id)
                runner.remove(seq_id, 0)
                assert runner.restore(seq_id, state)

    def step_with(self, sequence: Sequence, n_rows: int) -> int:
        """A batch of `n_rows` rows of `sequence` and some of others; the row of its newest token."""
        rng = self._rng
        batch = Batch(n_idle=rng.choice([0, 0, 1, 3]))
        chunks = [(sequence, n_rows)]
        for seq_id in rng.sample(range(1, 6), rng.randrange(4)):
            held = self._others.setdefault(seq_id, [])
            n_more = rng.choice([1, 1, 1, rng.randrange(1, 70)]) if len(held) < 200 else 1
            other = replace(placed(seq_id, held + made_up(n_more, seq_id)), n_computed=len(held))
            chunks.append((other, n_more))
            self._others[seq_id] = other.tokens
        rng.shuffle(chunks)
        for each, n in chunks:
            batch.add(each, n)
        self._runner.forward(batch)
        (chunk,) = [chunk for chunk in batch.chunks if chunk.sequence is sequence]
        chunk.sequence.n_computed += n_rows
        return chunk.row + chunk.n_rows - 1

    def _drop(self, seq_id: int, start: int) -> None:
        self._runner.remove(seq_id, start)
        del self._others[seq_id][start:]


@pytest.mark.slow
def test_a_deterministic_request_gets_the_same_tokens_alone_and_among_others(open_model: OpenModel) -> None:
    """Through the whole engine: drafts, a crowded cache, others that come and go."""

    def record(n_others: int, **more: int) -> Record:
        runner = open_model("bundled", n_cells=768, n_ctx=512)
        engine = Engine(runner, host=HostCache(10_000_000), make_speculator=lambda _: Speculator(PromptLookup()))
        on_and_on = {token: -1000.0 for token in range(runner.info.n_vocab) if runner.is_end(token)}
        params = {"seed": 5, "temperature": 1.2, "max_tokens": 100, "logit_bias": on_and_on, **more}
        asked = request("asked", "How many sheep are left? " * 6, **params)
        others = [request(f"r{i}", "sheep " * (7 * i), seed=i, max_tokens=11 * i + 2) for i in range(n_others)]
        half = n_others // 2
        for other in others[:half]:
            engine.add_request(other)
        for _ in range(5):
            engine.step()
        run(engine, [msgspec.structs.replace(asked, deterministic=True), *others[half:]])
        return runner.records[half]

    expected, crowded = record(0), record(10)
    assert len(expected.tokens) == 100
    assert crowded == expected, "the tokens, and the least difference in what they were drawn from"
    assert record(10, reasoning_budget=12) == record(0, reasoning_budget=12) != expected, (
        "a thought that was closed, too"
    )
