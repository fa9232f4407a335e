"""The cache's books: whose tokens lie where, what is reused, what goes first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.detokenizer import Detokenizer
from r1chat.serve.engine.kv_cache import KVCache, common_length
from r1chat.serve.engine.model_runner import Sampler
from r1chat.serve.engine.sequence import Sequence


@dataclass
class Memory:
    """Only remembers what was removed."""

    removed: list[tuple[int, int]] = field(default_factory=list)

    def remove(self, seq_id: int, start: int) -> None:
        self.removed.append((seq_id, start))


def sequence(tokens: list[int]) -> Sequence:
    return Sequence("r", list(tokens), 10_000, cast(Sampler, None), Detokenizer(reasoning_open=True))


def computed(cache: KVCache, tokens: list[int]) -> Sequence:
    """A sequence that claimed a place and computed all its tokens."""
    claimed = sequence(tokens)
    cache.claim(claimed)
    claimed.n_computed = len(tokens)
    return claimed


def leave(cache: KVCache, tokens: list[int]) -> int:
    done = computed(cache, tokens)
    seq_id = done.seq_id
    cache.release(done)
    return seq_id


def test_a_prompt_continues_where_a_resident_begins_the_same_way() -> None:
    memory = Memory()
    cache = KVCache(memory, n_cells=1000, n_seq_max=4)
    place = leave(cache, list(range(100)))
    follower = sequence([*range(80), 7, 7, 7])
    cache.claim(follower)
    assert (follower.seq_id, follower.n_computed) == (place, 80)
    assert memory.removed[-1] == (place, 80), "what differs must go before new rows come"


def test_the_last_prompt_token_is_always_computed_anew() -> None:
    cache = KVCache(Memory(), n_cells=1000, n_seq_max=4)
    leave(cache, list(range(50)))
    same = sequence(list(range(50)))
    cache.claim(same)
    assert same.n_computed == 49


def test_a_common_template_does_not_cost_another_conversation_its_cells() -> None:
    cache = KVCache(Memory(), n_cells=1000, n_seq_max=4)
    place = leave(cache, [1, 2, *range(100, 200)])
    stranger = sequence([1, 2, *range(300, 400)])
    cache.claim(stranger)
    assert stranger.seq_id != place
    assert stranger.n_computed == 0


def test_without_a_fresh_sequence_the_best_resident_is_cut_and_else_the_oldest() -> None:
    cache = KVCache(Memory(), n_cells=1000, n_seq_max=2)
    leave(cache, list(range(100, 200)))
    similar = leave(cache, [1, 2, *range(200, 300)])
    close = sequence([1, 2, *range(300, 400)])
    cache.claim(close)
    assert (close.seq_id, close.n_computed) == (similar, 2)
    stranger = sequence([9, 9, 9])
    cache.claim(stranger)
    assert stranger.n_computed == 0
    assert cache.n_claimed == 2, "both places are taken"


def test_room_is_made_by_the_least_recently_used() -> None:
    memory = Memory()
    cache = KVCache(memory, n_cells=100, n_seq_max=4)
    old = leave(cache, [1] * 40)
    leave(cache, [2] * 40)
    memory.removed.clear()
    assert cache.make_room(20)
    assert memory.removed == [], "there was room already"
    assert cache.make_room(50)
    assert memory.removed == [(old, 0)]
    assert cache.n_used == 40


def test_claimed_cells_are_never_evicted() -> None:
    cache = KVCache(Memory(), n_cells=100, n_seq_max=4)
    computed(cache, [1] * 60)
    leave(cache, [2] * 30)
    assert not cache.make_room(50)
    assert cache.n_used == 60


def test_a_release_that_keeps_nothing_frees_cells_and_sequence() -> None:
    cache = KVCache(Memory(), n_cells=100, n_seq_max=1)
    cache.release(computed(cache, [1] * 60), keep=False)
    assert (cache.n_used, cache.n_claimed) == (0, 0)
    cache.claim(sequence([7]))
    assert cache.n_claimed == 1, "the place is free again"


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_length_is_that_of_the_longest_common_beginning(a: list[int], b: list[int]) -> None:
    n = common_length(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
