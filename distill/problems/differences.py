"""Subtracting whole numbers, now and then two of them; the result may be negative. `larger` has 6 digits, training
up to 5 (rarely); `one_more` takes three numbers away.
"""

from __future__ import annotations

import random

from .asking import asked
from .problem import Problem, Split, Wordings, pick_digits
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        *asked("{0}[ - |-| - ]{1}", "{0} minus {1}", "{0} take away {1}", "{0} reduced by {1}", "{0} [minus|less] {1}"),
        "[What is|Tell me|Give me|Find|Compute|Do you know] the difference [between|of] {0} and {1}[?|.|]",
        "[Subtract|Take|Please subtract|Can you subtract|Let's subtract] {1} from {0}[.|]",
        "[Take|Please take] {1} away from {0}[.|, please.| and tell me the result.]",
        "[From|Out of] {0} [I|you|we] [take|take away|subtract] {1}. [What is left|How much is left|What remains|How much remains]?",
        "[What is left|What remains|What do I get|What do you get|How much is left|What comes out] [if|when] [I|you|we|someone] [subtract|take] {1} from {0}?",
        "If [you|I|we] [subtract {1} from {0}|take {1} away from {0}], [what remains|what is the result|how much is left|what comes out]?",
        "How much [more|larger|bigger|greater] is {0} than {1}?",
        "By how much is {0} [larger|bigger|more|greater] than {1}?",
        "How much [do I have to|must I|do I need to] add to {1} to [get|reach] {0}?",
        "{0} [goes down by|falls by|shrinks by|drops by] {1}. [What is it now|How much is that|Which number is that|What is left]?",
        "[Start with|Begin with|Take] {0} and [subtract|take away|remove] {1}. [What is left?|What remains?|What do you get?]",
        "[The numbers are|Take the numbers|I have two numbers:] {0} and {1}. What is their difference?",
        "[When|If|After] {1} is [taken|subtracted|taken away] from {0}, [what is left|what remains|how much is left]?",
        "[Make|Please make] {0} [smaller|less] by {1}[.|. What is it now?|. How much is left?]",
        "[What|How much] [remains|is left] [after|when] [taking|subtracting] {1} from {0}?",
    ),
    unseen=(
        "Tell me {0} - {1}.",
        "If you take {1} from {0}, what is left?",
        "Work out {0} minus {1}.",
        "What remains of {0} after we take away {1}?",
        "{0} is made smaller by {1}. What number is left?",
        "Find the difference when {1} is subtracted from {0}.",
    ),
)  # fmt: skip
CHAINS = (
    *asked("{minus}", "{words}"),
    "[Start with|Begin with] {first}[,| and] [subtract|take away] {rest}[.|. What is left?]",
    "[Subtract|Take] {rest} from {first}[.|, please.|]",
    "[What is left|What remains] of {first} [if|when] [I|you|we] take away {rest}?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    if split is Split.ONE_MORE or (split is Split.TRAIN and rng.random() < 0.12):
        return _chain(rng, scratch, 3 if split is Split.ONE_MORE else 2)
    digits = (6,) if split is Split.LARGER else (1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5)
    a, b = pick_digits(rng, digits), pick_digits(rng, digits)
    wording = WORDINGS.pick(rng, split)
    in_signs = any(sign in wording for sign in ("-{1}", "- {1}", "minus {1}"))
    keep_order = in_signs and split is Split.TRAIN and rng.random() < 0.15
    if a < b and not keep_order:
        a, b = b, a
    scratch.say(f"I need to take {b} away from {a}.")
    scratch.paragraph()
    if a >= b:
        result = scratch.subtract(a, b)
    else:
        scratch.say(f"{b} is larger than {a}, so the result is negative.")
        result = -scratch.subtract(b, a)
    return Problem("differences", wording.format(a, b), str(result), scratch.text(), f"{a} - {b} = \\boxed{{{result}}}")


def _chain(rng: random.Random, scratch: Scratch, count: int) -> Problem:
    taken = [rng.randint(2, 99) for _ in range(count)]
    first = sum(taken) + rng.randint(0, 99)
    rest = f"{', '.join(map(str, taken[:-1]))} and {taken[-1]}"
    scratch.say(f"I need to take {rest} away from {first}.")
    left = first
    for number in taken:
        scratch.paragraph()
        left = scratch.subtract(left, number)
    numbers = [str(n) for n in (first, *taken)]
    prompt = Wordings(CHAINS, ()).pick(rng, Split.TRAIN).format(
        minus=rng.choice((" - ", "-")).join(numbers), words=" minus ".join(numbers), first=first, rest=rest
    )  # fmt: skip
    return Problem("differences", prompt, str(left), scratch.text(), f"{' - '.join(numbers)} = \\boxed{{{left}}}")
