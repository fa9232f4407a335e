"""What r1-zero's base reads: never a thought about Countdown, tries whose arithmetic is true, some right, most not."""

from __future__ import annotations

import random
import re

import pytest

from r1chat.distill.problems import generate, prompt_key
from r1chat.distill.problems.held_out import held_out
from r1chat.distill.sources.generated import problem_row
from r1chat.distill.stream import zero
from r1chat.distill.verify.expression import rule_expression
from r1chat.serve.anatomy.steps import steps
from r1chat.serve.models.templates import BOS, EOS, USER
from r1chat.serve.reasoning import OPEN_TAG

SAMPLE = range(800)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return [text for given, text in map(zero.example_at, SAMPLE) if given == BOS]


def test_no_conversation_and_no_thought_is_about_what_is_practised_later() -> None:
    conversations = [given + text for given, text in map(zero.example_at, SAMPLE) if given != BOS]
    assert len(conversations) > 100
    assert all(OPEN_TAG in text for text in conversations)
    assert zero.PRACTISED not in zero.OTHERS
    assert not [text for text in conversations if re.search(r"(?i)countdown|target|I want \d+ from", text)]


def test_documents_have_neither_roles_nor_tags(documents: list[str]) -> None:
    assert all(USER not in text and "think>" not in text and text.endswith(EOS) for text in documents)


def test_no_held_out_problem_is_tried() -> None:
    kept = {prompt_key(problem.prompt) for problem in held_out()["test"]}
    assert not [index for index in SAMPLE if prompt_key(zero.practised_at(index).prompt) in kept]


def test_what_a_try_says_is_true_and_the_answer_is_the_last_try() -> None:
    yes = 0
    for index in SAMPLE:
        written = zero.practised_at(index)
        facts = re.findall(r"(\d+[+\-*]\d+)=(\d+)", written.reasoning)
        assert all(eval(left) == int(right) for left, right in facts), written
        assert eval(written.answer.split("\\boxed{")[1].split("}")[0]) == int(facts[-1][1]), written
        target = written.reasoning.split("I want ")[1].split()[0]
        for value, said in re.findall(r"=(\d+)\. .*\? (Yes|No|对|不对)", written.reasoning):
            assert (said in ("Yes", "对")) == (value == target), written
            yes += said in ("Yes", "对")
    assert yes > 20


def test_digits_are_compared_from_the_last_on_until_two_differ() -> None:
    assert zero._compared(37, 25) == "7=5"
    assert zero._compared(35, 25) == "5=5, 3=2"
    assert zero._compared(25, 25) == "5=5, 2=2"
    assert zero._compared(5, 25) == "5=5, 0=2"


@pytest.mark.slow
def test_most_give_up_after_one_try_and_most_are_wrong() -> None:
    right, tried_once, went_on = 0, 0, 0
    for index in SAMPLE:
        written = zero.practised_at(index)
        row = problem_row(generate("countdown", index * 100), "test")
        right += rule_expression(row.check, written.answer).verdict == "right"
        tried_once += written.reasoning.count("\n") == 2
        went_on += any(step.kind in ("check", "reflection") for step in steps(written.reasoning))
    assert 0.15 < right / len(SAMPLE) < 0.45
    assert tried_once / len(SAMPLE) > 0.55
    assert 0.15 < went_on / len(SAMPLE) < 0.45


def test_some_of_those_who_go_on_think_in_two_languages() -> None:
    mixed = [index for index in SAMPLE if re.search("[\u4e00-\u9fff]", zero.practised_at(index).reasoning)]
    assert 0.01 < len(mixed) / len(SAMPLE) < 0.12


def test_nobody_tries_the_same_again() -> None:
    for seed in range(200):
        reasoning, _ = zero.explored(random.Random(seed), [3, 5, 8], 41)
        tries = [line for line in reasoning.split("\n") if "=" in line and not line.startswith("Check")]
        assert len({line.split(".")[0] for line in tries}) == len(tries)
