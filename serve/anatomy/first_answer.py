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
# The only number of a short reply is its answer; that of a long one may be anything.
_SHORT = 150
_NUMBER = re.compile(
    r"(?<![\w.,])[-−]?(?:\d{1,3}(?:,\d{3})+|\d{1,40})(?:\.\d{1,40})?(?![\d\w]|[.,]\d)(?:\s?/\s?\d{1,9}(?![\d.]))?"
    r"|-?\\[dt]?frac\{\d{1,40}\}\{\d{1,40}\}"
)
# A minus before a number is the number's.
_GAP = r"(?:[^\w−-]|-(?!\d)){0,12}"
_STATED = re.compile(
    rf"answer{_GAP}(?:(?:is|would be|should be|must be)\b{_GAP})?(?P<value>[-−]?\d[\d,./]*)(?P<rest>[^.\n]{{0,60}})",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"=|\bequals\b|\bgives\b")
# a number and its unit, and nothing else
_BOLD = re.compile(r"\*\*[\s\\($]{0,4}-?\d[^*\n]{0,30}\*\*")
_LAST = 300
# What is before and after a number that is the outcome of something, not one of its terms.
_RESULT = re.compile(
    r"(?:=|≡|≈|→|⇒|=>|:|\\equiv|\\boxed\{"
    r"|\b(?:is|are|be|was|were|get|gets|gives|have|has|equals|answer|total|sum|result)"
    r"|\b(?:it|that)['’]s|\bremainder of)"
    r"(?:\s|[\"“]|\\?\$|\*\*|\\[()\[\]]|\\boxed\{|exactly|indeed|simply|just|also|then|therefore"
    r"|equal to|about|of|is|to){0,6}$",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:answer|boxed)\b", re.IGNORECASE)
_TERM = re.compile(r"\s*(?:[+*/^×·÷<>≤≥=]|-\s*\d|\\(?:times|cdot|div|frac|pmod|mod|le|ge)|mod\b|\(mod)")


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """At character `char` of the thought, after `share` of it (0 to 1); `tokens` of it by then, None if unknown."""

    char: int
    share: float
    tokens: int | None


def first_answer(thought: str, content: str, question: str = "", reasoning_tokens: int = 0) -> FirstAnswer | None:
    """The earliest place where the answer of `content` is stated as an outcome; None where that is not certain.

    A number that the question itself gives counts only beside a word such as "answer"; one below 10 also as what the
    question's numbers make.
    """
    value = final_value(content)
    if value is None:
        return None
    asked = frozenset(number for number, _, _ in _numbers(question))
    # small numbers are everywhere: of steps, of things, of cases
    strict = value in asked or (value.denominator == 1 and abs(value) < 10)
    makes = frozenset[Fraction]() if value in asked else asked
    for number, start, end in _numbers(thought):
        if number == value and _is_stated(thought, start, end, makes, strict):
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
    stated = list(_STATED.finditer(content))
    if stated:
        return _outcome(stated[-1])
    end = content if len(content) < _LAST else content[-_LAST:]
    bold = {number for match in _BOLD.finditer(end) for number, _, _ in _numbers(match[0])}
    if len(bold) == 1:
        return bold.pop()
    numbers = {number for number, _, _ in _numbers(content)} if len(content) < _SHORT else set()
    return numbers.pop() if len(numbers) == 1 else None


def _outcome(stated: re.Match[str]) -> Fraction | None:
    """Of "answer: 2" and "answer: 1 + 1 = 2"; None of "answer: 1 + 1"."""
    rest = stated["rest"].removeprefix("**")  # the end of bold, no power
    if _EQUALS.search(rest):
        *_, (value, _, _) = [(Fraction(), 0, 0), *_numbers(rest)]
        return value
    if _TERM.match(rest):
        return None
    return _value(stated["value"].rstrip(".,").replace("−", "-"))


def _value(answer: str) -> Fraction | None:
    if len(answer) > _MAX_ANSWER:
        return None
    value = comparable(answer, "boxed")
    return value if isinstance(value, Fraction) else None


def _numbers(text: str) -> Iterator[tuple[Fraction, int, int]]:
    for match in _NUMBER.finditer(text):
        plain = match[0].replace("−", "-").replace(" ", "").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
        value = plain_number(plain)
        if value is not None:
            yield value, match.start(), match.end()


def _is_stated(text: str, start: int, end: int, makes: frozenset[Fraction], strict: bool) -> bool:
    if _TERM.match(text, end, end + 12):
        return False
    before = text[max(0, start - 60) : start]
    return _RESULT.search(before) is not None and (not strict or _is_sure(before, makes))


def _is_sure(before: str, makes: frozenset[Fraction]) -> bool:
    said = re.split(r"[.!?]\s|\n", before)[-1]
    terms = {number for number, _, _ in _numbers(said)}
    return _CONCLUDES.search(said) is not None or (bool(terms) and terms <= makes)
