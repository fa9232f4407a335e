"""What counts as a reply's answer, and which answers are the same."""

from __future__ import annotations

import time

import pytest

from r1chat.serve.answers.extraction import Extract, comparable, extract


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("The answer is \\boxed{9}.", "9"),
        ("First \\boxed{1}, no, \\boxed{ 2 }", "2"),
        ("\\boxed{\\frac{\\sqrt{2}}{2}}", "\\frac{\\sqrt{2}}{2}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("It is \\boxed{7}, that is \\boxed{7", "7"),
        ("\\boxed{\\boxed{7} }", "7"),
        ("} \\boxed{x^{2}} {", "x^{2}"),
        ("\\boxed{}", None),
        ("9", None),
        ("", None),
    ],
)
def test_the_last_complete_box_is_the_answer(content: str, answer: str | None) -> None:
    assert extract(content, "boxed") == answer


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("There are 17 sheep and 9 are left.", "9"),
        ("It costs $1,234.50.", "1234.50"),
        ("3-5 = -2", "-2"),
        ("5-3", "3"),
        ("minus: −4", "-4"),
        ("v1.2 of x9", None),
        ("none", None),
    ],
)
def test_the_last_number_is_the_answer(content: str, answer: str | None) -> None:
    assert extract(content, "last_number") == answer


@pytest.mark.parametrize(
    "content",
    [
        '{"b": 2.0, "a": [1, "é"]}',
        '{\n  "a": [1, "\\u00e9"],\n  "b": 2\n}',
        'Here it is:\n```json\n{"a": [1, "é"], "b": 2}\n```',
        'The object {"b": 2, "a": [1, "é"]} is it.',
    ],
)
def test_json_has_one_form_however_it_is_written(content: str) -> None:
    assert extract(content, "json") == '{"a":[1,"é"],"b":2}'


@pytest.mark.parametrize("content", ["nothing", '{"a": ', '{"a": NaN}', '{"a": 1e999}', "[" * 100_000, '"\\ud800"'])
def test_what_is_no_json_is_no_answer(content: str) -> None:
    assert extract(content, "json") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("36", "36.0"),
        ("36", "36."),
        ("1,234", "1234"),
        ("0.5", "\\frac{1}{2}"),
        ("\\dfrac12", "1/2"),
        ("$5$", "5"),
        ("5\\%", "5"),
        ("\\text{Monday}", "monday"),
        ("\\left( 1, 2 \\right)", "(1,2)"),
        ("-\\frac{3}{4}", "-0.75"),
        ("1 1/2", "3/2"),
        ("-1 \\frac{1}{2}", "-1.5"),
        ("1\\frac12", "\\frac{3}{2}"),
        ("1 234 567", "1234567"),
        ("12\\,345", "12345"),
        ("2 / 3", "2/3"),
        ("x = 3 4", "x=3  4"),
    ],
)
def test_dress_makes_no_answer_another(one: str, other: str) -> None:
    assert comparable(one, "boxed") == comparable(other, "boxed")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3", "4"), ("9.9", "9.11"), ("x+1", "x-1"), ("1/2", "1/3"), ("-3", "3"), ("12", "1,2"), ("1 1/2", "11/2"),
        ("3 4", "34"), ("3\\ 4", "34"), ("1 2345", "12345"), ("0.3 4", "0.34"), ("1 1/0", "1"),
    ],
)  # fmt: skip
def test_different_answers_stay_different(one: str, other: str) -> None:
    assert comparable(one, "boxed") != comparable(other, "boxed")


def test_what_json_says_is_compared_to_the_letter() -> None:
    assert comparable('{"a":"A 5%"}', "json") != comparable('{"a":"a5"}', "json")


@pytest.mark.parametrize("how", ["boxed", "last_number", "json"])
@pytest.mark.parametrize(
    "piece", ["\\boxed{", "}", "{", "```\n", "\n", "```json", "1", "1,", "1,234", "-", "[", '"', "\\text{", " "]
)
def test_no_reply_takes_long_to_read(piece: str, how: Extract) -> None:
    began = time.thread_time()
    for text in ("```" + piece * 50_000, piece * 50_000 + "\\boxed{" + piece * 1000 + "}"):
        answer = extract(text, how)
        comparable(answer or text, how)
    assert time.thread_time() - began < 5


@pytest.mark.parametrize("answer", ["1e999999999", "9" * 100_000, "1/0", "1/000", ".", "", "\\frac{1}{0}"])
def test_no_answer_is_too_strange_to_be_compared(answer: str) -> None:
    assert comparable(answer, "boxed") == comparable(answer, "boxed")
