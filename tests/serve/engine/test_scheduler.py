"""Who gets rows in a step, who gets in, who has to wait, and who gives way."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.kv_cache import KVCache
from r1chat.serve.engine.request import Priority
from r1chat.serve.engine.scheduler import ANSWER_RESERVE, Scheduler
from r1chat.serve.engine.sequence import Sequence
from r1chat.serve.engine.step_sizes import Slice

BACKGROUND, BATCH = Priority.BACKGROUND, Priority.BATCH


class Memory:
    def remove(self, seq_id: int, start: int) -> None: ...
    def copy(self, source: int, target: int, n_tokens: int) -> None: ...
    def save(self, seq_id: int) -> np.ndarray:
        return np.zeros(1, np.uint8)

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        return False


@dataclass
class Sizes:
    """What a step may hold, said outright."""

    rows: int = 32
    fillers: int = 0
    idle: int = 0

    def prefill_rows(self, n_decoding: int, depth: float) -> int:
        return self.rows

    def prompt_slice(self, n_decoding: int, depth: float, lefts: list[int], lead_s: float, stretch: float) -> Slice:
        return Slice(self.rows)

    @property
    def costs(self) -> Any:
        return SimpleNamespace(seconds=lambda n_rows, n_outputs: 1.0)

    def filler_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        return self.fillers

    def idle_rows(self, n_rows: int, n_outputs: int, depth: float = 0.0) -> int:
        return self.idle


class Policy(Scheduler):
    """A scheduler with its cache at hand."""

    def __init__(self, n_cells: int, n_seq_max: int, sizes: Any) -> None:
        self.cache = KVCache(Memory(), n_cells=n_cells, n_resident=32)
        super().__init__(self.cache, sizes, n_seq_max=n_seq_max, n_batch=512)

    def step(self) -> Batch:
        """As if the batch had run and every sampled row had brought a token."""
        batch = self.schedule()
        for chunk in batch.chunks:
            ready = len(chunk.logit_rows)
            self.cache.advance(chunk.sequence, chunk.n_rows)
            if ready:
                chunk.sequence.tokens.append(0)
        return batch


def scheduler(*, n_cells: int = 10_000, n_seq_max: int = 8, rows: int = 32, **sizes: int) -> Policy:
    return Policy(n_cells, n_seq_max, Sizes(rows, **sizes))


def prompt(name: str, n_tokens: int, priority: Priority = Priority.INTERACTIVE, **more: Any) -> Sequence:
    return Sequence(name, [hash((name, i)) for i in range(n_tokens)], 100_000, priority=priority, **more)


def prepared(name: str, n_tokens: int) -> Sequence:
    return prompt(name, n_tokens, BACKGROUND, only_prepares=True)


def rows_of(batch: Batch) -> dict[str, int]:
    return {chunk.sequence.request_id: chunk.n_rows for chunk in batch.chunks}


def names(sequences: list[Sequence]) -> list[str]:
    return [sequence.request_id for sequence in sequences]


def start_decoding(policy: Policy, n: int, priority: Priority = Priority.INTERACTIVE) -> None:
    for i in range(n):
        policy.add(prompt(f"stream {i}", 4, priority))
    while any(not sequence.is_decoding for sequence in policy.running) or policy.waiting:
        policy.step()


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
        rows = rows_of(policy.step())
        assert rows.get("long", 0) <= 32
        streams_rows.append(rows["stream 0"])
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
        policy.step()
        for sequence in [s for s in policy.running if s.is_decoding and s is not long]:
            policy.finish(sequence)
        n_steps += 1
    assert n_steps <= 320 / 16 + 1


def test_rows_nobody_else_wants_go_to_the_oldest() -> None:
    policy = scheduler(rows=32)
    policy.add(prompt("oldest", 500))
    policy.add(prompt("tiny", 2))
    assert rows_of(policy.schedule()) == {"oldest": 30, "tiny": 2}


def test_requests_enter_by_class_then_in_order_of_arrival_up_to_the_number_of_sequences() -> None:
    policy = scheduler(n_seq_max=2)
    policy.add(prompt("batch", 5, BATCH))
    for name in "abc":
        policy.add(prompt(name, 5))
    policy.schedule()
    assert names(policy.running) == ["a", "b"]
    policy.finish(policy.running[0])
    policy.schedule()
    assert names(policy.running) == ["b", "c"]
    assert names(policy.waiting) == ["batch"]


def test_a_request_waits_until_its_prompt_and_the_reserve_of_all_answers_fit() -> None:
    policy = scheduler(n_cells=1000)
    policy.add(prompt("a", 500))
    policy.add(prompt("b", 500 - 2 * ANSWER_RESERVE + 1))
    policy.schedule()
    assert names(policy.waiting) == ["b"]
    policy.finish(policy.running[0])
    policy.schedule()
    assert names(policy.running) == ["b"]


def test_a_request_with_few_tokens_left_to_write_reserves_no_more_than_those() -> None:
    policy = scheduler(n_cells=1000)
    for name in "ab":
        short = prompt(name, 490)
        short.max_tokens = 492
        policy.add(short)
    policy.schedule()
    assert names(policy.running) == ["a", "b"]


def test_when_cells_run_out_the_largest_is_parked_and_goes_on_when_there_is_room() -> None:
    policy = scheduler(n_cells=1000, rows=500)
    policy.add(prompt("small", 300))
    policy.add(prompt("large", 400))
    while not policy.n_parkings:
        policy.step()
    assert names(policy.running) == ["small"]
    (large,) = policy.waiting
    assert len(large.tokens) > 400
    assert large.seq_id == -1
    policy.finish(policy.running[0])
    assert rows_of(policy.step()).keys() == {"large"}


def test_the_least_urgent_is_parked_before_the_largest() -> None:
    policy = scheduler(n_cells=1000, rows=500)
    policy.add(prompt("small batch", 300, BATCH))
    policy.add(prompt("large", 400))
    while not policy.n_parkings:
        policy.step()
    assert names(policy.running) == ["large"]


def test_a_waiting_request_can_be_taken_out() -> None:
    policy = scheduler(n_seq_max=1)
    a, b = prompt("a", 5), prompt("b", 5)
    policy.add(a)
    policy.add(b)
    policy.schedule()
    policy.finish(b)
    assert not policy.waiting
    assert policy.running == [a]


def test_one_of_many_with_the_same_document_computes_it_and_the_others_wait_for_it() -> None:
    policy = scheduler(n_seq_max=8, rows=100)
    document = list(range(1000))
    chats = [Sequence(f"chat {i}", [*document, 5000 + i, i], 100_000) for i in range(6)]
    for chat in chats:
        policy.add(chat)
    policy.add(prompt("stranger", 50))
    n_rows = 0
    while not all(chat.is_decoding for chat in chats):
        batch = policy.schedule()
        n_rows += sum(chunk.n_rows for chunk in batch.chunks if not chunk.sequence.is_decoding)
        for chunk in batch.chunks:
            ready = len(chunk.logit_rows)
            policy.cache.advance(chunk.sequence, chunk.n_rows)
            if ready:
                chunk.sequence.tokens.append(7)
    assert n_rows == 1000 + 6 * 2 + 50
    assert policy.running[1].request_id == "stranger", "it did not wait"


def test_what_is_left_of_a_document_is_not_computed_by_each_of_many_who_wait_for_it() -> None:
    policy = scheduler(n_seq_max=32, rows=104)
    document = [hash(("document", i)) for i in range(128)]
    policy.add(Sequence("first", [*document, 1, 1, 1], 100_000))
    policy.step()  # 24 of the document are left
    others = [Sequence(f"other {i}", [*document, 2 + i, 0], 100_000) for i in range(10)]
    for sequence in others:
        policy.add(sequence)
    while policy.waiting:
        policy.step()
    n_computed = [len(document) + 2 - sequence.n_cached for sequence in others]
    assert sorted(n_computed) == [2] * 9 + [2 + 24]


def test_long_prompts_that_wait_for_another_are_not_compared_with_it_at_every_step() -> None:
    class Read(list[int]):
        n_slices = 0

        def __getitem__(self, key: Any) -> Any:
            Read.n_slices += 1
            return super().__getitem__(key)

    policy = scheduler(rows=32)
    policy.add(Sequence("first", list(range(3000)), 100_000))
    policy.step()
    policy.add(Sequence("other", Read([*range(2990), 0]), 100_000))
    policy.step()
    Read.n_slices = 0
    for _ in range(20):
        policy.step()
    assert names(policy.waiting) == ["other"]
    assert Read.n_slices == 0


def test_the_same_short_question_several_times_over_is_computed_once() -> None:
    policy = scheduler(n_seq_max=8, rows=100)
    for i in range(4):
        policy.add(Sequence(f"thought {i}", list(range(20)), 100_000))
    policy.add(Sequence("other", [*range(19), 99], 100_000))
    assert policy.step().n_rows == 20 + 20, "what only begins alike is too short to wait for"
    policy.step()
    assert [sequence.n_cached for sequence in policy.running] == [0, 0, 19, 19, 19]


def test_a_follower_takes_the_lead_when_its_leader_is_gone() -> None:
    policy = scheduler(rows=100)
    document = list(range(1000))
    a, b = (Sequence(name, [*document, i], 100_000) for i, name in enumerate("ab"))
    policy.add(a)
    policy.add(b)
    policy.step()
    policy.finish(a)
    policy.step()
    assert policy.running == [b]
    assert b.n_cached == 100


def test_background_computes_alone_or_in_rows_that_ride_along() -> None:
    policy = scheduler(rows=32, fillers=3)
    policy.add(prompt("job", 1000, BACKGROUND))
    assert rows_of(policy.step()) == {"job": 32}
    policy.add(prompt("chat", 4))
    assert rows_of(policy.step()) == {"chat": 4, "job": 3}
    assert rows_of(policy.step()) == {"chat": 1, "job": 3}


@pytest.mark.parametrize("priority", [BACKGROUND, BATCH])
def test_the_less_urgent_makes_way_for_a_request_that_lacks_a_place(priority: Priority) -> None:
    policy = scheduler(n_seq_max=2)
    start_decoding(policy, 2, priority)
    policy.add(prompt("chat", 5))
    policy.schedule()
    assert names(policy.running) == ["stream 0", "chat"]
    assert names(policy.waiting) == ["stream 1"]


def test_nothing_is_parked_for_a_request_that_would_not_fit_even_so() -> None:
    policy = scheduler(n_cells=1000, rows=500)
    policy.add(prompt("chat", 400))
    policy.add(prompt("batch", 100, BATCH))
    policy.step()
    policy.add(prompt("large", 400))
    policy.step()
    assert names(policy.running) == ["chat", "batch"] and policy.n_parkings == 0


@pytest.mark.parametrize("n_jobs", [2, 3, 8])
@pytest.mark.parametrize("n_tokens", [150, 600])
def test_background_jobs_get_on_where_chats_fill_the_cache_and_host_memory(n_jobs: int, n_tokens: int) -> None:
    policy = scheduler(n_cells=1000, rows=100)
    for number in range(9):
        policy.add(prompt(f"chat {number}", 100))
        while not policy.running or not policy.running[0].is_decoding:
            policy.step()
        policy.finish(policy.running[0])
    jobs = [prompt(f"job {number}", n_tokens, BACKGROUND) for number in range(n_jobs)]
    for job in jobs:
        policy.add(job)
    for _ in range(100 * n_jobs):
        policy.step()
        for job in [job for job in policy.running if job.is_decoding]:
            policy.finish(job)
    assert not policy.running and not policy.waiting


def test_background_parks_its_own_before_it_evicts_a_chat_that_host_memory_cannot_take() -> None:
    policy = scheduler(n_cells=700, rows=500)
    policy.add(prompt("chat", 300))
    policy.step()
    policy.finish(policy.running[0])
    for name in ("job a", "job b"):
        policy.add(prompt(name, 60, BACKGROUND))
    while not policy.n_parkings:
        policy.step()
    policy.add(Sequence("chat again", [*prompt("chat", 300).tokens, 1], 100_000))
    assert rows_of(policy.step()) == {"chat again": 1}


def test_a_background_job_that_is_alone_is_not_stuck_for_ever() -> None:
    policy = scheduler(n_cells=500, rows=500)
    policy.add(prompt("chat", 300))
    policy.step()
    policy.finish(policy.running[0])
    policy.add(prompt("job", 300, BACKGROUND))
    policy.step()
    assert policy.running[0].is_decoding


def test_a_prompt_is_prepared_only_while_nobody_works_or_in_spare_rows() -> None:
    policy = scheduler(rows=32)
    start_decoding(policy, 1)
    policy.add(prepared("next turn", 100))
    assert rows_of(policy.step()) == {"stream 0": 1}
    policy.finish(policy.running[0])
    assert [rows_of(policy.step())["next turn"] for _ in range(4)] == [32, 32, 32, 4]
    assert not policy.schedule().n_rows
    assert not policy.has_work


def test_what_was_prepared_is_what_the_next_turn_need_not_compute() -> None:
    policy = scheduler(rows=500)
    ahead = prepared("next turn", 100)
    policy.add(ahead)
    policy.step()
    policy.schedule()
    turn = Sequence("turn", [*ahead.tokens, 1, 2, 3], 100_000)
    policy.add(turn)
    assert rows_of(policy.step()) == {"turn": 3}
    assert turn.n_cached == 100


def test_a_turn_that_comes_early_takes_what_there_is_and_ends_the_preparation() -> None:
    policy = scheduler(rows=32)
    ahead = prepared("next turn", 100)
    policy.add(ahead)
    policy.step()
    turn = Sequence("turn", [*ahead.tokens, 1, 2, 3], 100_000)
    policy.add(turn)
    policy.step()
    assert turn.n_cached == 32
    assert not policy.preparing
    assert policy.cache.n_claimed == 1


def test_nothing_is_prepared_for_a_turn_that_is_here_already() -> None:
    policy = scheduler()
    ahead = prepared("next turn", 100)
    policy.add(Sequence("turn", [*ahead.tokens, 1, 2, 3], 100_000))
    policy.add(ahead)
    assert not policy.preparing


def test_preparing_ends_where_a_running_request_needs_the_room() -> None:
    policy = scheduler(n_cells=400, rows=500, fillers=3)
    policy.add(prepared("next turn", 250))
    policy.step()
    policy.add(prompt("chat", 300))
    for _ in range(90):
        policy.step()
    assert not policy.preparing
    assert policy.n_parkings == 0


def test_what_is_prepared_gives_way_even_where_it_gets_no_rows() -> None:
    policy = scheduler(n_cells=400, rows=100, fillers=0)
    policy.add(prepared("next turn", 250))
    policy.step()
    policy.add(prompt("chat", 250))
    for _ in range(120):
        policy.step()
    assert policy.n_parkings == 0
    assert len(policy.running[0].tokens) > 340


def test_what_is_prepared_keeps_nobody_out() -> None:
    policy = scheduler(n_cells=1000, rows=500, fillers=0)
    policy.add(prepared("next turn", 700))
    policy.step()
    for name in ("a", "b"):
        policy.add(prompt(name, 200))
    policy.step()
    assert names(policy.running) == ["a", "b"]


def test_of_what_might_come_next_the_newest_are_prepared_and_old_ones_forgotten() -> None:
    policy = scheduler(n_seq_max=2, rows=20)
    policy.add(prepared("begun", 50))
    policy.step()
    for i in range(100):
        policy.add(prepared(f"next {i}", 50))
    assert [sequence.request_id for sequence in policy.preparing] == ["begun", "next 99", "next 98"]


def test_rows_that_fill_a_step_up_are_in_what_is_run() -> None:
    policy = scheduler(idle=1)
    start_decoding(policy, 3)
    batch = policy.schedule()
    assert batch.n_idle == 1 == batch.still_placed().n_idle
    policy.park(policy.running[0])
    assert (batch.still_placed().n_rows, batch.still_placed().n_idle) == (2, 0)


def test_idle_rows_fill_a_step_up_where_that_is_cheaper() -> None:
    policy = scheduler(idle=1)
    start_decoding(policy, 3)
    batch = policy.schedule()
    assert (batch.n_rows, batch.n_idle) == (3, 1)


def test_several_tokens_put_there_at_once_are_one_chunk() -> None:
    policy = scheduler()
    start_decoding(policy, 2)
    policy.running[0].tokens += [1, 2, 3]
    assert rows_of(policy.schedule()) == {"stream 0": 4, "stream 1": 1}


class Guesses:
    """Drafts as many tokens as it may."""

    def draft(self, tokens: list[int], n_rows: int, sizes: Any, limit: int) -> list[int]:
        return [1] * min(limit, 3)


def test_a_draft_never_reaches_beyond_the_end_of_its_request() -> None:
    policy = scheduler()
    start_decoding(policy, 1)
    (stream,) = policy.running
    stream.speculator = Guesses()  # type: ignore[assignment]
    assert rows_of(policy.schedule()) == {"stream 0": 4}
    stream.max_tokens = len(stream.tokens) + 2
    assert rows_of(policy.schedule()) == {"stream 0": 2}
    stream.max_tokens = len(stream.tokens) + 1
    assert rows_of(policy.schedule()) == {"stream 0": 1}


def test_nothing_is_drafted_while_a_prompt_is_being_computed() -> None:
    policy = scheduler()
    start_decoding(policy, 1)
    policy.running[0].speculator = Guesses()  # type: ignore[assignment]
    policy.add(prompt("long", 100))
    assert rows_of(policy.schedule())["stream 0"] == 1
