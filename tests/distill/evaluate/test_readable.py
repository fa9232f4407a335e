"""What can be read counts as readable, right or wrong; each fault alone takes it away."""

from __future__ import annotations

import msgspec
import pytest

from r1chat.distill.evaluate.readable import mixing, readable
from r1chat.distill.problems import FAMILIES, generate
from r1chat.distill.rows import SampleRow

GOOD = SampleRow(
    model="student", quant="Q8_0", set="generated-test", problem_id="p", sample=0, verdict="right",
    reasoning="3 + 5 = 8. That is not 7. Wait, let me try again: 12 - 5 = 7. Yes.",
    answer="The answer is \\boxed{12 - 5}.", finish_reason="stop",
)  # fmt: skip
WORDS = "first we take one thing and then we add another one to it "


def but(**fields: object) -> SampleRow:
    return msgspec.structs.replace(GOOD, **fields)


def test_a_wrong_answer_is_as_readable_as_a_right_one() -> None:
    assert readable(GOOD)
    assert readable(but(verdict="wrong"))


@pytest.mark.parametrize(
    "fault",
    [
        {"reasoning": None},
        {"reasoning": " \n"},
        {"answer": ""},
        {"finish_reason": "length"},
        {"reasoning": "So <think> it is 7."},
        {"answer": "It is 7.</think>"},
        {"reasoning": "等等,3 + 5 = 8. 不是 7. 再试: 12 - 5 = 7. Yes, that is right."},
        {"reasoning": " ".join(["We add seven to the ten and see that it is not the number we want, so on it goes again."] * 9)},
    ],
)  # fmt: skip
def test_each_fault_alone_makes_it_unreadable(fault: dict[str, object]) -> None:
    assert not readable(but(**fault))


def test_mixing_is_the_share_of_words_in_another_script() -> None:
    assert mixing(but(reasoning=WORDS * 3)) == 0.0
    assert mixing(but(reasoning="one two three 等")) == pytest.approx(0.25)
    assert mixing(but(reasoning="")) == 0.0


def test_without_a_closed_thought_the_whole_reply_is_looked_at() -> None:
    assert mixing(but(reasoning=None, answer="one 等")) == pytest.approx(0.5)


def test_one_foreign_word_in_twenty_is_still_readable_and_two_are_not() -> None:
    nineteen = " ".join(["word"] * 19)
    assert readable(but(reasoning=f"{nineteen} 等"))
    assert not readable(but(reasoning=f"{nineteen} 等等"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_our_own_families_write_is_readable(family: str) -> None:
    for seed in range(10):
        problem = generate(family, seed)
        assert readable(but(reasoning=problem.reasoning, answer=problem.answer))
