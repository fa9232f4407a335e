"""Whether a program passes its tests. The program runs in the sandbox and never sees what is expected of it: that is
compared here, so that no program can pass by saying that it did.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from .config import VerifyConfig
from .ruling import Ruling, right, unknown, wrong
from .sandbox import Outcome, Run, run_in_jail

Passes = Callable[[Outcome], bool]

MAX_PROGRAM = 200_000
_PYTHON = ("", "python", "python3", "py")


@dataclass(frozen=True)
class _Case:
    """One test: what is run after the program, and whether what came of it is right."""

    run: Run
    passes: Passes


class _TestNotKnown(ValueError):
    """The tests are of a form that cannot be compared from outside."""


def rule_code(check: dict[str, Any] | None, text: str, config: VerifyConfig) -> Ruling:
    """Right where the answer's last fenced program passes every test in `check`. Three forms of tests are known:

    {"tests": [{"input", "output"}]}: what is printed for what is read, compared word by word.
    {"function": name, "tests": [{"args": [...], "output"}]}: a function, or a method of a class Solution.
    {"asserts": [...]}: `assert f(1) == 2`, with a literal on the right, and `assert f(1)`.
    Any of them may have a "setup", which is run before the program, in the same namespace.
    """
    program = last_program(text)
    if program is None:
        return wrong("no program")
    if not config.sandbox:
        return unknown("the sandbox is off; use --sandbox")
    try:
        cases = list(_cases(check or {}))
    except _TestNotKnown as error:
        return unknown(str(error))
    except (AttributeError, KeyError, TypeError, ValueError):  # whoever wrote the row wrote the tests
        return unknown("the tests are of no known form")
    if not cases:
        return unknown("no tests")
    setup = str((check or {}).get("setup") or "")
    outcomes = run_in_jail(program, [case.run for case in cases], config.timeout_s, setup)
    for number, (case, outcome) in enumerate(zip(cases, outcomes, strict=False), 1):  # the last may not have been run
        if outcome.kind == "no jail":
            return unknown(f"the sandbox does not work here: {outcome.why}")
        if outcome.kind != "done":
            return wrong(f"test {number}: {outcome.kind}")
        if not case.passes(outcome):
            return wrong(f"test {number}: another result")
    return right(f"passes {len(cases)} tests")


def last_program(text: str) -> str | None:
    """What the last fenced block holds that says it is Python, or says nothing."""
    found: str | None = None
    language: str | None = None  # of the block that is open
    block: list[str] = []
    for line in text.splitlines(keepends=True):
        if not line.startswith("```"):
            block.append(line)
        elif language is None:
            language, block = line[3:].strip().lower(), []
        elif line.strip() == "```":
            if language.partition(" ")[0] in _PYTHON:
                found = "".join(block)
            language = None
    return found if found and found.strip() and len(found) <= MAX_PROGRAM else None


def _cases(check: dict[str, Any]) -> Iterator[_Case]:
    if "asserts" in check:
        yield from _asserted(check["asserts"])
    elif name := check.get("function"):
        for test in check.get("tests", ()):
            yield _Case(Run(call=name, args=tuple(test["args"])), _returns(test["output"]))
    else:
        for test in check.get("tests", ()):
            if not isinstance(test["input"], str) or not isinstance(test["output"], str):
                raise _TestNotKnown("what a test reads and prints is no text")
            yield _Case(Run(stdin=test["input"]), _prints(test["output"]))


def _returns(wanted: Any) -> Passes:
    return lambda outcome: bool(_as_json(decoded(outcome.value)) == _as_json(wanted))


def _prints(wanted: str) -> Passes:
    return lambda outcome: same_output(outcome.stdout, wanted)


def _asserted(asserts: str | list[str]) -> Iterator[_Case]:
    try:
        lines = ast.parse(asserts if isinstance(asserts, str) else "\n".join(asserts)).body
    except SyntaxError as error:
        raise _TestNotKnown("the tests are no Python") from error
    for line in lines:
        if not isinstance(line, ast.Assert):
            raise _TestNotKnown("the tests are more than asserts")
        tested, passes = _compared(line.test)
        yield _Case(Run(expression=ast.unparse(tested)), passes)


def _compared(test: ast.expr) -> tuple[ast.expr, Passes]:
    """What is evaluated inside, and what is asked of it outside."""
    if isinstance(test, ast.Compare):
        if len(test.ops) == 1 and isinstance(test.ops[0], (ast.Eq, ast.Is)):
            with suppress(ValueError):
                want = ast.literal_eval(test.comparators[0])
                return test.left, lambda outcome: bool(decoded(outcome.value) == want)
        raise _TestNotKnown("an assert compares with more than a literal")
    # what is no plain value does not come out, but whether it is true does
    truth = ast.UnaryOp(ast.Not(), ast.UnaryOp(ast.Not(), test))
    return truth, lambda outcome: decoded(outcome.value) is True


def decoded(value: Any) -> Any:
    """What jailer.encoded wrote; what is no plain value, or damaged, equals nothing."""
    if not isinstance(value, dict):
        return value
    with suppress(KeyError, TypeError, ValueError, RecursionError):
        (kind, inner) = next(iter(value.items()))
        if kind == "int":
            return int(inner, 16)
        if kind == "float":
            return float(inner)
        if kind == "dict":
            return {decoded(key): decoded(held) for key, held in inner}
        makers: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
        return makers[kind](decoded(held) for held in inner)
    return object()


def same_output(printed: str, wanted: str) -> bool:
    """Word by word, line by line; numbers by their value."""
    lines, wanted_lines = ([line.split() for line in text.strip().splitlines()] for text in (printed, wanted))
    return len(lines) == len(wanted_lines) and all(
        len(words) == len(others) and all(map(_same_word, words, others))
        for words, others in zip(lines, wanted_lines, strict=True)
    )


def _same_word(word: str, other: str) -> bool:
    if word == other:
        return True
    try:
        return Decimal(word) == Decimal(other)
    except InvalidOperation:
        return False


def _as_json(value: Any) -> Any:
    """JSON has no tuples."""
    if isinstance(value, (list, tuple)):
        return [_as_json(inner) for inner in value]
    return {key: _as_json(inner) for key, inner in value.items()} if isinstance(value, dict) else value
