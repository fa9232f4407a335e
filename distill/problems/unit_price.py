"""Two kinds of goods, the total and one price known: what does the other cost?"""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import FRUITS, GOODS, NAMES, plural

WORDINGS = Wordings(
    train=(
        "{name} buys {n} {xs} and {m} {ys}. Each {y} costs ${p}. The total is ${t}. What is the cost of each {x}?",
        "{name} buys {n} {xs} and {m} {ys} for ${t}. Each {y} costs ${p}. How much is each {x}?",
        "{name} bought {m} {ys} at ${p} each and {n} {xs}. The total was ${t}. What does one {x} cost?",
        "{n} {xs} and {m} {ys} cost ${t} together. One {y} costs ${p}. What is the price of one {x}?",
        "{name} pays ${t} for {n} {xs} and {m} {ys}. If each {y} costs ${p}, what is the price of each {x}?",
        "A shop sells {ys} for ${p} each. {name} pays ${t} for {n} {xs} and {m} {ys}. How much does each {x} cost?",
    ),
    unseen=(
        "{name} spent ${t} on {n} {xs} and {m} {ys}. The {ys} were ${p} each. What did each {x} cost?",
        "If {n} {xs} and {m} {ys} cost ${t} and a {y} costs ${p}, how much is one {x}?",
    ),
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    n, m = rng.randint(2, 6), rng.randint(1, 6)
    price_x = pick_number(rng, split, (1, 9), (10, 19))
    price_y = pick_number(rng, split, (1, 9), (10, 19))
    x, y = rng.sample(FRUITS if rng.random() < 0.7 else GOODS, 2)
    total = n * price_x + m * price_y
    xs, ys = (plural(x) if n > 1 else x), (plural(y) if m > 1 else y)
    facts = {"name": rng.choice(NAMES), "n": n, "m": m, "xs": xs, "ys": ys, "x": x, "y": y, "p": price_y, "t": total}
    scratch = Scratch(rng, slip_at)
    scratch.say(f"The {m} {ys} cost ${price_y} each.")
    spent = scratch.multiply(m, price_y)
    scratch.paragraph()
    scratch.say(f"The total is ${total}, so the {n} {xs} cost {total}-{spent}.")
    rest = scratch.subtract(total, spent)
    scratch.paragraph()
    scratch.say(f"There are {n} {xs}.")
    scratch.divide(rest, n)
    if rng.random() < 0.4:
        scratch.paragraph()
        scratch.say(f"Check: {n}*{price_x}+{m}*{price_y}={rest}+{spent}={total}. Good.")
    prompt = WORDINGS.pick(rng, split).format(**facts)
    return Problem("unit_price", prompt, str(price_x), scratch.text(), f"Each {x} costs \\boxed{{{price_x}}} dollars.")
