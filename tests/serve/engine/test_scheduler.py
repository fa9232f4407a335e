"""Who gets rows in a step, who gets in, and who has to wait."""

from __future__ import annotations

from typing import cast

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.detokenizer import Detokenizer
from r1chat.serve.engine.kv_cache import KVCache
from r1chat.serve.engine.model_runner import Sampler
from r1chat.serve.engine.pace import Pace
from r1chat.serve.engine.scheduler import HEADROOM, Scheduler
from r1chat.serve.engine.sequence import Sequence


class Memory:
    def remove(self, seq_id: int, start: int) -> None:
        pass


def scheduler(*, n_cells: int = 10_000, n_seq_max: int = 8, rows: int = 32) -> Scheduler:
    """Its prompt budget is `rows` a step."""
    pace = Pace(max_rows=512)
    pace.measure(64, 0, 64 * 0.5 / (rows + 0.5))
    return Scheduler(KVCache(Memory(), n_cells=n_cells, n_seq_max=n_seq_max), pace, n_seq_max=n_seq_max)


def prompt(name: str, n_tokens: int) -> Sequence:
    tokens = [hash((name, i)) for i in range(n_tokens)]
    return Sequence(name, tokens, 100_000, cast(Sampler, None), Detokenizer(reasoning_open=True))


def rows_of(batch: Batch) -> dict[str, int]:
    return {chunk.sequence.request_id: chunk.n_rows for chunk in batch.chunks}


def compute(batch: Batch) -> None:
    """As if the batch had run and every sampled row had brought a token."""
    ready = [chunk.sequence for chunk in batch.chunks if chunk.needs_logits]
    for chunk in batch.chunks:
        chunk.sequence.n_computed += chunk.n_rows
    for sequence in ready:
        sequence.tokens.append(0)


def start_decoding(policy: Scheduler, n: int) -> None:
    for i in range(n):
        policy.add(prompt(f"stream {i}", 4))
    while any(not sequence.is_decoding for sequence in policy.running) or policy.waiting:
        compute(policy.schedule())


def test_decoding_requests_come_first_with_one_row_each() -> None:
    policy = scheduler()
    start_decoding(policy, 3)
    policy.add(prompt("long", 1000))
    batch = policy.schedule()
    assert [chunk.n_rows for chunk in batch.chunks[:3]] == [1, 1, 1]
    assert batch.chunks[3].sequence.request_id == "long"


def test_a_long_prompt_never_takes_more_than_its_slice_between_two_tokens() -> None:
    policy = scheduler(rows=32)
    start_decoding(policy, 2)
    policy.add(prompt("long", 1000))
    streams_rows = []
    for _ in range(40):
        batch = policy.schedule()
        rows = rows_of(batch)
        assert rows.get("long", 0) <= 32
        streams_rows.append(rows["stream 0"])
        compute(batch)
    assert streams_rows == [1] * 40
    assert policy.running[-1].is_decoding, "and it gets through"


def test_the_oldest_prompt_gets_half_and_newcomers_go_shortest_first() -> None:
    policy = scheduler(rows=32)
    for name, n_tokens in [("oldest", 500), ("longer", 300), ("short", 10)]:
        policy.add(prompt(name, n_tokens))
    assert rows_of(policy.schedule()) == {"oldest": 16, "short": 10, "longer": 6}


def test_a_stream_of_short_prompts_does_not_starve_a_long_one() -> None:
    policy = scheduler(rows=32, n_seq_max=4)
    long = prompt("long", 320)
    policy.add(long)
    n_steps = 0
    while not long.is_decoding:
        policy.add(prompt(f"short {n_steps}", 16))
        compute(policy.schedule())
        for sequence in [s for s in policy.running if s.is_decoding and s is not long]:
            policy.finish(sequence)
        n_steps += 1
    assert n_steps <= 320 / 16


def test_rows_nobody_else_wants_go_to_the_oldest() -> None:
    policy = scheduler(rows=32)
    policy.add(prompt("oldest", 500))
    policy.add(prompt("tiny", 2))
    assert rows_of(policy.schedule()) == {"oldest": 30, "tiny": 2}


def test_requests_enter_in_order_of_arrival_up_to_the_number_of_sequences() -> None:
    policy = scheduler(n_seq_max=2)
    for name in "abc":
        policy.add(prompt(name, 5))
    policy.schedule()
    assert [sequence.request_id for sequence in policy.running] == ["a", "b"]
    policy.finish(policy.running[0])
    policy.schedule()
    assert [sequence.request_id for sequence in policy.running] == ["b", "c"]


def test_a_request_waits_until_its_prompt_and_some_headroom_fit() -> None:
    policy = scheduler(n_cells=1000)
    policy.add(prompt("a", 500))
    policy.add(prompt("b", 500 - 2 * HEADROOM + 1))
    policy.schedule()
    assert [sequence.request_id for sequence in policy.waiting] == ["b"]
    policy.finish(policy.running[0])
    policy.schedule()
    assert [sequence.request_id for sequence in policy.running] == ["b"]


def test_when_cells_run_out_the_youngest_gives_way_and_keeps_its_tokens() -> None:
    policy = scheduler(n_cells=1000, rows=500)
    policy.add(prompt("old", 400))
    policy.add(prompt("young", 400))
    for _ in range(110):
        compute(policy.schedule())
    assert [sequence.request_id for sequence in policy.running] == ["old"]
    (young,) = policy.waiting
    assert len(young.tokens) > 400
    assert young.seq_id == -1
    policy.finish(policy.running[0])
    batch = policy.schedule()
    assert batch.chunks[0].sequence is young


def test_a_waiting_request_can_be_taken_out() -> None:
    policy = scheduler(n_seq_max=1)
    a, b = prompt("a", 5), prompt("b", 5)
    policy.add(a)
    policy.add(b)
    policy.schedule()
    policy.finish(b)
    assert not policy.waiting
    assert policy.running == [a]
