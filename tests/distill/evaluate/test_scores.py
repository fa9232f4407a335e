"""What a set's answers come to: votes by equal answers, costs of a right one, form, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from r1chat.distill.evaluate.asking import thought_and_answer
from r1chat.distill.evaluate.comparing import comparisons, pairs
from r1chat.distill.evaluate.scores import Classes, score_set, well_formed
from r1chat.distill.rows import ProblemRow, SampleRow
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.consensus import classes_of
from r1chat.distill.verify.judge import Judge
from r1chat.serve.client import Completion


def problem(number: int = 0, **fields: Any) -> ProblemRow:
    return ProblemRow(id=f"p{number}", prompt=f"Problem {number}", gold="4", source="test", **fields)


def sample(number: int, sample: int, right: bool, **fields: Any) -> SampleRow:
    given: dict[str, Any] = {
        "model": "student", "quant": "Q8_0", "set": "s", "reasoning": "Two and two.", "answer": "\\boxed{4}",
        "finish_reason": "stop", "extracted": "4", "n_tokens": 10, "n_reasoning_tokens": 6, "seconds": 2.0,
    }  # fmt: skip
    verdict = "right" if right else "wrong"
    return SampleRow(**{**given, "problem_id": f"p{number}", "sample": sample, "verdict": verdict, **fields})


def by_text(verifier: str, answers: Any) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i, answer in enumerate(answers):
        if answer is not None:
            groups.setdefault(answer, []).append(i)
    return list(groups.values())


def score(problems: list[ProblemRow], rows: list[SampleRow], classes: Classes = by_text) -> dict[str, Any]:
    return score_set(problems, rows, classes, concurrency=2)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    pytest.importorskip("math_verify", reason="needs the extra `distill`")
    with Judge(VerifyConfig(workers=1)) as found:
        yield found


def test_a_vote_counts_answers_that_are_equal_however_they_are_written(judge: Judge) -> None:
    answers = ["4", "0.5", "1/2", "4"]
    rows = [sample(0, i, answer == "4", extracted=answer) for i, answer in enumerate(answers)]
    assert score([problem()], rows, partial(classes_of, judge))["cons_at_k"] == 0.5
    assert score([problem()], rows)["cons_at_k"] == 1, "by their letters the wrong ones would be two classes"


def test_an_answer_that_was_cut_off_has_no_vote() -> None:
    rows = [sample(0, 0, True)] + [sample(0, i, False, extracted="5", finish_reason="length") for i in (1, 2)]
    found = score([problem()], rows)
    assert found["cons_at_k"] == 1
    assert found["overall"]["truncated"] == pytest.approx(2 / 3)


def test_a_right_answer_costs_all_that_was_generated() -> None:
    rows = [sample(0, 0, True), sample(0, 1, False), sample(1, 0, False), sample(1, 1, False)]
    found = score([problem(0), problem(1)], rows)
    assert found["tokens_per_right"] == 40
    assert found["seconds_per_right"] == pytest.approx(4 * 2.0 / 2), "two were drawn side by side"
    assert found["pass_at_k"] == {"1": pytest.approx(0.25), "2": pytest.approx(0.5)}


def test_what_lies_outside_the_field_counts_in_its_family_only() -> None:
    rows = [sample(0, 0, True, family="sums"), sample(1, 0, False, family="outside")]
    found = score([problem(0, family="sums"), problem(1, family="outside", verifier="outside")], rows)
    assert found["overall"]["pass_at_1"] == 1
    assert found["families"]["outside"]["pass_at_1"] == 0


def test_a_vote_is_counted_over_the_problems_whose_answers_can_be_compared() -> None:
    problems = [problem(0), problem(1, verifier="expression")]
    found = score(problems, [sample(0, 0, True), sample(1, 0, False)])
    assert (found["cons_at_k"], found["cons_n"], found["overall"]["n"]) == (1, 1, 2)


def test_programs_have_no_vote() -> None:
    assert score([problem(verifier="code")], [sample(0, 0, True)])["cons_at_k"] is None


@pytest.mark.parametrize(
    ("fields", "verifier", "formed"),
    [
        ({}, "math", True),
        ({"answer": "It is 4."}, "math", False),
        ({"answer": "It is 4."}, "exact", True),
        ({"reasoning": None}, "math", False),
        ({"answer": " "}, "exact", False),
        ({"finish_reason": "length"}, "math", False),
    ],
)
def test_form_is_a_closed_thought_and_for_mathematics_a_box(
    fields: dict[str, Any], verifier: Any, formed: bool
) -> None:
    assert well_formed(sample(0, 0, True, **fields), problem(verifier=verifier)) is formed


def test_unjudged_answers_are_told_apart_from_wrong_ones() -> None:
    rows = [sample(0, 0, True), sample(0, 1, False, verdict="unknown")]
    found = score([problem()], rows)
    assert (found["unjudged"], found["overall"]["pass_at_1"]) == (0.5, 0.5)


def test_quants_are_compared_with_the_more_exact_ones() -> None:
    labels = ["teacher/Q4_K_M", "base/Q8_0", "student/Q8_0", "student/F16", "student/Q4_K_M"]
    assert list(pairs(labels)) == [
        ("student/Q8_0", "base/Q8_0"),
        ("student/Q8_0", "teacher/Q4_K_M"),
        ("student/Q8_0", "student/F16"),
        ("student/Q4_K_M", "student/F16"),
        ("student/Q4_K_M", "student/Q8_0"),
    ]


def test_problems_are_paired_by_their_ids_whatever_the_order_of_the_rows() -> None:
    problems = [problem(i) for i in range(12)]
    solved = [sample(i, 0, i % 2 == 0) for i in range(12)]
    found = comparisons(
        ["base/Q8_0", "student/Q8_0"], {"s": problems}, {"base/Q8_0": solved, "student/Q8_0": solved[::-1]},
        by_family=False,
    )  # fmt: skip
    assert (found[0]["mean"], found[0]["p"], found[0]["n"]) == (0, 1, 12)


def reply(reasoning: str, content: str) -> Completion:
    return Completion(reasoning, content, "stop", {}, {})


def test_tags_that_a_server_leaves_in_the_answer_are_split() -> None:
    assert thought_and_answer(reply("", "<think>\nTwo.\n</think>\n\n4")) == ("Two.", "4")
    assert thought_and_answer(reply("", "Two.\n</think>\n\n4")) == ("Two.", "4")
    assert thought_and_answer(reply("Two.", "4")) == ("Two.", "4")
    assert thought_and_answer(reply("", "4")) == (None, "4")
    assert thought_and_answer(reply("Two ...", "")) == ("Two ...", "")
