"""Instructions on the form of an answer: each is told from what does not follow it, and what is unknown is not judged."""

from __future__ import annotations

import time
from typing import Any

import pytest

from r1chat.distill.verify.instructions import CHECKS, rule_instructions

TEN = "one two three four five six seven eight nine ten"
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("punctuation:no_comma", {}, "no comma here", "well, yes"),
    ("length_constraints:number_words", {"num_words": 10, "relation": "at least"}, TEN, "one two"),
    ("length_constraints:number_words", {"num_words": 10, "relation": "less than"}, "don't one two", TEN),
    ("length_constraints:number_sentences", {"num_sentences": 3, "relation": "less than"}, "A. B", "A. B! C?"),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n***\nb\n***\nc"),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"}, "a\n\n**Then** b", "a\n\nb then"),
    ("keywords:existence", {"keywords": ["sun", "moon"]}, "The Moon and the sun.", "The moons and the sun."),
    ("keywords:forbidden_words", {"forbidden_words": ["sun"]}, "a sunny day", "The SUN."),
    ("keywords:existence", {"keywords": ["C++", ".NET"]}, "I like C++ and .NET a lot.", "I like C+ and ASP.NETs."),
    ("keywords:frequency", {"keyword": "rain", "frequency": 2, "relation": "at least"}, "rain, Rain", "rain"),
    ("keywords:letter_frequency", {"letter": "q", "let_frequency": 2, "let_relation": "less than"}, "q", "qQ"),
    ("change_case:english_capital", {}, "ALL BIG 1", "Not big"),
    ("change_case:english_lowercase", {}, "all small 1", "Not small"),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "A NEW day", "A new day"),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', 'Here: {"a": 1}'),
    ("detectable_format:title", {}, "<<My song>>\nla", "<< >>\nla"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n**b**\n* c\n* d"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*one* and **two**", "*one* and ** **"),
    ("detectable_format:multiple_sections", {"section_spliter": "PART", "num_sections": 2}, "PART 1\na\nPART 2\nb", "PART 1\na"),
    ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name] at [place]", "[name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. more", "Bye. psst"),
    ("startend:end_checker", {"end_phrase": "That is all."}, "Well. that is all.", "That is all. Really."),
    ("startend:quotation", {}, '"quoted"', 'he said "quoted"'),
    ("answer:number_only", {}, "-42", "It is 42"),
    ("answer:repeated", {"times": 3}, "42 42 42", "42 42 42 42"),
    ("answer:repeated", {"times": 2}, "42, 42", "42 43"),
    ("answer:json_keys", {"keys": ["sum"]}, '{"sum": 42}', '{"sum": 42, "a": 1}'),
    ("answer:json_keys", {"keys": ["sum"]}, '{"sum": 42}', '{"sum": "42"}'),
    ("answer:json_keys", {"keys": ["sum"]}, '```json\n{"sum": 42}\n```', '```json\n{"sum": 42}'),
    ("combination:two_responses", {}, "one******two", "one******one"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}, "Say it. Yes", "Yes. Say it."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "follows", "breaks"), CASES)
def test_an_instruction_is_followed_or_not(name: str, kwargs: dict[str, Any], follows: str, breaks: str) -> None:
    check = {"instructions": [{"id": name, "kwargs": {**kwargs, "not_of_this_one": None}}]}
    assert rule_instructions(check, "?", follows).verdict == "right"
    assert rule_instructions(check, "?", breaks) == ("wrong", f"does not follow {name}", None)
    assert rule_instructions(check, "?", "").verdict == "wrong"


def test_every_check_is_tried_here() -> None:
    assert {name for name, *_ in CASES} == set(CHECKS)


def test_all_must_be_followed_and_what_is_not_known_is_not_judged() -> None:
    no_comma, odd = {"id": "punctuation:no_comma", "kwargs": {}}, {"id": "language:response_language", "kwargs": {}}
    assert rule_instructions({"instructions": [no_comma, odd]}, "?", "fine").verdict == "unknown"
    assert rule_instructions({"instructions": [odd, no_comma]}, "?", "not, fine").verdict == "wrong"
    assert rule_instructions({"instructions": [{"id": "keywords:existence"}]}, "?", "a").verdict == "unknown"
    assert rule_instructions(None, "?", "a").verdict == "unknown"


@pytest.mark.parametrize("begin", ["", "<<", "**", "* ", "[", "PART 1", '"', "a***"])
@pytest.mark.parametrize("piece", ["*", "**", "* a", "[", "<<", '"', ".", "a\n", "PART ", " ", "'", "a", ".'"])
def test_no_answer_takes_long_to_check(begin: str, piece: str) -> None:
    text, took = begin + piece * (50_000 // len(piece)) + "x", {}
    for name, kwargs, *_ in CASES:
        began = time.process_time()
        rule_instructions({"instructions": [{"id": name, "kwargs": kwargs}]}, "?", text)
        took[name] = time.process_time() - began
    assert max(took.values()) < 5, max(took, key=lambda name: took[name])


def test_where_a_number_is_asked_for_the_form_alone_is_not_enough() -> None:
    check = {"instructions": [{"id": "change_case:english_capital", "kwargs": {}}], "gold": "42"}
    assert rule_instructions(check, "?", "7 AND 35: THE ANSWER IS 42.").verdict == "right"
    assert rule_instructions(check, "?", "THE ANSWER IS 41.") == ("wrong", "another number", None)
    assert rule_instructions(check, "?", "THE ANSWER IS NEAR.").verdict == "wrong"
    assert rule_instructions(check, "?", "The answer is 42.").verdict == "wrong"
