"""Rewards: what is right is paid and nothing else is, whatever a learner says to get there."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

import pytest

from r1chat.distill.rewards.accuracy import Accuracy
from r1chat.distill.rewards.manner import format_reward, language_reward, length_reward, repetition_reward
from r1chat.distill.rewards.said import Said, take_apart
from r1chat.distill.rows import ProblemRow, Verifier
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.judge import Judge

OPENED = "<｜User｜>What is 3 + 4?<｜Assistant｜><think>\n"
GOOD = "3 + 4 = 7.\n</think>\n\nThe answer is \\boxed{7}."


@pytest.fixture(scope="module")
def accuracy() -> Iterator[Accuracy]:
    with Judge(VerifyConfig(timeout_s=1.5)) as judge:
        yield Accuracy(judge)


def problem(gold: str | None = "7", verifier: Verifier = "math", **more: object) -> ProblemRow:
    return ProblemRow(id=f"{gold}/{verifier}", prompt="?", gold=gold, source="test", verifier=verifier, **more)  # type: ignore[arg-type]


def said(
    text: str, of: ProblemRow | None = None, *, prompt: str = OPENED, n_tokens: int = 0, cut: bool = False
) -> Said:
    return take_apart(of or problem(), prompt, text, n_tokens=n_tokens, cut=cut)


def boxing(answer: str, gold: str) -> Said:
    return said(f"So.\n</think>\n\n\\boxed{{{answer}}}", problem(gold))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("7", "7"),
        ("7", "7.0"),
        ("7", "\\text{7}"),
        ("7", "7 \\text{ apples}"),
        ("7", "7 apples"),
        ("7", "$7"),
        ("7", "x = 7"),
        ("7", "7\\text{ cm}^2"),
        ("-7", "−7"),
        ("1234", "1,234"),
        ("1234", "1{,}234"),
        ("70000", "\\$70,\\!000"),
        ("1000", "1\\,000"),
        ("1000", "1 000"),
        ("1234567.5", "1~234~567.5 \\text{ kg}"),
        ("1000", "1000 cm^2"),
        ("1000", "1000\\,\\text{cm}^{2}"),
        ("12", "12~\\text{m}"),
        ("18", "\\boldsymbol{18}"),
        ("60", "60 km/h"),
        ("60", "60\\,\\text{km}/\\text{h}"),
        ("5", "5 m/s^2"),
        ("90", "90^\\circ"),
        ("3/4", "\\frac{3}{4}"),
        ("0.5", ".5"),
        ("7", "7元"),
        ("7", "7m"),
        ("7", "7 minutes"),
        ("7", "7 x"),
        ("0.5", "1/2"),
        ("0.5", "\\frac{1}{2}"),
        ("0.5", "\\frac12"),
        ("3/2", "1\\frac{1}{2}"),
        ("1.5", "1 1/2"),
        ("-1.5", "-1\\frac12 \\text{ m}"),
        ("banana", "Banana"),
        ("x+1", "x + 1"),
    ],
)
def test_a_right_answer_is_paid_in_whatever_dress(accuracy: Accuracy, gold: str, answer: str) -> None:
    assert accuracy([boxing(answer, gold)]) == [1.0]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("7", "3 + 4"),  # the question itself
        ("7", "3+4"),
        ("7", "14/2"),
        ("2", "\\frac42"),
        ("0.5", "2/4"),
        ("7/2", "1 5/2"),
        ("0.5", "1/2 + 0"),
        ("1234.5", "1,234 .5"),
        ("7", "\\frac{14}{2}"),
        ("12", "3 \\times 4"),
        ("12", "3 4"),
        ("15", "1e5"),
        ("15", "1 5"),
        ("1000", "10 00"),
        ("1000", "1, 000"),
        ("10000", "1 0000"),
        ("1234567", "1 234,567"),
        ("1000", "1 000, 2"),
        ("1000", "6, 1 000"),
        ("7", "7\\,000"),
        ("3000", "1 000 + 2 000"),
        ("3000", "3 \\cdot 1 000"),
        ("49", "7^2"),
        ("7", "7 x^2"),
        ("7", "7 x/y"),
        ("7", "7 m^x"),
        ("7", "7 km/2"),
        ("7", "\\boldsymbol{3} + \\boldsymbol{4}"),
        ("7", "6, 7 or 8"),
        ("7", "7 or 8"),
        ("7", "-7"),
        ("7", "٧"),
        ("7", "７"),
        ("4", "2²"),
        ("6", "\\sqrt{36}"),
        ("6", "3!"),
        ("7", ""),
        ("7", "seven"),
        ("7", "minus 7"),
        ("7", "Negative 7"),
        ("7", "\\text{not } 7"),
        ("7", "7 hundred"),
        ("7", "7 \\text{ thousand}"),
        ("7", "7 and a half"),
        ("7", "7x"),
        ("7", "7k"),
        ("7", "7万"),
        ("7", "7½"),
        ("7", "__import__('os').system('true')"),
        ("7", "{" * 2000),
        ("7", "9" * 5000),
        ("banana", "apple"),
    ],
)
def test_what_is_wrong_or_not_worked_out_is_not_paid(accuracy: Accuracy, gold: str, answer: str) -> None:
    assert accuracy([boxing(answer, gold)]) == [0.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\boxed{7}",  # still within the thought
        "The answer is \\boxed{7}.\n</think>\n\n",
        "\\boxed{7}</think>It is 7.",
        "</think>\\boxed{7}</think>\\boxed{8}",
        "</think>" + "".join(f"\\boxed{{{n}}}" for n in range(100)) + "\\boxed{7}",
        "</think>\\boxed{7",
        "</think>\\boxed{7}\\boxed{6}",
    ],
)
def test_only_the_last_box_of_a_finished_answer_counts(accuracy: Accuracy, text: str) -> None:
    assert accuracy([said(text)]) == [0.0]


def test_an_answer_that_was_cut_off_is_not_paid(accuracy: Accuracy) -> None:
    assert accuracy([said(GOOD), said(GOOD, cut=True)]) == [1.0, 0.0]


def test_what_no_rule_decides_is_none(accuracy: Accuracy) -> None:
    of_none = [problem(None, "none"), problem(None), problem(None, "exact")]
    assert accuracy([*(said(GOOD, of) for of in of_none), said(GOOD)]) == [None, None, None, 1.0]
    assert accuracy([said(GOOD, of, cut=True) for of in of_none]) == [None, None, None]


@pytest.mark.timed
def test_sixty_four_answers_are_judged_within_fifty_milliseconds(accuracy: Accuracy) -> None:
    batch = [said(f"{'3 + 4 is 7. ' * 30}\n</think>\n\n\\boxed{{{n}}} apples", problem(str(n // 2))) for n in range(64)]

    def seconds() -> float:
        gc.collect()  # or it comes while they are judged
        began = time.process_time()
        accuracy(batch)
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.05


@pytest.mark.parametrize(
    "text", [GOOD, "3 + 4 = 7.</think>The answer is \\boxed{7}.", "我想想：3 + 4 = 7。\n</think>\n\n\\boxed{7}"]
)
def test_a_thought_and_an_answer_are_the_format(text: str) -> None:
    assert format_reward(said(text)) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 + 4 = 7. The answer is \\boxed{7}.",  # no end of the thought
        "<think>\n" + GOOD,  # the prompt opened it
        GOOD + "</think>",
        GOOD + "<think>",
        GOOD + "</THINK>",
        GOOD + "< /think >",
        "</think>\n\nThe answer is \\boxed{7}.",  # no thought
        " \n...\n</think>\n\nThe answer is \\boxed{7}.",
        "3 + 4 = 7.\n</think>\n\n",  # no answer
        "3 + 4 = 7.\n</think>\n\n?!",
        "a</think>b</think>c",
        "a<think>b</think>c",
    ],
)
def test_any_other_use_of_the_tags_is_not_the_format(text: str) -> None:
    assert format_reward(said(text)) == 0.0


def test_a_prompt_that_does_not_open_the_thought_wants_both_tags() -> None:
    assert format_reward(said("<think>\n" + GOOD, prompt="What is 3 + 4?\n")) == 1.0
    assert format_reward(said(GOOD, prompt="What is 3 + 4?\n")) == 0.0
    assert format_reward(said("Well. <think>\n" + GOOD, prompt="What is 3 + 4?\n")) == 0.0


def test_what_was_cut_off_is_not_the_format() -> None:
    assert format_reward(said(GOOD, cut=True)) == 0.0


@pytest.mark.parametrize(
    ("thought", "share"),
    [
        ("wait, that is right", 1.0),
        ("等等", 0.0),
        ("wait, 等等 okay", 0.5),
        ("3 + 4 = 7", 1.0),
        ("", 0.0),
        ("...", 0.0),
    ],
)
def test_the_language_reward_is_the_share_of_words(thought: str, share: float) -> None:
    assert language_reward(said(f"{thought}\n</think>\n\n等等 \\boxed{{7}}"), "en") == pytest.approx(share)


@pytest.mark.parametrize(
    ("n_tokens", "worth"), [(0, 0.0), (60, 0.0), (61, -0.025), (80, -0.5), (100, -1.0), (101, -1.0)]
)
def test_the_length_reward_is_that_of_dapo(n_tokens: int, worth: float) -> None:
    assert length_reward(said(GOOD, n_tokens=n_tokens), 100, 40) == pytest.approx(worth)


def test_a_cut_off_completion_has_the_whole_penalty_of_length() -> None:
    assert length_reward(said(GOOD, n_tokens=100, cut=True), 100, 40) == -1.0


@pytest.mark.parametrize("loop", ["wait. " * 100, "等等" * 100, "a" * 2000, "= " * 200, "3 + 4 = 7. Not 8. " * 30])
def test_going_round_in_circles_costs_nearly_all_of_the_repetition_reward(loop: str) -> None:
    assert -1.0 <= repetition_reward(said(loop)) < -0.8


def test_an_honest_calculation_repeats_nothing() -> None:
    assert repetition_reward(said(GOOD)) == 0.0
    assert repetition_reward(said("")) == 0.0


@pytest.mark.parametrize("reward", [format_reward, repetition_reward, lambda one: language_reward(one, "en")])
@pytest.mark.parametrize(
    "text", ["<think>" * 50_000, "</think>" * 50_000, "$" * 200_000, "\\boxed{" * 30_000, "\ud800"]
)
def test_hostile_text_takes_no_time(reward: Callable[[Said], float], text: str) -> None:
    began = time.process_time()
    assert -1.0 <= reward(said(text)) <= 1.0
    assert time.process_time() - began < 2.0
