"""ReasoningParser: what goes where, whatever the chunking, in linear time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.reasoning import ReasoningParser

# (name, prompt opened the tag, text, expected reasoning, expected content)
CASES = [
    ("thought then answer", True, "I add.</think>It is 4.", "I add.", "It is 4."),
    ("empty thought", True, "</think>It is 4.", "", "It is 4."),
    ("never closed", True, "I add and add", "I add and add", ""),
    ("nothing at all", True, "", "", ""),
    ("model repeats the opening tag", True, "<think>I add.</think>4", "I add.", "4"),
    ("newline before a repeated opening tag", True, "\n<think>\nI add.</think>4", "I add.", "4"),
    ("only one repeated opening tag is swallowed", True, "<think><think>x</think>4", "<think>x", "4"),
    ("opening tag inside the thought is text", True, "a <think> b</think>4", "a <think> b", "4"),
    ("newlines round the closing tag", True, "I\nadd.\n\n</think>\n\nIt is\n4.\n", "I\nadd.", "It is\n4.\n"),
    ("spaces are kept", True, " I add. </think> 4", " I add. ", " 4"),
    ("newlines at the end of an open thought stay", True, "I add\n\n", "I add\n\n", ""),
    ("second closing tag is text", True, "a</think>b</think>c", "a", "b</think>c"),
    ("opening tag after the thought is text", True, "a</think>b<think>c", "a", "b<think>c"),
    ("tag cut off by the end", True, "abc</thin", "abc</thin", ""),
    ("almost a tag", True, "a</thinker>b</ think>c</THINK>d", "a</thinker>b</ think>c</THINK>d", ""),
    ("bare less-than", True, "a<b and c", "a<b and c", ""),
    ("storm of less-than", True, "<" * 64 + "</think>ok", "<" * 64, "ok"),
    ("tag inside a near tag", True, "x</</think>y", "x</", "y"),
    ("right to left", True, "שלום ‮abc</think>مرحبا", "שלום ‮abc", "مرحبا"),
    ("no thought", False, "Just 4.", "", "Just 4."),
    ("leading newline of a plain answer stays", False, "\nJust 4.", "", "\nJust 4."),
    ("model opens the tag itself", False, "<think>\nI add.\n</think>\n\n4", "I add.", "4"),
    ("model opens and never closes", False, "<think>I add", "I add", ""),
    ("opening tag alone", False, "<think>", "", ""),
    ("empty block", False, "<think></think>4", "", "4"),
    ("opening tag after a preface", False, "Well: <think>I add.</think>4", "I add.", "Well: 4"),
    ("newline between preface and tag", False, "Well:\n<think>I add.</think>4", "I add.", "Well:4"),
    ("closing tag without an opening one is text", False, "a</think>b", "", "a</think>b"),
    ("other tags are text", False, "<my-tag>x</my-tag></answer", "", "<my-tag>x</my-tag></answer"),
]


def parse(chunks: Iterable[str], reasoning_open: bool) -> tuple[str, str]:
    """Feeds the chunks; checks that reasoning comes as one stretch and that no piece is empty."""
    parser = ReasoningParser(reasoning_open=reasoning_open)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)] + parser.flush()
    assert all(piece.text for piece in pieces)
    texts = {"reasoning": "", "content": ""}
    for piece in pieces:
        texts[piece.channel] += piece.text
    return texts["reasoning"], texts["content"]


def cuts(text: str) -> Iterable[list[str]]:
    """Chunk sizes 1 to 7 and every cut in two."""
    for size in range(1, 8):
        yield [text[i : i + size] for i in range(0, len(text), size)]
    for at in range(len(text) + 1):
        yield [text[:at], text[at:]]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_splits_the_same_for_every_chunking(case: tuple[str, bool, str, str, str]) -> None:
    _, reasoning_open, text, reasoning, content = case
    assert parse([text], reasoning_open) == (reasoning, content)
    for chunks in cuts(text):
        assert parse(chunks, reasoning_open) == (reasoning, content), chunks


FRAGMENTS = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", "\n", "\n\n", " ", "a", "é", "</thin"]),
    max_size=30,
)


@given(fragments=FRAGMENTS, reasoning_open=st.booleans(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_any_chunking_of_any_text_gives_the_whole_texts_split(
    fragments: list[str], reasoning_open: bool, sizes: list[int]
) -> None:
    text = "".join(fragments)
    chunks, at = [], 0
    for i in range(len(text) + 1):
        size = sizes[i % len(sizes)]
        chunks.append(text[at : at + size])
        at += size
    assert parse(chunks, reasoning_open) == parse([text], reasoning_open) == _reference(text, reasoning_open)


def _reference(text: str, reasoning_open: bool) -> tuple[str, str]:
    """The same rules on the whole text, written the short way."""
    preface = ""
    if reasoning_open:
        text = text.lstrip("\n")
        text = text.removeprefix("<think>").lstrip("\n")
    else:
        preface, opened, text = text.partition("<think>")
        if not opened:
            return "", preface
        preface, text = preface.rstrip("\n"), text.lstrip("\n")
    reasoning, closed, content = text.partition("</think>")
    if closed:
        reasoning, content = reasoning.rstrip("\n"), content.lstrip("\n")
    return reasoning, preface + content


def test_a_tag_over_several_tokens_is_pending_until_it_is_complete() -> None:
    parser = ReasoningParser(reasoning_open=True)
    assert [p.text for p in parser.feed("so")] == ["so"]
    assert parser.feed("\n") == [] and parser.pending == "\n"
    assert parser.feed("</") == [] and parser.pending == "\n</"
    assert parser.feed("think") == [] and parser.pending == "\n</think"
    assert (parser.state, parser.in_reasoning, parser.held) == ("reasoning", True, True)
    (piece,) = parser.feed(">\n\n4")
    assert (piece.channel, piece.text) == ("content", "4")
    assert (parser.state, parser.in_reasoning, parser.held) == ("content", False, False)


def test_state_says_start_until_the_model_opens_the_thought() -> None:
    parser = ReasoningParser(reasoning_open=False)
    states = [parser.state]
    for text in ("<thi", "nk>"):
        assert parser.feed(text) == []
        states.append(parser.state)
    assert states == ["start", "start", "reasoning"]


def test_only_a_possible_tag_is_held_back() -> None:
    parser = ReasoningParser(reasoning_open=True)
    for char in "<" * 100 + "</thin" * 20 + "a<b":
        parser.feed(char)
        assert len(parser.pending) < len("</think>")


def test_reasoning_comes_before_content_when_one_chunk_has_both() -> None:
    pieces = ReasoningParser(reasoning_open=True).feed("I add.</think>4")
    assert [(p.channel, p.text) for p in pieces] == [("reasoning", "I add."), ("content", "4")]


def test_other_tags_can_be_set() -> None:
    parser = ReasoningParser(reasoning_open=False, open_tag="[THINK]", close_tag="[/THINK]")
    pieces = parser.feed("[THINK]a[/THI") + parser.feed("NK]<think>b") + parser.flush()
    assert [(p.channel, p.text) for p in pieces] == [("reasoning", "a"), ("content", "<think>b")]


@pytest.mark.parametrize("token", ["word ", "<", "\n", "</thin", "<\n"])
def test_time_grows_linearly_with_the_text(token: str) -> None:
    def seconds(tokens: int) -> float:
        parser = ReasoningParser(reasoning_open=True)
        start = time.process_time()
        for _ in range(tokens):
            parser.feed(token)
        return time.process_time() - start

    small = min(seconds(2_000) for _ in range(5))
    # 20 times the text in at most 80 times the time: a quadratic parser would need 400 times.
    assert min(seconds(40_000) for _ in range(2)) < 80 * small


# What a table of outside cases may contain that is decided elsewhere or comes later.
LEFT_OUT: dict[str, Callable[[dict[str, Any]], bool]] = {
    "continuation": lambda case: "prefill" in case,
    "reasoning_format": lambda case: str(case["id"]).endswith("none_format"),
    "tools": lambda case: "tool_call" in case["id"],
}


@pytest.mark.skipif("R1CHAT_PARSE_CASES" not in os.environ, reason="R1CHAT_PARSE_CASES names no table of cases")
def test_outside_cases() -> None:
    """Left out: continuation, reasoning_format, tools; budget is another list in the same file."""
    cases = json.loads(Path(os.environ["R1CHAT_PARSE_CASES"]).read_text("utf-8"))["cases"]
    kept = [case for case in cases if not any(left_out(case) for left_out in LEFT_OUT.values())]
    assert kept
    for case in kept:
        # One policy for newlines at the tags: some of the sources keep them, we trim.
        expected = tuple((case[key] or "").strip("\n") for key in ("expected_reasoning", "expected_content"))
        for chunks in [[case["input"]], case.get("chunks", []) or [case["input"]], *cuts(case["input"])]:
            assert parse(chunks, case["starts_in_reasoning"]) == expected, case["id"]
