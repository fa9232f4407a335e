"""Verdicts: right only where the answer is, within seconds, whatever the answer does to whoever judges it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from r1chat.distill.rows import ProblemRow, Verifier
from r1chat.distill.verify.config import VerifyConfig
from r1chat.distill.verify.consensus import consensus
from r1chat.distill.verify.judge import Judge

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(VerifyConfig(timeout_s=20.0)) as judge:
        yield judge


@pytest.fixture(scope="module")
def hasty() -> Iterator[Judge]:
    """For answers that would keep it for ever."""
    with Judge(VerifyConfig(timeout_s=2.0)) as judge:
        judge.verdict(problem("x+1"), "\\boxed{1+x}")  # the child is there before anything is measured
        yield judge


def problem(gold: str | None, verifier: Verifier = "math", check: dict[str, Any] | None = None) -> ProblemRow:
    return ProblemRow(id="p", prompt="?", gold=gold, source="test", verifier=verifier, check=check)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "So she makes \\boxed{18} dollars."),
        ("18", "She makes $18 a day."),
        ("70000", "\\boxed{\\$70,000}"),
        ("18", "First \\boxed{17}, but no: \\boxed{18}"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "\\boxed{(3, \\pi/2)}"),
        ("\\frac{1}{2}", "\\boxed{0.5}"),
        ("$\\frac{1}{2}$", "\\boxed{\\frac12}"),
        ("p - q", "\\[\\boxed{-q + p}\\]"),
        ("\\text{Evelyn}", "\\boxed{Evelyn}"),
        ("Evelyn", "It is **Evelyn**."),
        ("6+9i", "\\boxed{6 + 9i}"),
        ("18", "17</think>It is \\boxed{18}"),
        ("(1+x)^{40}", "\\boxed{(1+x)^{40}}"),
        ("[-2,7]", "\\boxed{x \\in [-2,7]}"),
        ("3/2", "\\boxed{1 1/2}"),
        ("4", "\\boxed{$4$}"),
        ("x+4", "\\boxed{$4 + x$}"),
        ("\\$4x", "\\boxed{\\$x \\cdot 4}"),
        ("-5", "\\boxed{−5}"),  # a sign of its own, U+2212
    ],
)
def test_what_says_the_same_is_right(judge: Judge, gold: str, answer: str) -> None:
    assert judge.verdict(problem(gold), answer).verdict == "right"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("18", "\\boxed{17}"),
        ("18", "I got 18 first, so the answer is \\boxed{17}."),
        ("18", ""),
        ("18", "I do not know."),
        ("18", "<think>It is 18, \\boxed{18}"),
        ("18", "The answer is \\boxed{18</think>It is \\boxed{17}"),
        ("18", "\\boxed{18}</think>"),
        ("18", "\\boxed{18"),
        ("listen", "\\boxed{silent}"),
        ("(1,2)", "\\boxed{(2,1)}"),
        ("\\frac{1}{2}", "\\boxed{\\frac{1}{3}}"),
        ("11/2", "\\boxed{1 1/2}"),
        ("34", "\\boxed{3 4}"),
        ("4", "\\boxed{$5$; $4$}"),
        ("x+4", "\\boxed{$5$ or $x+4$}"),
    ],
)
def test_what_says_something_else_or_only_thinks_it_is_wrong(judge: Judge, gold: str, answer: str) -> None:
    assert judge.verdict(problem(gold), answer).verdict == "wrong"


# each either hangs a verifier, or fills its memory, or gets past it
HOSTILE = {
    "tower": "\\boxed{9^{9^{9^9}}}",
    "python tower": "9**9**9",
    "factorial": "\\boxed{(99999999)!}",
    "nested": "\\boxed{" + "\\sqrt{" * 500 + "4" + "}" * 500 + "}",
    "parentheses": "(" * 5000 + "4" + ")" * 5000,
    "megabyte": "4 " * 500_000,
    "boxes": "\\boxed{4}" * 500 + "\\boxed{5}" + "\\boxed{4}",
    "open boxes": "\\boxed{" * 12_000 + "4",
    "digits": "\\boxed{" + "4" * 90_000 + "}",
    "backtracking": "$" + "\\frac{" * 60 + "a," * 300,
    "dollars": "$5" * 40_000,
    "multiplied out": "\\boxed{(a+b+c+d+e)^{99}-(a+b+c+d+e)^{98}(a+b+c+d+e)+4}",
    "code": "\\boxed{__import__('os').mkdir('PWNED')}",
    "code in the open": "4 is __import__('os').mkdir('PWNED')",
    "surrogate": "\\boxed{\ud800}",
    "other digits": "\\boxed{４}",
    "nulls": "\\boxed{4\0x}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_answer_is_right_or_takes_long(hasty: Judge, name: str) -> None:
    began = time.monotonic()
    ruling = hasty.verdict(problem("4"), HOSTILE[name])
    assert (ruling.verdict, time.monotonic() - began < 60) == ("wrong", True), ruling
    assert not Path("PWNED").exists()


@pytest.mark.slow
def test_one_answer_that_kills_its_child_costs_the_others_nothing_and_order_is_kept() -> None:
    answers = [f"\\boxed{{{i}+x}}" for i in range(30)]
    answers[7] = answers[11] = HOSTILE["tower"]
    with Judge(VerifyConfig(timeout_s=10.0)) as judge:  # long enough for the others on a busy machine
        rulings = list(judge.verdicts((problem(f"x+{i}"), answer) for i, answer in enumerate(answers)))
    assert [i for i, ruling in enumerate(rulings) if ruling.verdict != "right"] == [7, 11]
    assert {rulings[i].reason for i in (7, 11)} == {"timeout"}
    assert [ruling.extracted for ruling in rulings[:7]] == [f"{i}+x" for i in range(7)]


def test_many_threads_may_ask(judge: Judge) -> None:
    found: dict[int, str] = {}

    def ask(i: int) -> None:
        found[i] = judge.verdict(problem(f"{i}y"), f"\\boxed{{y \\cdot {i + i % 2}}}").verdict

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: "wrong" if i % 2 else "right" for i in range(2, 14)}


def test_no_child_is_left(tmp_path: Path) -> None:
    with Judge(VerifyConfig(workers=1)) as judge:
        assert judge.verdict(problem("x+1"), "\\boxed{1+x}").verdict == "right"
        children = [process._child for process in judge._processes if process._child]
    assert children and all(child.returncode is not None for child in children)


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("36", "\\boxed{36.0}", "right"),
        ("36", "Reasons. The answer is 36.", "right"),
        ("Monday", "Long text\n\n**Monday**", "right"),
        ("C", "**Answer:** (C) because", "right"),
        ("C", "\\boxed{C}", "right"),
        ("C", "The answer is B", "wrong"),
        ("C", "The answer is C because", "right"),
        ("A", "A final check rules out the rest, so it is C.", "wrong"),
        ("C", "A final check rules out the rest, so it is C.", "wrong"),
        ("A", "A. Because", "right"),
        ("A", "(A) because", "right"),
        ("42", "The answer is **42**.", "right"),
        ("42", "**Answer:**\n\n42", "right"),
        ("42", "Final Answer:\n42", "right"),
        (".5", "Answer: .5", "right"),
        ("Monday", "Answer: Monday\nSo we have found the answer\nBye", "right"),
        ("C", "\\boxed{\\text{(C)}}", "right"),
        ("C", "\\boxed{\\textbf{(C)}\\ 12}", "right"),
        ("C", "\\boxed{\\textbf{(B)}\\ 12}", "wrong"),
        ("C", "I will answer the question.\n\n(C)", "right"),
        ("42", "To answer the question, we add.\n\n42", "right"),
        ("42", "The answer is: 42", "right"),
        ("2+2", "\\boxed{4}", "wrong"),
        ("36", "", "wrong"),
        ("36", "\\boxed{}", "wrong"),
        (None, "\\boxed{4}", "unknown"),
    ],
)
def test_exact_means_to_the_letter_up_to_dress(judge: Judge, gold: str | None, answer: str, verdict: str) -> None:
    assert judge.verdict(problem(gold, "exact"), answer).verdict == verdict


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}, "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}}},
    "required": ["n"],
    "additionalProperties": False,
    "$defs": {"tag": {"enum": ["a", "b", 1]}},
}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ('{"n": 2}', "right"),
        ('Here:\n```json\n{"n": 2, "tags": ["a", 1]}\n```', "right"),
        ('{"n": 0}', "wrong"),
        ('{"n": true}', "wrong"),
        ('{"tags": []}', "wrong"),
        ('{"n": 2, "tags": [true]}', "wrong"),
        ('{"n": 2, "x": 1}', "wrong"),
        ("no", "wrong"),
        ("[" * 100_000, "wrong"),
    ],
)
def test_json_is_checked_by_its_schema(judge: Judge, answer: str, verdict: str) -> None:
    assert judge.verdict(problem(None, "json", {"schema": SCHEMA}), answer).verdict == verdict


def test_a_schema_that_says_more_than_is_known_gives_no_verdict(judge: Judge) -> None:
    ruling = judge.verdict(
        problem(None, "json", {"schema": {"pattern": "(a+)+$"}}), '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"'
    )
    assert ruling.verdict == "unknown" and "pattern" in ruling.reason
    assert judge.verdict(problem('{"a": 1.0}', "json"), '{ "a": 1 }').verdict == "right"
    assert judge.verdict(problem('{"a": 1}', "json"), '{"a": 2}').verdict == "wrong"


def test_outside_its_field_a_model_must_own_up_and_claim_nothing(judge: Judge) -> None:
    outside = problem("bundled demo model", "outside")
    assert judge.verdict(outside, "I am r1chat's bundled demo model.").verdict == "right"
    assert judge.verdict(outside, "I am r1chat's bundled demo model. \\boxed{3}").verdict == "wrong"
    assert judge.verdict(outside, "Paris.").verdict == "wrong"


def test_without_gold_or_sandbox_there_is_no_verdict(judge: Judge) -> None:
    assert judge.verdict(problem(None), "\\boxed{3}") == ("unknown", "no gold", "3")
    assert judge.verdict(problem(None), "It has 3 parts.") == ("unknown", "no gold", None)
    program = "```python\nprint(1)\n```"
    ruling = judge.verdict(problem(None, "code", {"tests": [{"input": "", "output": "1"}]}), program)
    assert (ruling.verdict, ruling.reason) == ("unknown", "the sandbox is off; use --sandbox")


def test_consensus_is_of_what_is_the_same_mathematics(judge: Judge) -> None:
    agreed = consensus(judge, "math", ["3", None, "2\\sqrt{2}", "\\sqrt{8}", "8^{1/2}"])
    assert agreed and (agreed.answer, agreed.share, agreed.tied) == ("2\\sqrt{2}", 0.6, False)
    assert agreed.members == {2, 3, 4}
    assert consensus(judge, "math", [None, None]) is None
    tied = consensus(judge, "exact", ["a", "b", "B", "A"])
    assert tied and tied.tied and tied.members == {0, 3}


@pytest.mark.parametrize("schema", [3, {"multipleOf": 0}, {"minimum": "1"}, {"properties": 3}, {"enum": 5}])
def test_a_schema_that_is_none_judges_nothing(judge: Judge, schema: Any) -> None:
    for answer in ("4", '{"a": 1}'):
        assert judge.verdict(problem(None, "json", {"schema": schema}), answer).verdict in ("unknown", "right")


@pytest.mark.parametrize("check", [{"tests": [3]}, {"tests": 3}, {"function": "f", "tests": [{}]}, {"asserts": 3}])
def test_tests_that_are_none_judge_nothing(check: dict[str, Any]) -> None:
    with Judge(VerifyConfig(sandbox=True)) as sandboxed:
        assert sandboxed.verdict(problem(None, "code", check), "```python\n1\n```").verdict == "unknown"
