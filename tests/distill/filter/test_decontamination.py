"""A problem of the evaluation is recognised however it is dressed; a sibling with other numbers is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_rows import problem_row

from r1chat.distill.filter.decontamination import EvaluationProblems
from r1chat.distill.rows import ProblemRow
from r1chat.distill.sources.instructions import BOXED
from r1chat.distill.sources.problems import load_problems

DUCKS = (
    "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends "
    "every day with four. How much does she make?"
)


def reason(evaluation: EvaluationProblems, prompt: str) -> str | None:
    found = evaluation.hit(prompt)
    return found.reason if found else None


@pytest.fixture(scope="module")
def benchmark() -> EvaluationProblems:
    found = EvaluationProblems()
    found.add([problem_row(DUCKS, source="gsm8k"), problem_row("What is $3 + 4$?", source="gsm8k")])
    return found


@pytest.mark.parametrize(
    "prompt",
    [
        DUCKS,
        DUCKS.upper().replace(". ", " .\n\n"),
        f"Solve this. {DUCKS} Please reason step by step, and put your final answer within \\boxed{{}}.",
        "what is 3+4",
        "What is \\(3 + 4\\)? Put your answer in a box.",
    ],
)
def test_the_same_signs_and_numbers_are_the_same_problem(benchmark: EvaluationProblems, prompt: str) -> None:
    assert reason(benchmark, prompt) == "same_as_test"


def test_eight_words_in_a_row_are_a_hit_and_seven_are_not(benchmark: EvaluationProblems) -> None:
    eight, seven = "she eats three for breakfast every morning and", "eats three for breakfast every morning and"
    assert reason(benchmark, f"Each of 5 cats: {eight} sleeps. How many?") == "shared_8_gram"
    assert reason(benchmark, f"Each of 5 cats {seven} sleeps. How many?") is None


@pytest.mark.parametrize("prompt", ["What is 3 + 5?", "What is 13 + 4?", "What is 3 + 4 + 5?", "3", ""])
def test_other_numbers_make_another_short_problem(benchmark: EvaluationProblems, prompt: str) -> None:
    assert reason(benchmark, prompt) is None


def test_words_that_five_evaluation_problems_share_are_phrasing() -> None:
    phrase = "Find the number of pairs of whole numbers such that"
    few, many = EvaluationProblems(), EvaluationProblems()
    few.add(problem_row(f"{phrase} their sum is {n} and no more") for n in range(4))
    many.add(problem_row(f"{phrase} their sum is {n} and no more") for n in range(5))
    asked = f"{phrase} one divides 77"
    assert reason(few, asked) == "shared_8_gram"
    assert reason(many, asked) is None


@pytest.mark.parametrize("source", ["generated-test", "gym:chain_sum"])
def test_of_a_template_only_the_same_numbers_are_a_hit(source: str) -> None:
    evaluation = EvaluationProblems()
    evaluation.add([problem_row("I have 96 figs and put the same number into each of 4 boxes.", source=source)])
    assert reason(evaluation, "I have 96 figs and put the same number into each of 4 boxes!") == "same_as_test"
    assert reason(evaluation, "I have 95 figs and put the same number into each of 5 boxes.") is None


def test_an_instruction_is_no_part_of_a_problem_even_where_few_carry_it() -> None:
    evaluation = EvaluationProblems()
    asked = [f"{text} {BOXED}" for text in ("How tall is the old tower?", "Where does the river end?")]
    evaluation.add(ProblemRow(id=f"p{i}", prompt=prompt, gold="1", source="mine") for i, prompt in enumerate(asked))
    assert reason(evaluation, f"What is the cube root of twenty-seven? {BOXED}") is None
    assert reason(evaluation, asked[0]) == "same_as_test"


def test_a_file_that_is_called_like_our_sets_is_none_of_them() -> None:
    evaluation = EvaluationProblems()
    evaluation.add([problem_row(DUCKS, source="generated_exam.jsonl")])
    assert reason(evaluation, DUCKS.replace("?", " in 5 days?")) == "shared_8_gram"


def test_training_problems_of_our_families_stay_and_the_held_out_ones_go() -> None:
    evaluation = EvaluationProblems()
    for split in ("test", "unseen_wording", "larger"):
        evaluation.add(load_problems(f"generated-{split}"))
    training = load_problems("generated", limit=400)
    assert sum(evaluation.hit(problem.prompt) is not None for problem in training) <= 4
    assert all(evaluation.hit(problem.prompt) for problem in load_problems("generated-test", limit=50))


@given(st.lists(st.text(max_size=40), max_size=5), st.text(max_size=40))
def test_every_evaluation_problem_with_a_word_is_found_and_nothing_raises(prompts: list[str], other: str) -> None:
    evaluation = EvaluationProblems()
    evaluation.add(map(problem_row, prompts))
    evaluation.hit(other)
    assert all(evaluation.hit(prompt) for prompt in prompts)
