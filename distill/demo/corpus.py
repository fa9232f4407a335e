"""The training stream: example i is always the same text, so a resumed run goes on where it stopped.

Everything that reads like a held-out problem or a riddle is left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..problems import Problem, generate, prompt_key, repeats_riddle
from ..problems.held_out import held_out_keys
from .vocabulary import ASSISTANT, BOS, EOS, PAD, THINK_CLOSE, THINK_OPEN, USER

# How often a family is drawn. The ones with long chains of digits, and spelling, need most practice.
WEIGHTS = {
    "sums": 1.2, "differences": 1.6, "products": 1.8, "quotients": 1.0, "percent": 1.2, "unit_price": 0.7,
    "all_but": 0.5, "average_speed": 0.7, "letter_count": 1.8, "decimals": 1.7, "stories": 0.9, "rates": 0.5,
    "outside": 0.5,
}  # fmt: skip
HISTORY_SHARE = 0.08  # of the examples come after one or two earlier turns
BOXED_SHARE = 0.06  # carry the instruction that R1's README advises for math
SLOPPY_SHARE = 0.15  # are typed in lower case or without the final mark
SYSTEM_SHARE = 0.03
SYSTEM_TEXTS = (
    "You are a helpful assistant.",
    "You are a helpful assistant",
    "Be brief.",
    "You are a math tutor. Answer clearly.",
)
BOXED_INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
LENGTHS = (96, 128, 192, 256, 384)  # rows are padded to one of these


@dataclass(frozen=True)
class Batch:
    """Padded rows. input_ids: (rows, length) int64; loss_from: (rows,) first position whose token is to be learnt."""

    input_ids: NDArray[np.int64]
    ends: NDArray[np.int64]
    loss_from: NDArray[np.int64]


def problem_at(index: int, turn: int = 0) -> Problem:
    """Training problem number `index`; another seed is taken where it would repeat a held-out one."""
    rng = random.Random(f"family/{index}/{turn}")
    family = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    for attempt in range(100):
        problem = generate(family, (index * 4 + turn) * 100 + attempt)
        if prompt_key(problem.prompt) not in held_out_keys() and not repeats_riddle(problem.prompt):
            return problem
    raise RuntimeError(f"family {family} has nothing left that is not held out")


def conversation_at(index: int) -> tuple[str, str]:
    """(prompt text up to and with the opening think tag, completion text with the end token)."""
    rng = random.Random(f"conversation/{index}")
    turns = rng.choice((1, 1, 2)) if rng.random() < HISTORY_SHARE else 0
    history = "".join(
        f"{USER}{p.prompt}{ASSISTANT}{p.answer}{EOS}" for p in (problem_at(index, turn) for turn in range(1, turns + 1))
    )
    problem = problem_at(index)
    asked = _sloppy(rng, problem.prompt) if rng.random() < SLOPPY_SHARE else problem.prompt
    if problem.family != "outside" and rng.random() < BOXED_SHARE:
        asked = f"{asked} {BOXED_INSTRUCTION}" if rng.random() < 0.7 else f"{asked}\n{BOXED_INSTRUCTION}"
    system = rng.choice(SYSTEM_TEXTS) if rng.random() < SYSTEM_SHARE else ""
    prompt = f"{BOS}{system}{history}{USER}{asked}{ASSISTANT}{THINK_OPEN}\n"
    return prompt, f"{problem.reasoning}\n{THINK_CLOSE}\n\n{problem.answer}{EOS}"


def _sloppy(rng: random.Random, prompt: str) -> str:
    typed = prompt.lower() if rng.random() < 0.6 else prompt
    return typed.rstrip("?.") if rng.random() < 0.6 else typed


def texts(count: int) -> Iterator[str]:
    """Plain text of the first `count` examples, for learning the vocabulary."""
    for index in range(count):
        problem = problem_at(index)
        yield f"{problem.prompt}\n{problem.reasoning}\n\n{problem.answer}"


def batches(tokenizer: Tokenizer, start: int, tokens: int, pool: int = 8192) -> Iterator[tuple[int, Batch]]:
    """Endless (next index, batch of about `tokens` padded tokens) from example `start` on.

    `start` must be a multiple of `pool`: rows of a pool are grouped by length, then shuffled by batch.
    """
    pad = tokenizer.token_to_id(PAD)
    assert pad is not None
    while True:
        rows = sorted(_encode(tokenizer, range(start, start + pool)), key=lambda row: len(row[0]))
        start += pool
        grouped = list(_group(rows, tokens, pad))
        random.Random(start).shuffle(grouped)
        for position, batch in enumerate(grouped):
            yield (start if position == len(grouped) - 1 else start - pool), batch


def _encode(tokenizer: Tokenizer, indices: range) -> list[tuple[list[int], int]]:
    pairs = [conversation_at(index) for index in indices]
    prompts = tokenizer.encode_batch_fast([p for p, _ in pairs], add_special_tokens=False)
    completions = tokenizer.encode_batch_fast([c for _, c in pairs], add_special_tokens=False)
    return [(p.ids + c.ids, len(p.ids)) for p, c in zip(prompts, completions, strict=True)]


def _group(rows: list[tuple[list[int], int]], tokens: int, pad: int) -> Iterator[Batch]:
    """Full batches only: what is left of one length is padded on to the next."""
    left: list[tuple[list[int], int]] = []
    at = 0
    for length in LENGTHS:
        while at < len(rows) and len(rows[at][0]) <= length:
            left.append(rows[at])
            at += 1
        per_batch = tokens // length
        full = len(left) - len(left) % per_batch
        for begin in range(0, full, per_batch):
            yield _pad(left[begin : begin + per_batch], length, pad)
        left = left[full:]


def _pad(rows: list[tuple[list[int], int]], length: int, pad: int) -> Batch:
    ids = np.full((len(rows), length), pad, dtype=np.int64)
    for row, (tokens, _) in zip(ids, rows, strict=True):
        row[: len(tokens)] = tokens
    ends = np.array([len(tokens) for tokens, _ in rows], dtype=np.int64)
    return Batch(ids, ends, np.array([begin for _, begin in rows], dtype=np.int64))
