"""The cache's books: whose tokens lie where, what is shared, what goes first and where to."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.kv_cache import KVCache, Worth, common_length
from r1chat.serve.engine.sequence import Sequence


@dataclass
class Memory:
    """Keeps tokens where a runner keeps cells; a shared cell is one object in several sequences."""

    cells: dict[int, list[list[int]]] = field(default_factory=dict)
    copies: list[tuple[int, int, int]] = field(default_factory=list)

    def compute(self, sequence: Sequence, n_tokens: int) -> None:
        cells = self.cells.setdefault(sequence.seq_id, [])
        assert len(cells) == sequence.n_computed
        cells += [[token] for token in sequence.tokens[sequence.n_computed : sequence.n_computed + n_tokens]]

    def remove(self, seq_id: int, start: int) -> None:
        del self.cells.setdefault(seq_id, [])[start:]

    def copy(self, source: int, target: int, n_tokens: int) -> None:
        assert not self.cells.get(target)
        self.copies.append((source, target, n_tokens))
        self.cells[target] = self.cells[source][:n_tokens]

    def save(self, seq_id: int) -> np.ndarray:
        return np.array(self.tokens(seq_id), np.int32).view(np.uint8)

    def restore(self, seq_id: int, state: np.ndarray) -> bool:
        assert not self.cells.get(seq_id)
        self.cells[seq_id] = [[token] for token in state.view(np.int32).tolist()]
        return True

    def tokens(self, seq_id: int) -> list[int]:
        return [token for (token,) in self.cells.get(seq_id, [])]

    @property
    def n_used(self) -> int:
        return len({id(cell) for cells in self.cells.values() for cell in cells})


def make(*, n_cells: int = 1000, n_resident: int = 8, host_bytes: int = 0) -> tuple[KVCache, Memory]:
    memory = Memory()
    return KVCache(memory, n_cells=n_cells, n_resident=n_resident, host=HostCache(host_bytes)), memory


def sequence(tokens: list[int], name: str = "r", scope: str = "") -> Sequence:
    return Sequence(name, list(tokens), 10_000, cache_scope=scope)


def compute(cache: KVCache, memory: Memory, claimed: Sequence, n_tokens: int | None = None) -> Sequence:
    n_tokens = claimed.n_uncomputed if n_tokens is None else n_tokens
    assert cache.make_room(n_tokens)
    memory.compute(claimed, n_tokens)
    cache.advance(claimed, n_tokens)
    return claimed


def leave(cache: KVCache, memory: Memory, tokens: list[int], name: str = "r", scope: str = "") -> int:
    """A finished request of those tokens and one more that was sampled; where it lies."""
    done = sequence(tokens, name, scope)
    cache.claim(done)
    compute(cache, memory, done)
    done.tokens.append(999)
    seq_id = done.seq_id
    cache.release(done)
    return seq_id


def claim(cache: KVCache, tokens: list[int], scope: str = "") -> Sequence:
    claimed = sequence(tokens, scope=scope)
    cache.claim(claimed)
    return claimed


def test_a_prompt_that_goes_on_where_a_resident_ends_takes_it_over() -> None:
    cache, memory = make()
    place = leave(cache, memory, list(range(100)))
    follower = claim(cache, [*range(100), 7, 7])
    assert (follower.seq_id, follower.n_computed) == (place, 100)
    assert memory.copies == []


def test_a_prompt_that_branches_off_shares_cells_and_leaves_the_resident_whole() -> None:
    cache, memory = make()
    place = leave(cache, memory, list(range(100)))
    branch = claim(cache, [*range(80), 7, 7, 7])
    assert branch.seq_id != place
    assert branch.n_computed == 80
    assert cache.n_used == memory.n_used == 100, "the common beginning lies there once"
    assert memory.tokens(place) == list(range(100))


def test_a_running_request_shares_what_it_has_computed_so_far() -> None:
    cache, memory = make()
    running = claim(cache, list(range(100)))
    compute(cache, memory, running, 60)
    other = claim(cache, [*range(90), 5, 5])
    assert other.n_computed == 60
    assert cache.n_used == 60


def test_the_last_prompt_token_is_always_computed_anew() -> None:
    cache, memory = make()
    leave(cache, memory, list(range(50)))
    assert claim(cache, list(range(50))).n_computed == 49


def test_scopes_share_nothing() -> None:
    cache, memory = make(host_bytes=10_000)
    leave(cache, memory, list(range(100)), scope="alice")
    assert claim(cache, list(range(100)), scope="bob").n_computed == 0
    cache.clear_idle()
    assert claim(cache, list(range(100)), scope="bob").n_computed == 0, "nor by way of host memory"
    assert claim(cache, list(range(100)), scope="alice").n_computed == 99


def test_when_places_run_out_the_least_recently_used_goes() -> None:
    cache, memory = make(n_resident=3)
    old, used, new = (leave(cache, memory, [n] * 40) for n in (1, 2, 3))
    branch = claim(cache, [*[1] * 20, 9])  # the oldest is used now
    assert branch.seq_id == used
    assert memory.tokens(old) == [1] * 40
    assert memory.tokens(new) == [3] * 40


def test_with_one_place_and_a_common_beginning_the_resident_is_cut() -> None:
    cache, memory = make(n_resident=1)
    place = leave(cache, memory, list(range(100)))
    branch = claim(cache, [*range(80), 7, 7])
    assert (branch.seq_id, branch.n_computed) == (place, 80)
    assert cache.n_used == memory.n_used == 80


def test_claimed_cells_are_never_evicted() -> None:
    cache, memory = make(n_cells=100)
    compute(cache, memory, claim(cache, [1] * 60))
    leave(cache, memory, [2] * 30)
    assert not cache.make_room(50)
    assert cache.n_used == 60


def test_a_release_that_keeps_nothing_frees_cells_and_place() -> None:
    cache, memory = make(n_cells=100, n_resident=1)
    done = compute(cache, memory, claim(cache, [1] * 60))
    cache.release(done, keep=False)
    assert (cache.n_used, cache.n_claimed, memory.n_used) == (0, 0, 0)
    assert claim(cache, [7]).seq_id >= 0, "the place is free again"


def test_the_same_tokens_twice_are_kept_once() -> None:
    cache, memory = make()
    for _ in range(5):
        leave(cache, memory, list(range(50)))
    assert cache.n_residents == 1
    assert cache.n_used == memory.n_used == 50


def test_tokens_that_were_drafted_and_never_taken_are_cut_off() -> None:
    cache, memory = make()
    running = compute(cache, memory, claim(cache, list(range(50))))
    running.tokens.append(50)
    memory.cells[running.seq_id] += [[50], [8], [9]]
    cache.advance(running, 3)
    running.tokens.append(60)  # not 8, so neither of the drafts holds
    cache.truncate(running, len(running.tokens) - 1)
    assert memory.tokens(running.seq_id) == list(range(51))
    assert cache.n_used == 51


def test_what_is_evicted_comes_back_from_host_memory() -> None:
    cache, memory = make(n_cells=100, host_bytes=10_000)
    leave(cache, memory, list(range(80)))
    compute(cache, memory, claim(cache, [7] * 90))
    assert (cache.host.n_entries, cache.counts.evictions) == (1, 1)
    cache.release(next(iter(cache._claimed.values())))
    back = claim(cache, [*range(80), 5, 5])
    assert back.n_computed == 80
    assert memory.tokens(back.seq_id) == list(range(80))
    assert cache.counts.restores == 1
    assert cache.counts.restore_s_max > 0


def test_what_could_not_be_brought_back_evicts_nobody() -> None:
    cache, memory = make(n_cells=300, host_bytes=10_000)
    leave(cache, memory, list(range(200)))
    cache.clear_idle()
    compute(cache, memory, claim(cache, [7] * 150))
    leave(cache, memory, [8] * 50)
    n_evicted = cache.counts.evictions
    assert claim(cache, [*range(100), 5]).n_computed == 0
    assert (cache.counts.evictions, cache.host.n_entries, cache.counts.restores) == (n_evicted, 1, 0)


def test_a_long_run_is_not_fetched_for_a_small_part_of_it() -> None:
    cache, memory = make(host_bytes=10_000)
    leave(cache, memory, list(range(800)))
    cache.clear_idle()
    assert claim(cache, [*range(90), 5]).n_computed == 0
    assert claim(cache, [*range(110), 5]).n_computed == 110


def test_host_memory_is_left_alone_where_the_cache_reaches_as_far() -> None:
    cache, memory = make(host_bytes=10_000)
    leave(cache, memory, list(range(80)))
    cache.clear_idle()
    leave(cache, memory, [*range(80), 1])
    before = cache.counts.restores
    claim(cache, [*range(80), 1, 2])
    assert cache.counts.restores == before


def test_what_is_expendable_goes_first_and_for_good() -> None:
    cache, memory = make(n_cells=300, host_bytes=100_000)
    leave(cache, memory, [1] * 100, "chat")
    leave(cache, memory, [2] * 100, "title")
    cache.expend("title", Worth.NONE)
    assert cache.make_room(150)
    assert cache.n_used == 100
    assert claim(cache, [*[1] * 100, 3]).n_computed == 100
    assert cache.host.n_entries == 0


def test_a_thought_that_is_no_longer_needed_goes_first_but_comes_back_where_there_was_room_for_it() -> None:
    cache, memory = make(n_cells=300, host_bytes=1000)
    leave(cache, memory, [1] * 100, "chat")
    leave(cache, memory, [2] * 100, "thought")
    cache.expend("thought", Worth.SOME)
    assert cache.make_room(150, losing=False)
    assert memory.n_used == 100, "the thought went"
    assert claim(cache, [*[2] * 100, 3]).n_computed == 100


def test_a_thought_that_is_no_longer_needed_takes_no_room_in_host_memory_from_a_chat() -> None:
    cache, memory = make(n_cells=1000, host_bytes=900)
    for n in (1, 2):
        leave(cache, memory, [n] * 100)
    assert cache.clear_idle()
    leave(cache, memory, [3] * 100, "thought")
    cache.expend("thought", Worth.SOME)
    assert cache.clear_idle()
    assert (cache.host.n_entries, cache.n_used) == (2, 0)
    assert [claim(cache, [*[n] * 100, 9]).n_computed for n in (1, 2, 3)] == [100, 100, 0]


def test_without_losing_only_what_host_memory_takes_is_evicted() -> None:
    cache, memory = make(n_cells=300, host_bytes=450)
    for n in (1, 2, 3):
        leave(cache, memory, [n] * 100)
    assert cache.make_room(100, losing=False), "the first fits into host memory"
    assert not cache.make_room(200, losing=False), "the second would push it out"
    assert cache.n_used == 200


def test_older_idle_runs_leave_for_host_memory_before_their_room_is_needed() -> None:
    cache, memory = make(n_cells=50_000, host_bytes=100_000)
    for n in range(5):
        leave(cache, memory, [n] * 1000)
    assert cache.n_used == 1000, "the newest stays"
    assert cache.host.n_entries == 4
    assert [claim(cache, [*[n] * 1000, 9]).n_computed for n in range(5)] == [1000] * 5, "nothing is lost"


def test_idle_runs_stay_where_host_memory_has_no_room_or_where_their_cells_are_shared() -> None:
    for host_bytes, n_kept in ((0, 5), (9000, 3)):
        cache, memory = make(n_cells=50_000, host_bytes=host_bytes)
        for n in range(5):
            leave(cache, memory, [n] * 1000)
        assert cache.n_residents == n_kept
    cache, memory = make(n_cells=50_000, host_bytes=1_000_000)
    for n in range(5):
        leave(cache, memory, [*[7] * 3000, *[n] * 100])
    assert (cache.n_residents, cache.host.n_entries) == (5, 0)


@pytest.mark.parametrize("seed", range(30))
def test_books_and_cells_agree_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    cache, memory = make(n_cells=200, n_resident=6, host_bytes=rng.choice([0, 600, 5000]))
    running: list[Sequence] = []
    heads = [[rng.randrange(3) for _ in range(60)] for _ in range(3)]
    for i in range(300):
        if rng.random() < 0.4 and len(running) < 4:
            tokens = rng.choice(heads)[: rng.randrange(1, 60)] + [rng.randrange(3) for _ in range(rng.randrange(1, 30))]
            new = sequence(tokens, f"r{i}")
            if cache.n_claimed_cells + len(tokens) <= 200:
                cache.claim(new)
                running.append(new)
        for each in list(running):
            n_rows = rng.randrange(each.n_uncomputed + 1)
            if not cache.make_room(n_rows):
                continue
            memory.compute(each, n_rows)
            cache.advance(each, n_rows)
            if not each.n_uncomputed:
                each.tokens.append(rng.randrange(3))
            if rng.random() < 0.2:
                running.remove(each)
                cache.release(each, keep=rng.random() < 0.8)
                if rng.random() < 0.2:
                    cache.expend(each.request_id, rng.choice(list(Worth)))
        assert cache.n_used == memory.n_used <= 200
        for each in running:
            assert memory.tokens(each.seq_id) == each.tokens[: each.n_computed]
        claimed = {id(cell) for each in running for cell in memory.cells.get(each.seq_id, [])}
        assert cache.n_claimed_cells == len(claimed)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_length_is_that_of_the_longest_common_beginning(a: list[int], b: list[int]) -> None:
    n = common_length(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


@pytest.mark.parametrize("n", [255, 256, 257, 1000])
def test_common_length_looks_beyond_its_first_stretch(n: int) -> None:
    assert common_length([1] * n, [1] * n) == n
    assert common_length([1] * n, [*[1] * (n - 1), 2]) == n - 1
