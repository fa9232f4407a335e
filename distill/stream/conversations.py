"""Conversations in R1's format, with thoughts: example i is always the same text, so a resumed run goes on where it
stopped. Everything that reads like a held-out problem or a riddle is left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from ...serve.models.templates import ASSISTANT, BOS, EOS, USER
from ...serve.reasoning import CLOSE_TAG, OPEN_TAG
from ..problems import Problem, generate, repeats_riddle
from ..problems.held_out import is_held_out

# How often a family is drawn. The ones with long chains of digits, and spelling, need most practice.
WEIGHTS = {
    "sums": 1.2, "differences": 1.6, "products": 1.9, "quotients": 1.0, "percent": 1.1, "unit_price": 0.9,
    "all_but": 0.4, "average_speed": 0.6, "letter_count": 1.6, "decimals": 1.1, "stories": 1.3, "rates": 0.7,
    "countdown": 1.2, "change": 0.6, "remainder": 0.6, "comparison": 0.7, "ages": 0.6, "missing": 0.8,
    "totals": 0.5, "sequence": 0.6, "time": 0.8, "format": 0.7, "code": 0.9, "outside": 1.6,
}  # fmt: skip
# The same for a student that has been through the above: what it does worst comes most.
DRILL_WEIGHTS = {
    "sums": 0.8, "differences": 0.5, "products": 0.5, "quotients": 1.0, "percent": 0.3, "unit_price": 3.0,
    "all_but": 0.2, "average_speed": 0.3, "letter_count": 2.5, "decimals": 1.0, "stories": 3.0, "rates": 0.3,
    "countdown": 1.0, "change": 0.6, "remainder": 0.6, "comparison": 0.3, "ages": 0.8, "missing": 0.8,
    "totals": 0.6, "sequence": 3.0, "time": 5.0, "format": 3.0, "code": 1.0, "outside": 4.0,
}  # fmt: skip
DRILL_BEGIN = 1_000_000  # the first example of it: others than those of a cold start
HISTORY_SHARE = 0.08  # of the examples come after one or two earlier turns
BOXED_SHARE = 0.06  # carry the instruction that R1's README advises for math
SLOPPY_SHARE = 0.15  # are typed in lower case, without marks, or with a slip of the finger
SEEDS = 10**9  # those of the held-out problems begin there
SPELT = ("letter_count", "format", "code")  # families in which every letter of the prompt may matter
SYSTEM_SHARE = 0.03
SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "Be brief.",
    "You are a math tutor. Answer clearly.",
)
BOXED_INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."


def problem_at(index: int, turn: int = 0, weights: Mapping[str, float] = WEIGHTS) -> Problem:
    """Training problem number `index`; another seed is taken where it would repeat a held-out one."""
    rng = random.Random(f"family/{index}/{turn}")
    family = rng.choices(list(weights), list(weights.values()))[0]
    for attempt in range(100):
        problem = generate(family, ((index * 4 + turn) * 100 + attempt) % SEEDS)
        if not is_held_out(problem) and not repeats_riddle(problem.prompt):
            return problem
    raise RuntimeError(f"family {family} has nothing left that is not held out")


def conversation_at(index: int, weights: Mapping[str, float] = WEIGHTS) -> tuple[str, str]:
    """(prompt text up to and with the opening think tag, completion text with the end token)."""
    rng = random.Random(f"conversation/{index}")
    turns = rng.choice((1, 1, 2)) if rng.random() < HISTORY_SHARE else 0
    earlier = [problem_at(index, turn, weights) for turn in range(1, turns + 1)]
    history = "".join(f"{USER}{p.prompt}{ASSISTANT}{p.answer}{EOS}" for p in earlier)
    problem = problem_at(index, 0, weights)
    asked = _sloppy(rng, problem) if rng.random() < SLOPPY_SHARE else problem.prompt
    if problem.verifier in ("math", "expression") and rng.random() < BOXED_SHARE:
        asked = f"{asked} {BOXED_INSTRUCTION}" if rng.random() < 0.7 else f"{asked}\n{BOXED_INSTRUCTION}"
    system = rng.choice(SYSTEM_TEXTS) if rng.random() < SYSTEM_SHARE else ""
    prompt = f"{BOS}{system}{history}{USER}{asked}{ASSISTANT}{OPEN_TAG}\n"
    return prompt, f"{problem.reasoning}\n{CLOSE_TAG}\n\n{problem.answer}{EOS}"


def _sloppy(rng: random.Random, problem: Problem) -> str:
    prompt = problem.prompt.rstrip("?.") if rng.random() < 0.6 else problem.prompt
    if problem.family in SPELT:
        return prompt
    typed = prompt.lower() if rng.random() < 0.6 else prompt
    typed = re.sub(r"'|,(?= )", "", typed) if rng.random() < 0.3 else typed
    return _mistyped(rng, typed) if rng.random() < 0.2 else typed


def _mistyped(rng: random.Random, text: str) -> str:
    """Two letters within a longer word change places."""
    words = list(re.finditer(r"[a-z]{5,}", text))
    if not words:
        return text
    at = rng.randrange((word := rng.choice(words)).start() + 1, word.end() - 2)
    return f"{text[:at]}{text[at + 1]}{text[at]}{text[at + 2 :]}"


def drill_at(index: int) -> tuple[str, str]:
    """As conversation_at, with the weights of a drill."""
    return conversation_at(DRILL_BEGIN + index, DRILL_WEIGHTS)


def text_at(index: int) -> str:
    """Plain text of an example, for learning the vocabulary."""
    problem = problem_at(index)
    return f"{problem.prompt}\n{problem.reasoning}\n\n{problem.answer}"
