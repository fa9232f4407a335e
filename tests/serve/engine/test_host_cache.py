"""Host memory for evicted token runs: what is kept, what goes first, and what comes back from disk."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest

from r1chat.serve.engine.host_cache import (
    MAX_ENTRIES,
    HostCache,
    available_memory,
    cache_key,
    default_max_bytes,
    load_entries,
    save_entries,
)

KEY, OTHER_KEY = "a" * 64, "b" * 64


def state(tokens: list[int], n_bytes: int = 100) -> np.ndarray:
    return np.random.default_rng(len(tokens)).integers(0, 256, n_bytes, dtype=np.uint8)


def filled(*runs: list[int], max_bytes: int = 10_000, n_bytes: int = 100) -> HostCache:
    cache = HostCache(max_bytes)
    for tokens in runs:
        assert cache.put(tokens, "", state(tokens, n_bytes))
    return cache


def kept(cache: HostCache) -> list[list[int]]:
    return [entry.tokens for entry in cache]


def test_the_longest_common_beginning_wins() -> None:
    cache = filled([1, 2, 3, 9], [1, 2, 3, 4, 5], [7, 7])
    entry, n_common = cache.longest([1, 2, 3, 4, 8], "")
    assert entry is not None
    assert (entry.tokens, n_common) == ([1, 2, 3, 4, 5], 4)
    assert cache.longest([5], "") == (None, 0)
    assert cache.longest([], "") == (None, 0)


def test_of_equals_the_smallest_wins() -> None:
    cache = filled([1, 2, 3, 4, 5, 6], [1, 2, 7, 8])
    entry, n_common = cache.longest([1, 2, 9], "")
    assert entry is not None and (entry.tokens, n_common) == ([1, 2, 7, 8], 2)


def test_scopes_see_nothing_of_each_other() -> None:
    cache = filled([1, 2, 3])
    assert cache.longest([1, 2, 3], "alice") == (None, 0)
    cache.put([1, 2, 3, 4], "alice", state([4]))
    assert cache.n_entries == 2, "another scope's longer run replaces nothing"
    assert cache.longest([1, 2, 3, 4], "")[1] == 3


def test_what_another_entry_holds_is_not_kept_twice() -> None:
    cache = filled([1, 2, 3, 4], [5])
    assert cache.put([1, 2], "", state([1]))
    assert kept(cache) == [[5], [1, 2, 3, 4]], "it counts as used"
    assert cache.put([1, 2, 3, 4, 5, 6], "", state([1]))
    assert kept(cache) == [[5], [1, 2, 3, 4, 5, 6]], "the shorter one goes"
    assert cache.n_bytes == 200


def test_the_least_recently_used_goes_when_bytes_run_out() -> None:
    cache = filled([1], [2], [3], max_bytes=300)
    cache.put([1], "", state([1]))
    assert cache.put([4], "", state([4], 150))
    assert kept(cache) == [[1], [4]]
    assert cache.n_bytes == 250


def test_what_is_too_large_or_empty_drops_nothing() -> None:
    cache = filled([1], [2], max_bytes=300)
    assert not cache.put([3], "", state([3], 301))
    assert not cache.put([], "", state([]))
    assert kept(cache) == [[1], [2]]
    assert not HostCache(0).put([1], "", state([1]))


def test_room_is_what_is_left_without_dropping_what_is_not_spare() -> None:
    cache = filled([1], [2], max_bytes=300)
    cache.put([3], "", state([3]), spare=True)
    assert cache.has_room(100)
    assert not cache.has_room(101)


def test_there_are_never_too_many_to_look_through() -> None:
    cache = filled(*([n] for n in range(MAX_ENTRIES)), max_bytes=1 << 20)
    assert not cache.has_room(1)
    assert not cache.put([-1], "", state([1]), spare=True)
    assert cache.put([-2], "", state([1]))
    assert cache.n_entries == MAX_ENTRIES
    assert cache.longest([0], "") == (None, 0)


def test_what_is_spare_goes_before_anything_else_and_takes_no_others_room() -> None:
    cache = filled([1], max_bytes=300)
    assert cache.put([2], "", state([2]), spare=True)
    assert cache.put([3], "", state([3]), spare=True)
    assert cache.put([4], "", state([4]), spare=True), "the oldest spare one goes"
    assert not cache.put([6], "", state([6], 201), spare=True)
    assert kept(cache) == [[1]], "the spare ones are not kept for the next start"
    assert cache.put([5], "", state([5]))
    assert [cache.longest([n], "")[1] for n in (1, 2, 3, 4, 5)] == [1, 0, 0, 1, 1]


def test_what_a_chat_needs_is_spare_no_more() -> None:
    cache = filled([7], [1, 2], max_bytes=300)
    assert cache.put([1, 2, 3], "", state([1]), spare=True)
    assert kept(cache) == [[7], [1, 2, 3]], "it holds a chat"
    assert cache.put([4, 5, 6], "", state([1]), spare=True)
    assert cache.put([4, 5], "", state([1]))
    assert kept(cache) == [[7], [1, 2, 3], [4, 5, 6]]


def test_what_is_taken_leaves() -> None:
    cache = filled([1, 2], [3])
    entry, _ = cache.longest([1, 2], "")
    assert entry is not None
    assert np.array_equal(cache.take(entry), state([1, 2]))
    assert (kept(cache), cache.n_bytes) == ([[3]], 100)


@pytest.mark.parametrize("seed", range(10))
def test_bytes_add_up_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    cache = HostCache(1000)
    for _ in range(300):
        tokens = [rng.randrange(2) for _ in range(rng.randrange(1, 8))]
        if rng.random() < 0.7:
            cache.put(tokens, rng.choice("ab"), state(tokens, rng.randrange(1, 400)))
        elif (entry := cache.longest(tokens, "a")[0]) is not None:
            cache.take(entry)
        entries = list(cache)
        assert cache.n_bytes == sum(entry.state.nbytes for entry in entries) <= 1000
        assert cache.n_entries == len(entries)
        for one in entries:
            for other in entries:
                held = one is not other and one.scope == other.scope
                assert not (held and other.tokens[: len(one.tokens)] == one.tokens), "no run within another"


def test_entries_come_back_from_disk_as_they_were_and_in_order(tmp_path: Path) -> None:
    runs = [[3, 1], [70_000, 2], [5] * 1000]
    cache = filled(*runs, n_bytes=5000, max_bytes=100_000)
    cache.put([1, 2], "älice\n", state([1, 2], 7))
    save_entries(tmp_path, KEY, cache)
    loaded = list(load_entries(tmp_path, KEY, 100_000))
    assert [(tokens, scope) for tokens, scope, _ in loaded] == [*((run, "") for run in runs), ([1, 2], "älice\n")]
    for entry, (_, _, back) in zip(cache, loaded, strict=True):
        assert back.dtype == np.uint8
        assert np.array_equal(back, entry.state)


def test_saved_again_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    cache = filled([1], [2], [3])
    save_entries(tmp_path, KEY, cache)
    inodes = {path.name: path.stat().st_ino for path in (tmp_path / KEY).iterdir()}
    cache.put([1], "", state([1]))
    entry, _ = cache.longest([2], "")
    assert entry is not None
    cache.take(entry)
    save_entries(tmp_path, KEY, cache)
    assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 10_000)] == [[3], [1]]
    now = {path.name: path.stat().st_ino for path in (tmp_path / KEY).iterdir()}
    assert now.items() < inodes.items()


def test_with_less_room_the_most_recent_come_back(tmp_path: Path) -> None:
    save_entries(tmp_path, KEY, filled([1], [2], [3], n_bytes=1000))
    assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 2500)] == [[2], [3]]
    assert list(load_entries(tmp_path, KEY, 10)) == []


@pytest.mark.parametrize("at", [0, 12, 60, 90, -1])
def test_a_damaged_file_is_deleted_and_the_others_are_read(
    tmp_path: Path, at: int, caplog: pytest.LogCaptureFixture
) -> None:
    save_entries(tmp_path, KEY, filled([1, 2, 3], [2], [3]))
    path = min((tmp_path / KEY).iterdir(), key=lambda each: each.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    with caplog.at_level(logging.WARNING):
        assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 10_000)] == [[2], [3]]
    assert not path.exists()
    assert path.name in caplog.text


@pytest.mark.parametrize("n_bytes", [0, 5, 30, 60])
def test_a_file_that_was_cut_off_is_deleted(tmp_path: Path, n_bytes: int) -> None:
    save_entries(tmp_path, KEY, filled([1, 2, 3]))
    (path,) = (tmp_path / KEY).iterdir()
    os.truncate(path, n_bytes)
    assert list(load_entries(tmp_path, KEY, 10_000)) == []
    assert not path.exists()


def test_other_keys_and_half_written_files_are_cleared_away_and_nothing_else(tmp_path: Path) -> None:
    save_entries(tmp_path, OTHER_KEY, filled([1]))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.prompt").write_text("not ours")
    save_entries(tmp_path, KEY, filled([2]))
    (tmp_path / KEY / ".half.prompt.123").write_text("half")
    (tmp_path / KEY / "letter.txt").write_text("somebody's")
    save_entries(tmp_path, KEY, filled([3]))
    assert not (tmp_path / OTHER_KEY).exists()
    assert (tmp_path / "notes" / "mine.prompt").exists()
    assert not (tmp_path / KEY / ".half.prompt.123").exists()
    assert (tmp_path / KEY / "letter.txt").exists()
    assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 10_000)] == [[3]]


def test_an_empty_cache_leaves_an_empty_folder(tmp_path: Path) -> None:
    save_entries(tmp_path, KEY, filled([1]))
    save_entries(tmp_path, KEY, HostCache(100))
    assert list(tmp_path.iterdir()) == []
    assert list(load_entries(tmp_path, KEY, 10_000)) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of files")
def test_only_the_owner_can_read_what_was_said(tmp_path: Path) -> None:
    save_entries(tmp_path / "deep" / "folder", KEY, filled([1]))
    home = tmp_path / "deep" / "folder" / KEY
    assert home.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in home.iterdir()] == [0o600]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_entries(tmp_path, KEY, filled([1]))

    def refuse(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        save_entries(tmp_path, KEY, filled([1], [2]))
    assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 10_000)] == [[1]]
    assert len(list((tmp_path / KEY).iterdir())) == 1


def test_where_the_disk_fills_up_what_was_used_last_is_there_and_what_is_not_wanted_made_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_entries(tmp_path, KEY, filled([1]))
    calls, fsync = iter(range(9)), os.fsync

    def refuse(descriptor: int) -> None:
        if next(calls) == 1:
            raise OSError("disk full")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="disk full"):
        save_entries(tmp_path, KEY, filled([2], [3]))
    assert [tokens for tokens, _, _ in load_entries(tmp_path, KEY, 10_000)] == [[3]]


def test_a_key_stands_for_the_weights_and_the_kind_of_cache(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"weights")
    key = cache_key(path)
    assert key == cache_key(path)
    assert cache_key(path, "q8_0") != key
    path.write_bytes(b"Weights")
    assert cache_key(path) != key


def test_a_key_stands_for_all_parts_of_a_model_in_several(tmp_path: Path) -> None:
    first, second = (tmp_path / f"model-0000{number}-of-00002.gguf" for number in (1, 2))
    first.write_bytes(b"names")
    second.write_bytes(b"weights")
    key = cache_key(first)
    second.write_bytes(b"Weights")
    assert cache_key(first) != key


def test_the_default_is_a_share_of_what_is_available() -> None:
    assert available_memory() > 0
    assert 0 < default_max_bytes() <= available_memory() // 4
