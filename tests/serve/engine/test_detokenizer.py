"""Bytes to text: characters, tags and stop strings that are spread over tokens, and exact counts."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.engine.detokenizer import Detokenizer, StopStrings
from r1chat.serve.engine.request import Channel


def feed(pieces: list[str] | list[bytes], *, reasoning_open: bool = True, stop: tuple[str, ...] = ()) -> Detokenizer:
    detokenizer = Detokenizer(reasoning_open=reasoning_open, stop=stop)
    for piece in pieces:
        detokenizer.feed(piece.encode() if isinstance(piece, str) else piece)
    detokenizer.finish()
    return detokenizer


def split(pieces: list[bytes], *, reasoning_open: bool = True, stop: tuple[str, ...] = ()) -> tuple[str, str]:
    """Thought and answer."""
    detokenizer = Detokenizer(reasoning_open=reasoning_open, stop=stop)
    deltas = []
    for piece in pieces:
        deltas += detokenizer.feed(piece)
        if detokenizer.stopped:
            break
    else:
        deltas += detokenizer.finish()
    return (
        "".join(delta.text for delta in deltas if delta.channel is Channel.REASONING),
        "".join(delta.text for delta in deltas if delta.channel is Channel.CONTENT),
    )


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("character", ["é", "数", "🐑", "👨‍👩‍👧"])
def test_a_character_split_over_tokens_comes_out_whole(character: str) -> None:
    data = f"a{character}b</think>{character}c".encode()
    for cut in range(1, len(data)):
        assert split([data[:cut], data[cut:]]) == (f"a{character}b", f"{character}c")


def test_bytes_that_are_no_utf8_become_replacement_characters_and_the_rest_survives() -> None:
    assert split([b"a\xff", b"b", b"</think>", b"ok\xf0\x9f"]) == ("a�b", "ok�")


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_text_does_not_depend_on_how_tokens_cut_it(cuts: list[int]) -> None:
    data = "let me see 🐑\n\nso </thin no\n</think>\n\nThe **answer** is 9. END and more".encode()
    assert split(chunks(data, cuts), stop=("END", "ND a")) == (
        "let me see 🐑\n\nso </thin no",
        "The **answer** is 9. ",
    )


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", "\n", "a", "🐑"])),
    st.booleans(),
    st.data(),
)
def test_no_text_confuses_the_count(words: list[str], reasoning_open: bool, data: st.DataObject) -> None:
    text = "".join(words).encode()
    cuts = data.draw(st.lists(st.integers(0, 10_000), max_size=10))
    detokenizer = feed(chunks(text, cuts), reasoning_open=reasoning_open)
    assert 0 <= detokenizer.reasoning_tokens <= len(cuts) + 1


def test_stop_strings_never_end_the_thought() -> None:
    pieces = [b"I could STOP here", b" but ST", b"OP", b"</think>", b"An", b"swer ST", b"OP rest"]
    assert split(pieces, stop=("STOP",)) == ("I could STOP here but STOP", "Answer ")


@pytest.mark.parametrize("pieces", [["One", "\n\n"], ["One\n\n"], ["One\n", "\n<"], ["</think>One\n", "\n"]])
def test_a_stop_string_of_newlines_ends_the_answer_with_its_last_one(pieces: list[str]) -> None:
    """Whatever might follow: newlines that touch a tag would be dropped."""
    detokenizer = Detokenizer(reasoning_open=pieces[0].startswith("</think>"), stop=("\n\n",))
    deltas = [delta for piece in pieces for delta in detokenizer.feed(piece.encode())]
    assert detokenizer.stopped and "".join(delta.text for delta in deltas) == "One"


def test_newlines_before_a_thought_are_no_stop_string() -> None:
    pieces = [b"\n\n", b"<think>", b"So", b"\n\n", b"</think>", b"\n\n", b"One"]
    assert split(pieces, reasoning_open=False, stop=("\n\n",)) == ("So", "One")


def test_text_that_only_might_be_a_stop_string_comes_out_in_the_end() -> None:
    assert split([b"</think>the EN", b"D"], stop=("END!",)) == ("", "the END")


def test_the_stop_string_that_is_complete_first_wins() -> None:
    stop = StopStrings(("abcd", "c"))
    assert stop.feed("xab") == "x"
    assert stop.feed("cd") == "ab"
    assert stop.found == "c"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["a", " b", "</think>", "c"], 2),
        (["a", " b", "</", "think", ">", "c"], 2),
        (["a", " b", "</", "think", ">c"], 2),
        (["a", ".</", "think", ">\n\n", "c"], 1),
        (["a", "\n", "</think>", "\n\n", "c"], 2),
        (["a", "</", "thing", ">", "b", "</think>"], 5),
        (["a", "b", "\n\n"], 3),
        (["a", "</", "thi"], 3),
        (["</think>", "c"], 0),
        ([], 0),
    ],
)
def test_reasoning_tokens_when_the_prompt_opened_the_thought(pieces: list[str], expected: int) -> None:
    assert feed(pieces).reasoning_tokens == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["<think>", "\n", "a", "b", "</think>", "c"], 3),
        (["<", "think", ">", "a", "</think>", "c"], 1),
        (["<", "think", ">\n", "a", "</think>", "c"], 1),
        (["<think></", "think>", "c"], 0),
        (["<think>a</think>c"], 0),
        (["no", " thought"], 0),
    ],
)
def test_reasoning_tokens_when_the_model_opens_the_thought(pieces: list[str], expected: int) -> None:
    assert feed(pieces, reasoning_open=False).reasoning_tokens == expected


def test_tokens_of_half_a_character_count_like_any_other() -> None:
    sheep = "🐑".encode()
    assert feed([sheep[:2], sheep[2:], b"</think>", b"x"]).reasoning_tokens == 2


def test_deltas_carry_the_tokens_they_stand_for() -> None:
    detokenizer = Detokenizer(reasoning_open=True)
    deltas = [
        delta for piece in ["a", "\n", "b", "</", "think", ">", "c", "d"] for delta in detokenizer.feed(piece.encode())
    ]
    deltas += detokenizer.finish()
    assert [(delta.channel.value, delta.text, delta.tokens) for delta in deltas] == [
        ("reasoning", "a", 1),
        ("reasoning", "\nb", 2),
        ("content", "c", 1),
        ("content", "d", 1),
    ]


def test_an_end_inside_the_thought_leaves_all_text_in_the_thought() -> None:
    assert split([b"so </", b"think"]) == ("so </think", "")


def test_a_storm_of_newlines_is_linear() -> None:
    def seconds(n: int) -> float:
        began = time.thread_time()
        feed(["a", *["\n"] * n])
        return time.thread_time() - began

    longer, shorter = (min(seconds(n) for _ in range(3)) for n in (40_000, 4_000))
    assert longer < 40 * shorter, "ten times as many, so about ten times as long"
