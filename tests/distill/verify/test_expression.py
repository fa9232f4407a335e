"""Countdown's answers: every way of writing a solution is right, and nothing that bends the rules."""

from __future__ import annotations

from typing import Any

import pytest

from r1chat.distill.rows import ProblemRow
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.expression import rule_expression
from r1chat.distill.verify.judge import Judge

CHECK: dict[str, Any] = {"numbers": [3, 5, 7], "target": 56}


@pytest.mark.parametrize(
    "answer",
    [
        "\\boxed{(3+5)*7}",
        "One way is \\boxed{7*(5 + 3)}.",
        "\\boxed{(3+5)*7=56}",
        "First \\boxed{3+5+7}, no: \\boxed{7*3+7*5-0}. So \\boxed{(5+3)*7}",
        "\\boxed{(3+5) \\times 7}",
        "\\boxed{\\left(3+5\\right) \\cdot 7}",
        "$\\boxed{[3+5]×7}$",
        "\\boxed{7\\cdot{(3+5)} = 56.0}",
        "(3+5)*7",
        "The answer is (3+5)*7.",
        "thought \\boxed{1}</think>\\boxed{(3+5)*7}",
    ],
)
def test_a_solution_is_right_however_it_is_set(answer: str) -> None:
    problem = ProblemRow(id="p", prompt="?", gold="(3+5)*7", source="test", verifier="expression", check=CHECK)
    with Judge(VerifyConfig()) as judge:
        assert judge.verdict(problem, answer).verdict == "right"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "\\boxed{}",
        "\\boxed{56}",
        "\\boxed{3+5+7}",
        "\\boxed{(3+5)*7*1}",
        "\\boxed{(3+5)*(7}",
        "\\boxed{7*5+7*3}",
        "\\boxed{(3+5)*7=57}",
        "\\boxed{(3+5)*7=56=56}",
        "\\boxed{56+0*(3+5+7)}",
        "\\boxed{35+3*7}",
        "\\boxed{7**3//5}",
        "\\boxed{3+5*7/0}",
        "\\boxed{__import__('os')}",
        "\\boxed{(3+5)*+7}",
        "\\boxed{7(3+5)}",
        "\\boxed{" + "(" * 120 + "(3+5)*7" + ")" * 120 + "}",
        "\\boxed{" + "-" * 190 + "1}",
        "\\boxed{9" + "*9" * 5000 + "}",
        "<think>\\boxed{(3+5)*7}",
    ],
)
def test_what_bends_the_rules_is_wrong(answer: str) -> None:
    problem = ProblemRow(id="p", prompt="?", gold="(3+5)*7", source="test", verifier="expression", check=CHECK)
    with Judge(VerifyConfig()) as judge:
        assert judge.verdict(problem, answer).verdict == "wrong"


def test_division_is_exact_and_counts_only_where_it_is_allowed() -> None:
    check = {"numbers": [3, 8, 3, 8], "target": 24}
    assert rule_expression(check, "\\boxed{8/(3-8/3)}").verdict == "right"
    assert rule_expression({**check, "operators": "+-*"}, "\\boxed{8/(3-8/3)}").reason == "/ is not allowed"


@pytest.mark.parametrize(
    "answer",
    [
        "\\frac{24}{3}+5",
        "\\dfrac{24}{3} + 5 = 13",
        "24/3\\,+\\,5",
        "24 \\div 3\\ + 5\\;=\\;13",
        "\\text{24/3+5}",
        "\\tfrac {24} {\\text{3}} + 5",
    ],
)
def test_a_fraction_and_the_blanks_of_tex_are_an_expression(answer: str) -> None:
    assert rule_expression({"numbers": [24, 3, 5], "target": 13}, f"\\boxed{{{answer}}}").verdict == "right"


@pytest.mark.parametrize(
    "answer", ["5\\frac{24}{3}", "2\\,4/3+5", "\\frac{24}{3}", "\\frac{24}{3}+5=14", "\\frac{24+5}{3}", "\\frac{24}+3+5",
               "\\frac{1}{" * 60 + "1" + "}" * 60]
)  # fmt: skip
def test_what_bends_the_rules_is_wrong_in_tex_too(answer: str) -> None:
    assert rule_expression({"numbers": [24, 3, 5], "target": 13}, f"\\boxed{{{answer}}}").verdict == "wrong"


def test_fractions_in_fractions_are_worked_out() -> None:
    check = {"numbers": [3, 8, 3, 8], "target": 24}
    assert rule_expression(check, "\\boxed{\\frac{8}{3-\\frac{8}{3}}}").verdict == "right"


def test_thousands_may_be_set_apart() -> None:
    assert rule_expression({"numbers": [50, 100], "target": 5000}, "\\boxed{50*100 = 5,000}").verdict == "right"


def test_a_number_counts_as_often_as_it_is_given() -> None:
    check = {"numbers": [5, 5, 2], "target": 20}
    assert rule_expression(check, "\\boxed{(5+5)*2}").verdict == "right"
    assert rule_expression(check, "\\boxed{5*2*2}").verdict == "wrong"


def test_a_row_without_numbers_is_not_judged() -> None:
    assert rule_expression(None, "\\boxed{1}").verdict == "unknown"
    assert rule_expression({"numbers": [1, 2]}, "\\boxed{1+2}").verdict == "unknown"
    assert rule_expression({"numbers": 3, "target": "x"}, "\\boxed{3}").verdict == "unknown"
