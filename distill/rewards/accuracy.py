"""Whether the answer is right, by the problem's rule. Stricter than the judge where a learner would find a way round
the question: what is not worked out, as \\boxed{3 + 5} for a sum, is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from ...serve.answers.extraction import boxed, comparable
from ..errors import DistillError
from ..rows import ProblemRow
from ..verify.judge import Judge
from ..verify.mathematics import MAX_ANSWER, MAX_BOXES
from ..verify.ruling import Ruling, after_thought, right, unknown, wrong
from .said import Said

_WORTH: dict[str, float | None] = {"right": 1.0, "wrong": 0.0, "unknown": None}
_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+")
# a whole number whose thousands stand apart, all by the same sign; digits apart in any other way are several numbers
_THOUSANDS = re.compile(
    r"(?<![\d.])(?<!\d[ ,~])(?<!\d\\[,;: !])"
    r"[1-9]\d{0,2}(\{,\}|,?\\!|\\[,;: ]|[ ~])\d{3}(?:\1\d{3})*"
    r"(?!\d)(?!(?:\{,\}|,?\\!|\\[,;: ]|[ ,~])\s*\d)"
)
_BOLD = re.compile(r"\\(?:boldsymbol|bm|bold)\{([^{}]*)\}")
# what may stand beside a number without making it another: a unit, a name before =
_POWER = r"(?:\s*\^\s*(?:\d|\{\d\}))?"
_SET = rf"\\(?:text|textbf|mathrm|mathbf)\{{(?:[^{{}}\d]|\^\d)*\}}{_POWER}"
_BARE = rf"(?:[^\W\d_]{{2,}}|[mshgLNJWV]){_POWER}(?!\w)"  # of one letter only those that are units: 7 x/y is no 7
_UNIT = re.compile(
    rf"{_SET}(?:\s*/\s*{_SET})?|(?<![\\^])(?<![^\W\d_]){_BARE}\s*/\s*{_BARE}"
    r"|(?<![\\^])(?<![^\W\d_])(?:[cdkm]?m|ft|in|yd|mi|units?)\s*\^\s*(?:[23](?!\w)|\{[23]\})"
    r"|\^\s*\{?\\circ\}?|\\circ|\{,\}"
)
_NAME = re.compile(r"\A\s*\\?[A-Za-z]+\s*=")
_WORDS = re.compile(r"(?<![\\\w])[^\W\d_]+(?!\w)|(?<=\d)\s*[^\W\d_]+(?!\w)|[°€£¥]")
# what makes it another, be it dressed as a unit: words, and one letter behind it that is none
_CHANGES = re.compile(
    r"(?i:\b(?:minus|negative|not\b|half|halves|dozen|hundred|thousand|million|billion))|[百万亿]"
    r"|\d(?![ACFJKLNVWdghlmst])[A-Za-z]\b"
)
_SHORT_FRACTION = re.compile(r"\\[dt]?frac(\d)(\d)")


class Accuracy:
    """1 for right, 0 for wrong, None for what no rule decides (arXiv:2501.12948, section 2.2.2).

    Raises DistillError where programs cannot be run, for then nothing would ever be learnt of them.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def __call__(self, said: Sequence[Said]) -> list[float | None]:
        return [_WORTH[ruling.verdict] for ruling in self.rulings(said)]

    def rulings(self, said: Sequence[Said]) -> list[Ruling]:
        """The verdict on each, with its reason. Answers of a group that are the same are judged once."""
        found = [_plain_ruling(one) for one in said]
        open_ones = {
            (one.problem.id, one.answer): one.problem for one, ruling in zip(said, found, strict=True) if ruling is None
        }
        asked = ((problem, answer) for (_, answer), problem in open_ones.items())
        judged = dict(zip(open_ones, self._judge.verdicts(asked), strict=True)) if open_ones else {}
        return [
            _that_counts(one.problem, ruling or judged[one.problem.id, one.answer])
            for one, ruling in zip(said, found, strict=True)
        ]


def _plain_ruling(said: Said) -> Ruling | None:
    """What needs no judge: an answer that never came, and numbers."""
    problem = said.problem
    if not said.has_rule:
        return unknown("no rule judges it")
    if said.cut:
        return wrong("cut off")
    if not said.closed:
        return wrong("the thought does not end")
    if problem.verifier != "math":
        return None
    assert problem.gold is not None, "else no rule judges it"
    text = after_thought(said.answer)
    if "\\boxed{" not in text:
        return wrong("no \\boxed{}")
    answer = boxed(text) if text.count("\\boxed{") <= MAX_BOXES else None
    if answer is None or len(answer) > MAX_ANSWER:
        return wrong("no complete \\boxed{}")
    value = comparable(problem.gold, "boxed")
    return _same_number(problem.gold, value, answer) if isinstance(value, Fraction) else None


def _same_number(gold: str, value: Fraction, answer: str) -> Ruling:
    """Numbers are compared here and never worked out: the box holds one, as the gold does, with no more than a unit."""
    text = _BOLD.sub(r"\1", _whole_numbers(answer.replace("−", "-"))).replace("~", " ")
    text = _NAME.sub("", _UNIT.sub("", text))
    if any(sign.isnumeric() and not sign.isascii() for sign in text):
        return wrong("digits of another script", answer)
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", _WORDS.sub(" ", text))
    same, said = comparable(text, "boxed") == value, _NUMBER.findall(text)
    if len(said) > len(_NUMBER.findall(_whole_numbers(gold))) and not (same and _is_in_lowest_terms(said, value)):
        return wrong("not worked out", answer)
    return right("equal", answer) if same and not _CHANGES.search(answer) else wrong("another number", answer)


def _whole_numbers(text: str) -> str:
    """With thousands side by side, however TeX sets them apart."""
    return _THOUSANDS.sub(lambda found: found[0].replace(found[1], ""), text)


def _is_in_lowest_terms(said: list[str], value: Fraction) -> bool:
    """Of the numbers of a fraction that is worth `value`: it is worked out, also with a whole number before it."""
    *whole, numerator, denominator = (Fraction(number.replace(",", "")) for number in said)
    return value.denominator == denominator != 1 and (not whole or numerator < denominator)


def _that_counts(problem: ProblemRow, ruling: Ruling) -> Ruling:
    if ruling.verdict == "unknown" and problem.verifier == "code" and "sandbox" in ruling.reason:
        raise DistillError(
            f"A problem asks for a program, and {ruling.reason.partition(';')[0]}. Leave such problems out, or where "
            "a sandbox works, run: r1chat distill --sandbox"
        )
    return ruling
