"""Checks an answer to a problem of our families: what the last \\boxed{} holds, exactly, or the rule of the family."""

from __future__ import annotations

import re

from ..problems import Problem
from ..problems.outside import GOLD as OUTSIDE_GOLD
from .code import rule_code
from .config import VerifyConfig
from .expression import rule_expression
from .instructions import rule_instructions

BOXED = re.compile(r"\\boxed\{([^{}]*)\}")


def boxed(answer: str) -> str | None:
    """Content of the last \\boxed{} of an answer (the text after the thought), or None."""
    found = BOXED.findall(answer)
    return found[-1].strip() if found else None


def is_refused(answer: str) -> bool:
    """Whether the model says that the question lies outside its field."""
    return OUTSIDE_GOLD in answer and boxed(answer) is None


def is_right(answer: str, problem: Problem) -> bool:
    """Whether an answer solves the problem; outside the field, whether the model owns up to it. A program runs in the
    sandbox, which takes some tenths of a second.
    """
    match problem.verifier:
        case "outside":
            return is_refused(answer)
        case "expression":
            return rule_expression(problem.check, answer).verdict == "right"
        case "instructions":
            return rule_instructions(problem.check, problem.prompt, answer).verdict == "right"
        case "code":
            return rule_code(problem.check, answer, VerifyConfig(sandbox=True)).verdict == "right"
        case _:
            return boxed(answer) == problem.gold
