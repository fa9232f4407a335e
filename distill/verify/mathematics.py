"""Whether an answer is the gold's mathematics: what is read, what is plain, and what math-verify is asked in its child.

What is refused here is refused by its form, so that the verdict never hangs on how fast a machine is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from ...serve.answers.extraction import boxed, comparable, extract
from ...serve.answers.math_process import MathQuestion
from .ruling import Ruling, right, unknown, wrong

Ask = Callable[[MathQuestion], bool]

MAX_TEXT = 100_000
MAX_ANSWER = 2000
MAX_DEPTH = 64
# more boxes than this are guesses, not an answer
MAX_BOXES = 64
# a sum to a higher power than this is not multiplied out
MAX_POWER = 32
_CODE = re.compile(r"__[A-Za-z]+__")
_COMMAND = re.compile(r"\\(?:left|right|[A-Za-z]+|.)")
_POWER_OF_SUM = re.compile(r"[(\[][^()\[\]]*[A-Za-z][^()\[\]]*[)\]]\s*\^\s*\{?\s*(\d{1,9})")
_FORMULA = re.compile(r"(?<!\\)\$")  # where one begins or ends; \$ is money
_MIN_WORD = 4


def rule_math(gold: str | None, text: str, ask: Ask) -> Ruling:
    """The verdict on `text`, an answer without its thought: the last \\boxed{} of it, or where it has none, what
    math-verify finds in its end. `ask` raises TimeoutError and ChildProcessError.
    """
    if len(text) > MAX_TEXT:
        return wrong(f"longer than {MAX_TEXT} characters")
    if "\\boxed{" in text:
        return _rule_boxed(gold, text, ask)
    if gold is None:
        return unknown("no gold")  # the last number of any text would make a poor consensus
    if is_word(gold):
        return _rule_word(gold, text)
    last = extract(text, "last_number")
    tail = text[-MAX_ANSWER:]
    if refused := refusal(tail):
        return wrong(refused, last)
    return _asked(MathQuestion(wrapped(gold), tail), last, ask)


def _rule_boxed(gold: str | None, text: str, ask: Ask) -> Ruling:
    answer = boxed(text)
    if answer is None:
        return wrong("no complete \\boxed{}")
    if len(answer) > MAX_ANSWER:
        return wrong(f"the answer is longer than {MAX_ANSWER} characters")
    if text.count("\\boxed{") > MAX_BOXES:
        return wrong(f"more than {MAX_BOXES} boxes", answer)
    if gold is None:
        return unknown("no gold", answer)
    return same_mathematics(gold, answer, ask)


def same_mathematics(gold: str, answer: str, ask: Ask, *, either_way: bool = False) -> Ruling:
    """Whether two answers, each what a \\boxed{} held, are the same: plainly, or by math-verify, the gold first, or
    where `either_way` none is a gold, in both orders.
    """
    one, other = comparable(gold, "boxed"), comparable(answer, "boxed")
    if gold.strip() == answer.strip() or (one == other and answer.replace("−", "-").isascii()):
        return right("equal", answer)
    if _are_integers(one, other) and "%" not in gold + answer:
        return wrong("another number", answer)
    if is_word(gold):
        return wrong("another word", answer)
    if refused := refusal(answer) or (refusal(gold) if either_way else None):
        return wrong(refused, answer)
    return _asked(MathQuestion(wrapped(gold), wrapped(answer), either_way=either_way), answer, ask)


def refusal(answer: str) -> str | None:
    """Why math-verify is not shown an answer; None where it is."""
    if _CODE.search(answer):
        return "holds code"
    depth = deepest = 0
    for sign in answer:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return f"nested deeper than {MAX_DEPTH}"
    if any(int(power) > MAX_POWER for power in _POWER_OF_SUM.findall(_COMMAND.sub(" ", answer))):
        return f"a sum to a power over {MAX_POWER} is not compared"
    return None


def is_word(gold: str) -> bool:
    """A word is compared as one: math-verify takes it for a product of its letters, in any order."""
    key = comparable(gold, "boxed")
    return isinstance(key, str) and key.isalpha() and len(key) >= _MIN_WORD


def wrapped(answer: str) -> str:
    """As math-verify looks for it: whole, of several formulas it would take the last."""
    return answer if "\\boxed{" in answer else f"$\\boxed{{{_FORMULA.sub('', answer)}}}$"


def _rule_word(gold: str, text: str) -> Ruling:
    """Without a box a word counts where it ends the answer."""
    words = re.findall(r"\w+", text[-MAX_ANSWER:])
    if not words:
        return wrong("no answer")
    same = comparable(words[-1], "boxed") == comparable(gold, "boxed")
    return (right if same else wrong)("the last word", words[-1])


def _are_integers(one: Fraction | str, other: Fraction | str) -> bool:
    return all(isinstance(key, Fraction) and key.denominator == 1 for key in (one, other))


def _asked(question: MathQuestion, extracted: str | None, ask: Ask) -> Ruling:
    try:
        equal = ask(question)
    except TimeoutError:
        return wrong("timeout", extracted)
    except ChildProcessError:
        return wrong("the comparison ran out of memory", extracted)
    return (right if equal else wrong)("by math-verify", extracted)
