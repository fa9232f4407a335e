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
    "sums": 1.1, "differences": 1.5, "products": 1.6, "quotients": 1.0, "percent": 0.8, "unit_price": 1.5,
    "all_but": 0.3, "average_speed": 0.5, "letter_count": 1.7, "decimals": 1.1, "stories": 1.7, "rates": 0.9,
    "countdown": 1.0, "change": 0.6, "remainder": 0.6, "comparison": 0.5, "ages": 0.7, "missing": 0.8,
    "totals": 0.7, "sequence": 1.1, "time": 1.5, "format": 1.1, "code": 0.9, "outside": 2.4,
}  # fmt: skip
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


def text_at(index: int) -> str:
    """Plain text of an example, for learning the vocabulary."""
    problem = problem_at(index)
    return f"{problem.prompt}\n{problem.reasoning}\n\n{problem.answer}"
