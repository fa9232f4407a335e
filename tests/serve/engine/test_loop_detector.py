"""Thoughts that go in circles are noticed soon; such as only repeat themselves are left alone."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

import pytest

from r1chat.serve.engine.loop_detector import Loop, LoopDetector


def first_alarm(tokens: Iterable[int], *, has_word: bool = True) -> Loop | None:
    detector = LoopDetector()
    return next((loop for token in tokens if (loop := detector.accept(token, has_word=has_word))), None)


def varied(n: int, seed: int = 0) -> list[int]:
    """No two 6-grams alike, but for chance."""
    rng = random.Random(seed)
    return [rng.randrange(5_000) for _ in range(n)]


def test_a_varied_thought_raises_no_alarm() -> None:
    assert first_alarm(varied(30_000)) is None


@pytest.mark.parametrize("period", [1, 2, 7, 20, 60, 150, 290])
def test_an_exact_loop_is_caught_within_300_tokens_of_its_second_round(period: int) -> None:
    loop = first_alarm(varied(500) + varied(period, seed=1) * (2_000 // period))
    assert loop
    assert 500 + period < loop.at <= 500 + period + 300


def test_a_short_loop_is_named_with_its_period() -> None:
    loop = first_alarm(varied(100) + varied(9, seed=1) * 100)
    assert loop and (loop.test, loop.period) == ("period", 9)


def test_a_loop_with_a_counter_in_it_is_caught() -> None:
    sentence = varied(40, seed=1)
    rounds = [[*sentence, 10_000 + i] for i in range(100)]
    loop = first_alarm(varied(100) + [token for round_ in rounds for token in round_])
    assert loop and loop.test == "repeats"
    assert loop.at < 600


def test_a_table_of_equal_cells_is_no_loop() -> None:
    assert first_alarm([*varied(200), *[7, 8] * 30, *varied(200, seed=1), *[7] * 60, *varied(50, seed=2)]) is None


def test_saying_a_paragraph_twice_is_no_loop() -> None:
    paragraph = varied(150, seed=1)
    assert first_alarm(varied(100) + paragraph + varied(20, seed=2) + paragraph + varied(200, seed=3)) is None


def test_what_comes_back_after_a_long_time_is_no_loop() -> None:
    page = varied(2_500)
    assert first_alarm(page * 3) is None


def test_punctuation_without_end_is_a_loop_though_no_two_tokens_are_alike() -> None:
    loop = first_alarm(varied(1_000), has_word=False)
    assert loop and loop.test == "punctuation" and loop.at <= 200


def test_a_word_now_and_then_makes_punctuation_a_text() -> None:
    detector = LoopDetector()
    assert not any(detector.accept(token, has_word=i % 20 == 0) for i, token in enumerate(varied(5_000)))


def test_time_grows_linearly_with_the_thought() -> None:
    def seconds(n: int) -> float:
        tokens = varied(n)
        began = time.thread_time()
        first_alarm(tokens)
        return time.thread_time() - began

    longer, shorter = (min(seconds(n) for _ in range(3)) for n in (40_000, 4_000))
    assert longer < 40 * shorter, "ten times as many, so about ten times as long"
