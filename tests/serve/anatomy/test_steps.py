"""Sentences and steps: they tile the thought exactly, whatever it is, and say what its words show."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.anatomy.cues import Kind
from r1chat.serve.anatomy.sentences import sentences
from r1chat.serve.anatomy.steps import shares, steps

PIECES = st.sampled_from(
    (
        "Wait, |no. |So it is 5.\n|\n\n|```\n|$$|\\[|\\]\n|- a\n|1. b\n|**|`|\\(|\\)|e.g. |A. |...|。|等等|😀"
        "|\r\n|\t| |# x\n|> y\n|\u2028|\x00|?!|Let me check."
    ).split("|")
)


@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join)))
def test_sentences_and_steps_tile_any_text(text: str) -> None:
    found = steps(text)
    assert "".join(text[step.start : step.end] for step in found) == text
    assert [sentence for step in found for sentence in step.sentences] == sentences(text)
    ends = [0, *(sentence.end for sentence in sentences(text))]
    assert all(sentence.start == end < sentence.end for sentence, end in zip(sentences(text), ends, strict=False))
    assert sum(shares(found).values()) == pytest.approx(1 if text else 0)


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Wait, that is not right.", "reflection"),
        ("Hold on, 3 times 4 is 12.", "reflection"),
        ("But that doesn't make sense.", "reflection"),
        ("No, I misread the question.", "reflection"),
        ("等等，这不对。", "reflection"),
        ("Let me verify: 3 + 4 = 7.", "check"),
        ("Wait, but let me double-check that.", "check"),
        ("To make sure, I plug it in.", "check"),
        ("Alternatively, we could count the pairs.", "alternative"),
        ("Another way to see it is a table.", "alternative"),
        ("Hmm, or maybe the doors are numbered.", "alternative"),
        ("So the answer is 42.", "final"),
        ("Thus \\boxed{42}.", "final"),
        ("To summarize, both arrive at noon.", "final"),
        ("Let me read the question again.", "setup"),
    ],
)
def test_a_sentence_shows_by_its_first_words_what_it_does(sentence: str, kind: Kind) -> None:
    found = steps(
        f"There are two trains.\n\nThey start at noon.\n\nEach is slow.\n\nThey meet.\n\n{sentence}\n\nIt is 4."
    )
    assert [step.kind for step in found][-2] == kind


@pytest.mark.parametrize(
    "sentence",
    [
        "He waits for the train, which is late.",
        "The waiter checks the bill.",
        "So maybe the answer is 42?",
        "Hmm, so 2a + 5d = 990.",
        "The final term is 12.",
    ],
)
def test_words_that_only_look_like_a_turn_are_none(sentence: str) -> None:
    paragraphs = ["There are two trains.", "They start.", "Each is slow.", "They meet.", sentence, *"1234"]
    assert {step.kind for step in steps("\n\n".join(paragraphs))[1:]} == {"try"}


def test_a_paragraph_is_parted_where_it_takes_a_turn() -> None:
    text = "I need the sum.\n\nIt is 3 + 4 = 8. Wait, that is wrong. It is 7. Let me check it. 7 - 4 = 3."
    assert [(step.kind, text[step.start : step.end].strip()) for step in steps(text)] == [
        ("setup", "I need the sum."),
        ("try", "It is 3 + 4 = 8."),
        ("reflection", "Wait, that is wrong. It is 7."),
        ("check", "Let me check it. 7 - 4 = 3."),
    ]


def _cut(text: str) -> list[str]:
    return [text[sentence.start : sentence.end].strip() for sentence in sentences(text)]


def test_sentences_end_where_a_reader_ends_them() -> None:
    text = "It takes 2.5 hours, e.g. a walk. Dr. No agrees... or not. What?! 好的。对。Done"
    assert _cut(text) == [
        "It takes 2.5 hours, e.g. a walk.",
        "Dr. No agrees... or not.",
        "What?!",
        "好的。",
        "对。",
        "Done",
    ]


def test_what_is_drawn_as_a_block_is_one_sentence() -> None:
    code = "```python\nx = 1. \n\ny = 2. Done.\n```"
    formula = "\\[\nx = 1. \n\ny\n\\]"
    text = f"Look. Here:\n{code}\nNext.\n{formula}\nSo.\n- one. Two.\n- three\n\n| a. B | c |\n|---|---|"
    assert _cut(text) == [
        "Look.",
        "Here:",
        code,
        "Next.",
        formula,
        "So.",
        "- one. Two.\n- three",
        "| a. B | c |\n|---|---|",
    ]


def test_a_fence_or_formula_that_never_ends_swallows_nothing() -> None:
    assert _cut("```\nOne. Two.\n\nThree.") == ["```", "One.", "Two.", "Three."]
    assert _cut("\\[ x\n\nOne. Two.") == ["\\[ x", "One.", "Two."]


def test_what_is_emphasised_or_a_formula_is_not_cut_in_two() -> None:
    assert _cut("So **this. And that** holds. Yes.") == ["So **this. And that** holds.", "Yes."]
    assert _cut("As \\( a. B \\) is. Yes.") == ["As \\( a. B \\) is.", "Yes."]
    assert _cut("A lone ** star. Yes.") == ["A lone ** star.", "Yes."]


@pytest.mark.parametrize(
    "piece", [".", "\n", "- a\n", "```\n", "\\[\n", "`", "**", "wait ", "\\(", "。", "a. ", "so, ", "!?…)"]
)
def test_the_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def cost(n: int) -> float:
        text = piece * (n // len(piece))
        begin = time.thread_time()
        steps(text)
        return time.thread_time() - begin

    limit = 40 * max(0.002, min(cost(10_000) for _ in range(3)))
    # Ten times the text: a quadratic one would take a hundred times as long.
    assert any(cost(100_000) < limit for _ in range(3))
