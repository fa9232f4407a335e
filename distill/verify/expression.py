"""Whether an expression makes its target from the numbers given, each used once: the game Countdown."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from .ruling import Ruling, right, unknown, wrong
from .text import final_answer

MAX_EXPRESSION = 200
OPERATORS = "+-*/"
_OPERATIONS: dict[type[ast.operator], tuple[str, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b),
}
_SIGNS = (("\\left", ""), ("\\right", ""), ("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("×", "*"), ("·", "*"),
          ("÷", "/"), ("−", "-"), ("\\(", ""), ("\\)", ""), ("$", ""), ("[", "("), ("]", ")"), ("\\,", " "),
          ("\\:", " "), ("\\;", " "), ("\\!", ""), ("\\ ", " "))  # fmt: skip
_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_MAX_WRITTEN = 5 * MAX_EXPRESSION  # TeX needs more signs for the same


def rule_expression(check: dict[str, Any] | None, text: str) -> Ruling:
    """Right where the last \\boxed{} (without one: what is announced as the answer, or the last line) is an expression
    of all of `check["numbers"]`, each as often as it is there, that equals `check["target"]`. `= target` may follow.

    `check["operators"]` are those allowed; any of + - * / where it is not given.
    """
    try:
        numbers, target = sorted(map(int, (check or {})["numbers"])), Fraction((check or {})["target"])
        allowed = str((check or {}).get("operators") or OPERATORS)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return unknown("the numbers or the target are missing")
    answer = final_answer(text)
    if answer is None:
        return wrong("no answer")
    written = plain(answer)
    if written is None:
        return wrong("no expression", answer)
    expression, equals, said = written.partition("=")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        if equals and Fraction(said.strip()) != target:
            return wrong("says another value", answer)
        value = _value(tree, allowed)
    except (SyntaxError, ValueError, ZeroDivisionError, MemoryError, RecursionError) as error:
        return wrong(str(error) if isinstance(error, _NotAllowed) else "no expression", answer)
    if sorted(_numbers(tree)) != numbers:
        return wrong("does not use each number once", answer)
    return right("makes the target", answer) if value == target else wrong("makes another number", answer)


def plain(answer: str) -> str | None:
    """An expression in digits, + - * / and brackets, however it was set; None where it is none."""
    if len(answer) > _MAX_WRITTEN:
        return None
    for sign, instead in _SIGNS:
        answer = answer.replace(sign, instead)
    answer = _TEXT.sub(r"\1", answer)
    while _FRACTION.search(answer):  # the innermost first
        answer = _FRACTION.sub(r"((\1)/(\2))", answer)
    answer = answer.translate({ord("{"): "(", ord("}"): ")"}).strip(" .")
    answer = _THOUSANDS.sub("", answer)
    found = len(answer) <= MAX_EXPRESSION and re.fullmatch(r"[\d+\-*/() ]+(?:= *-?\d+(?:\.0+)?)?", answer, re.ASCII)
    return answer if found else None


class _NotAllowed(ValueError):
    """The expression holds what the game does not allow."""


def _value(tree: ast.expr, allowed: str) -> Fraction:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int):
        return Fraction(tree.value)
    if not isinstance(tree, ast.BinOp) or type(tree.op) not in _OPERATIONS:
        raise _NotAllowed("more than + - * / of numbers")
    sign, operation = _OPERATIONS[type(tree.op)]
    if sign not in allowed:
        raise _NotAllowed(f"{sign} is not allowed")
    return operation(_value(tree.left, allowed), _value(tree.right, allowed))


def _numbers(tree: ast.expr) -> Iterator[int]:
    return (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, int))
