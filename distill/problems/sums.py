"""Adding whole numbers: two, now and then three or four of them. `larger` has 6 digits, training up to 5 (rarely);
`one_more` five addends.
"""

from __future__ import annotations

import random

from .asking import asked
from .problem import Problem, Split, Wordings, pick_digits
from .scratch import Scratch

WORDINGS = Wordings(
    train=(
        *asked("{0}[ + |+| + ]{1}", "{0} plus {1}", "the sum of {0} and {1}", "{0} and {1} [together|added together]"),
        "[Add|Please add|Add up|Can you add|Could you add|Let's add] {0} and {1}[.|?|]",
        "[Add|Please add] {0} to {1}[.|]",
        "[How much|What|What number] [do|does] {0} and {1} [make|give|add up to|come to][ together| in all|]?",
        "[Add|Put] {1} [to|on top of] {0}[.|, please.| and tell me the result.]",
        "[The numbers are|Take the numbers|Here are two numbers:|I have two numbers:] {0} and {1}. [Add them.|What is their sum?|What do they make together?]",
        "[What do I get|What comes out|What do you get|What is the result|Which number do we get] [if|when] [I|you|we|someone] [add|adds] {0} [and|to] {1}?",
        "If [you|I|we] [put {0} and {1} together|add {1} to {0}], [what is the result|what comes out|which number is it]?",
        "{0} [grows by|goes up by|is raised by] {1}. [What is it now|How much is that|Which number is that]?",
        "How much is {0} [more|and] {1}?",
        "[Increase|Please increase] {0} by {1}[.|. How much is it?|]",
        "{0} and {1} are [added|put together|the parts]. What is the [total|sum|result|whole]?",
    ),
    unseen=(
        "Find the sum of {0} and {1}.",
        "Tell me {0} + {1}.",
        "If you add {0} and {1}, what do you get?",
        "Put the numbers {0} and {1} together: how much do they make?",
        "{0} is increased by {1}. What number comes out?",
        "What total do {0} and {1} give?",
    ),
)  # fmt: skip
MANY = (
    *asked("{plus}", "the sum of {commas}", "{commas} [together|added together]"),
    "[Add|Please add|Add up|Can you add|Let's add] {commas}[.|?|]",
    "[Add up|Add] [these numbers|the numbers|these|all of these][:|] {commas}[.|]",
    "What [total|sum] do {commas} [make|have]?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    kind = rng.random()
    if split is Split.ONE_MORE or (split is Split.TRAIN and kind < 0.24):
        count = 5 if split is Split.ONE_MORE else (4 if kind < 0.09 else 3)
        return _many(rng, scratch, [rng.randint(1, 99) for _ in range(count)])
    digits = (6,) if split is Split.LARGER else (1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5)
    a, b = pick_digits(rng, digits), pick_digits(rng, digits)
    scratch.say(f"I need to add {a} and {b}.")
    scratch.paragraph()
    total = scratch.add(a, b)
    prompt = WORDINGS.pick(rng, split).format(a, b)
    return Problem("sums", prompt, str(total), scratch.text(), f"{a} + {b} = \\boxed{{{total}}}")


def _many(rng: random.Random, scratch: Scratch, numbers: list[int]) -> Problem:
    commas = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
    scratch.say(f"I need to add {commas}.")
    total = numbers[0]
    for number in numbers[1:]:
        scratch.paragraph()
        total = scratch.add(total, number)
    wording = Wordings(MANY, ()).pick(rng, Split.TRAIN)
    prompt = wording.format(plus=rng.choice((" + ", "+", " plus ")).join(map(str, numbers)), commas=commas)
    return Problem("sums", prompt, str(total), scratch.text(), f"{' + '.join(map(str, numbers))} = \\boxed{{{total}}}")
