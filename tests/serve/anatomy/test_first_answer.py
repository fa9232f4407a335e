"""Where a thought first states its answer, and the budget that follows."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.anatomy.first_answer import FirstAnswer, final_value, first_answer, suggested_budget

THOUGHT = (
    "I need 12 times 13. 12 * 10 is 120. 12 * 3 = 36. So the sum is 120 + 36 = 156. Check: 156 / 12 = 13. Yes, 156."
)


def test_the_first_statement_of_the_answer_counts() -> None:
    first = first_answer(THOUGHT, "It is \\boxed{156}.", "What is 12 * 13?", reasoning_tokens=60)
    assert first is not None
    assert first.char == THOUGHT.index("156")
    assert first.share == pytest.approx((first.char + 3) / len(THOUGHT))
    assert first.tokens == -(-60 * (first.char + 3) // len(THOUGHT))


@pytest.mark.parametrize("written", ["1,560", "1560", "1560.0", "3120/2", "\\frac{3120}{2}"])
def test_the_same_number_written_another_way_is_the_same(written: str) -> None:
    first = first_answer(f"So we get {written} in all.", "\\boxed{1560}")
    assert first is not None and first.char == len("So we get ")


def test_a_term_of_a_sum_is_no_statement() -> None:
    thought = "Is 36 + 120 more? It is 36 * 2. Then = 36. End."
    first = first_answer(thought, "\\boxed{36}")
    assert first is not None and first.char == thought.rindex("36")


def test_a_number_of_the_question_counts_only_beside_a_word_like_answer() -> None:
    question = "There are 17 sheep and all but 9 run away. How many are left?"
    thought = "The number of sheep is 17. The rest is 9? So there are 9. Hmm. The answer is 9."
    first = first_answer(thought, "**9**", question)
    assert first is not None and first.char == thought.rindex("9")


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ("so \\boxed{\\frac{1}{2}}", Fraction(1, 2)),
        ("In February 2024 there are 29 days.\n\nAnswer: 29", 29),
        ("It is **2**. There are 10 kinds of people.", 2),
        ("There are 9.", 9),
        ("Answer: 1 + 1 equals 2.", 2),
        ("Answer: 1 + 1", None),
        ("**Answer:**\n**1 + 1 = 2**", 2),
        ("Between 3 and 5.", None),
        ("The answer is -5.", -5),
        ("The answer is \\(-5\\).", -5),
        ("Answer: −12", -12),
        ("Answer - 12", 12),
        ("The answer is **36**.", 36),
        ("**Answer:** **36**", 36),
        ("**Answer: 36**", 36),
        ("The answer is 36 * 2", None),
        ("\\boxed{x + 1}", None),
        ("Canberra.", None),
        ("", None),
    ],
)
def test_the_answer_is_read_only_where_it_is_plain(content: str, value: Fraction | int | None) -> None:
    assert final_value(content) == value


def test_an_answer_that_the_thought_never_states_is_none() -> None:
    assert first_answer("I think of 7 sheep.", "\\boxed{41}") is None
    assert first_answer("", "\\boxed{41}") is None


def test_the_budget_has_a_margin_and_is_round() -> None:
    assert suggested_budget(FirstAnswer(0, 0.4, 400), 1000) == 500
    assert suggested_budget(FirstAnswer(0, 0.02, 20), 1000) == 100


def test_no_budget_is_suggested_where_it_would_save_little_or_nothing_is_known() -> None:
    assert suggested_budget(FirstAnswer(0, 0.9, 900), 1000) is None
    assert suggested_budget(FirstAnswer(0, 0.9, None), 0) is None
    assert suggested_budget(None, 1000) is None


@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=80), st.integers(0, 10**6))
def test_no_text_makes_it_fail(thought: str, content: str, question: str, tokens: int) -> None:
    first = first_answer(thought, f"{content} \\boxed{{7}}", question, tokens)
    assert first is None or (0 <= first.char < len(thought) and 0 < first.share <= 1)


@pytest.mark.parametrize("piece", ["9", "9,", "= ", "1/", "\\frac{", "answer ", "answer is 7 ", "**", "is ", "-", "9 "])
def test_hostile_repetitions_are_quick(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    begin = time.process_time()
    first_answer(text, text, text, 10)
    first_answer(text + " = 7", "\\boxed{7}", text, 10)
    # Quadratic work on so much text takes minutes.
    assert time.process_time() - begin < 20
