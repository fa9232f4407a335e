"""Where a thought first states the answer that its reply then gives, and which budget that suggests.

Only plain numbers and \\boxed{} answers are looked for; where it is not sure, it says None. Linear, and no mathematics
beyond comparing fractions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from ..answers.extraction import boxed, comparable, plain_number

# A budget lets the sentence that states the answer end, and something go wrong.
_MARGIN = 1.2
_LEAST_MARGIN = 50
_ROUND_TO = 50
# Above this the thought stopped about when it had its answer: nothing to suggest.
_WORTH_SAYING = 0.85
_MAX_ANSWER = 200
_NUMBER = re.compile(
    r"(?<![\w.,])[-−]?(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{1,40})?(?![\d\w]|[.,]\d)(?:\s?/\s?\d{1,9}(?![\d.]))?"
    r"|-?\\[dt]?frac\{\d{1,40}\}\{\d{1,40}\}"
)
_STATED = re.compile(
    r"answer\s*(?:is|:|=|should be|would be|must be)?[\s*:$\\(\[]*(?P<value>-?[\d][\d,./]*)", re.IGNORECASE
)
_BOLD = re.compile(r"\*\*[^*\n]{0,80}\*\*")
# What is before and after a number that is the outcome of something, not one of its terms.
_RESULT = re.compile(
    r"(?:=|≡|≈|→|⇒|=>|:|\\equiv|\\boxed\{"
    r"|\b(?:is|are|be|get|gets|gives|have|has|equals|answer|total|sum|result))"
    r"(?:\s|\\?\$|\*\*|\\[()\[\]]|\\boxed\{|exactly|indeed|simply|just|also|then|therefore"
    r"|equal to|about|of|is|to){0,6}$",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:answer|boxed|final)\b", re.IGNORECASE)
_TERM = re.compile(r"\s*(?:[+*/^×·÷<>≤≥=]|-\s*\d|\\(?:times|cdot|div|frac|pmod|mod|le|ge)|mod\b|\(mod)")


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """At character `char` of the thought, after `share` of it (0 to 1); `tokens` of it by then, None if unknown."""

    char: int
    share: float
    tokens: int | None


def first_answer(thought: str, content: str, question: str = "", reasoning_tokens: int = 0) -> FirstAnswer | None:
    """The earliest place where the answer of `content` is stated as an outcome; None where that is not certain.

    A number that the question itself gives counts only beside a word such as "answer".
    """
    value = final_value(content)
    if value is None:
        return None
    given = any(number == value for number, _, _ in _numbers(question))
    # small numbers are everywhere: of steps, of things, of cases
    strict = given or (value.denominator == 1 and abs(value) < 10)
    for number, start, end in _numbers(thought):
        if number == value and _is_stated(thought, start, end, strict):
            share = end / len(thought)
            return FirstAnswer(start, share, math.ceil(share * reasoning_tokens) if reasoning_tokens else None)
    return None


def suggested_budget(first: FirstAnswer | None, reasoning_tokens: int) -> int | None:
    """Tokens of thought that would have done, rounded up; None where that saves little or is not known."""
    if first is None or first.tokens is None:
        return None
    enough = max(first.tokens * _MARGIN, first.tokens + _LEAST_MARGIN)
    budget = math.ceil(enough / _ROUND_TO) * _ROUND_TO
    return budget if budget < _WORTH_SAYING * reasoning_tokens else None


def final_value(content: str) -> Fraction | None:
    """The number that a reply gives as its answer; None where it gives none, or it is not plain which."""
    answer = boxed(content)
    if answer is not None:
        return _value(answer)
    stated = [match for match in _STATED.finditer(content) if not _TERM.match(content, match.end())]
    if stated:
        return _value(stated[-1]["value"].rstrip(".,"))
    bold = {number for match in _BOLD.finditer(content) for number, _, _ in _numbers(match[0])}
    if len(bold) == 1:
        return bold.pop()
    numbers = {number for number, _, _ in _numbers(content)}
    return numbers.pop() if len(numbers) == 1 else None


def _value(answer: str) -> Fraction | None:
    if len(answer) > _MAX_ANSWER:
        return None
    value = comparable(answer, "boxed")
    return value if isinstance(value, Fraction) else None


def _numbers(text: str) -> Iterator[tuple[Fraction, int, int]]:
    for match in _NUMBER.finditer(text):
        plain = match[0].replace("−", "-").replace(" ", "").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
        try:
            value = plain_number(plain)
        except ZeroDivisionError:
            continue
        if value is not None:
            yield value, match.start(), match.end()


def _is_stated(text: str, start: int, end: int, strict: bool) -> bool:
    if _TERM.match(text, end, end + 12):
        return False
    before = text[max(0, start - 60) : start]
    line = before.rpartition("\n")[2]
    if strict and not _CONCLUDES.search(line):
        return False
    return bool(_RESULT.search(before))
