"""Two kinds of goods (or one), the total and one price known: what does the other cost? `one_more` has three kinds."""

from __future__ import annotations

import random
from typing import Any

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import invented, pick_name, plural, words

BOUGHT = "[buys|bought|gets|got|orders|picks|takes|purchases]"
PAID = "[pays|paid|spends|spent]"
ASKED = (
    "[What is the [cost|price] of [each|one|a single] {x}?|What does [each|one|a single] {x} cost?|How much is [each|one] {x}?|How much does [each|one] {x} cost?"
    "|How many dollars does [each|one] {x} cost?|Find the price of [each|one] {x}.]"
)
KNOWN = "[Each {y} costs ${p}|One {y} costs ${p}|[Each|One] {y} is ${p}|The {ys} cost ${p} each|The {ys} are ${p} each|The price of [each|one] {y} is ${p}]"
TOTAL = "[The total is|The total was|In total it is|Together that is|The bill is|It costs|{name} pays|The sum is] ${t}"
BOTH = "[{n} {xs} and {m} {ys}|{m} {ys} and {n} {xs}]"
WORDINGS = Wordings(
    train=(
        f"{{name}} {BOUGHT} {BOTH}. {KNOWN}. {TOTAL}. {ASKED}",
        f"{{name}} {BOUGHT} {BOTH}. {TOTAL}. {KNOWN}. {ASKED}",
        f"{{name}} {BOUGHT} {BOTH} for ${{t}}[ in total| together|]. {KNOWN}. {ASKED}",
        f"{{name}} {PAID} ${{t}} for {BOTH}. {KNOWN}. {ASKED}",
        f"{{name}} {PAID} ${{t}} for {BOTH}. If each {{y}} costs ${{p}}, [what is the price of each {{x}}|how much is one {{x}}|what does one {{x}} cost]?",
        f"{{name}} [bought|buys] {{m}} {{ys}} at ${{p}} each and {{n}} {{xs}}. {TOTAL}. {ASKED}",
        f"[I|We] [bought|buy|got] {BOTH}. {KNOWN}. [The total is|I pay|We pay|That is] ${{t}}. {ASKED}",
        f"{BOTH} cost ${{t}}[ together| in total|]. {KNOWN}. {ASKED}",
        f"[If|When] {BOTH} cost ${{t}} [together|in total] and [each|one] {{y}} [costs|is] ${{p}}, [what does one {{x}} cost|how much is each {{x}}|how much does each {{x}} cost]?",
        f"A shop sells {{ys}} for ${{p}} each. {{name}} {PAID} ${{t}} for {BOTH}. {ASKED}",
        f"[In a shop|At the market], {BOTH} cost ${{t}}. {KNOWN}. {ASKED}",
        f"[For|With] {BOTH}, {{name}} {PAID} ${{t}}. {KNOWN}. {ASKED}",
        f"For {{n}} {{xs}} and for {{m}} {{ys}} at ${{p}} each, [I pay|{{name}} pays|we paid] ${{t}}[ together|]. {ASKED}",
        f"[The price of|The sum for] {BOTH} [is|was] ${{t}}. {KNOWN}. {ASKED}",
        f"{KNOWN}. {BOTH} cost ${{t}}[ together|]. {ASKED}",
    ),
    unseen=(
        "{name} spent ${t} on {n} {xs} and {m} {ys}. The {ys} were ${p} each. What did each {x} cost?",
        "If {n} {xs} and {m} {ys} cost ${t} and a {y} costs ${p}, how much is one {x}?",
        "For {m} {ys} at ${p} each and {n} {xs}, {name} pays ${t} in total. Find the cost of one {x}.",
        "The bill for {n} {xs} and {m} {ys} was ${t}. Each {y} was ${p}. How many dollars was each {x}?",
    ),
)  # fmt: skip
ONE_KIND = (
    f"{{name}} {BOUGHT} {{n}} {{xs}} for ${{t}}[ in total| together|]. {ASKED}",
    f"{{name}} {PAID} ${{t}} for {{n}} {{xs}}. {ASKED}",
    f"{{n}} {{xs}} cost ${{t}}[ together| in total|]. {ASKED}",
    "If {n} {xs} cost ${t}, [what does one {x} cost|how much is one {x}|how much is each {x}]?",
)
THREE_KINDS = (
    f"{{name}} {BOUGHT} {{n}} {{xs}}, {{m}} {{ys}} and {{k}} {{zs}}. {KNOWN} and each {{z}} costs ${{q}}. {TOTAL}. {ASKED}",
    f"{{name}} {PAID} ${{t}} for {{n}} {{xs}}, {{m}} {{ys}} and {{k}} {{zs}}. {KNOWN}. Each {{z}} costs ${{q}}. {ASKED}",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    n, m, k = rng.randint(2, 6), rng.randint(1, 6), rng.randint(1, 6)
    price_x, price_y, price_z = (pick_number(rng, split, (1, 12), (13, 25)) for _ in range(3))
    x, y, z = _kinds(rng, split)
    facts: dict[str, Any] = {
        "name": pick_name(rng, split),
        "n": n,
        "m": m,
        "k": k,
        "x": x,
        "y": y,
        "z": z,
        "p": price_y,
        "q": price_z,
    }
    facts |= {"xs": plural(x), "ys": plural(y) if m > 1 else y, "zs": plural(z) if k > 1 else z}
    scratch = Scratch(rng, slip_at)
    if split is Split.TRAIN and rng.random() < 0.15:
        return _one_kind(rng, scratch, price_x, facts)
    known = [(m, facts["ys"], price_y)]
    patterns = WORDINGS
    if split is Split.ONE_MORE:
        known.append((k, facts["zs"], price_z))
        patterns = Wordings(THREE_KINDS, ())
    total = n * price_x + sum(count * price for count, _, price in known)
    prompt = _grammatical(patterns.pick(rng, split), m).format(**facts, t=total)
    scratch.say(f"I look for one {x}. {_counted(n, facts['xs'], known)} cost ${total}.")
    scratch.paragraph()
    rest = _take_away(scratch, total, known)
    scratch.paragraph()
    scratch.say(f"So the {n} {facts['xs']} cost ${rest}.")
    scratch.divide(rest, n)
    if rng.random() < 0.4:
        scratch.paragraph()
        scratch.say(_check(n, price_x, known, total))
    return _problem(prompt, scratch, x, price_x)


def _one_kind(rng: random.Random, scratch: Scratch, price: int, facts: dict[str, Any]) -> Problem:
    total = facts["n"] * price
    scratch.say(f"The {facts['n']} {facts['xs']} cost ${total}.")
    scratch.divide(total, facts["n"])
    prompt = Wordings(ONE_KIND, ()).pick(rng, Split.TRAIN).format(**facts, t=total)
    return _problem(prompt, scratch, facts["x"], price)


def _problem(prompt: str, scratch: Scratch, x: str, price: int) -> Problem:
    return Problem("unit_price", prompt, str(price), scratch.text(), f"Each {x} costs \\boxed{{{price}}} dollars.")


def _kinds(rng: random.Random, split: Split) -> list[str]:
    """Three different things; in training one of them may have a name that does not exist."""
    known = words(split)
    kinds = rng.sample(known.fruits if rng.random() < 0.5 else known.goods, 3)
    if split is Split.TRAIN and rng.random() < 0.15:
        kinds[rng.randrange(2)] = invented(rng)
    return kinds


def _counted(n: int, xs: str, known: list[tuple[int, str, int]]) -> str:
    """"3 pens and 2 cups": who is what is settled before anything is computed."""
    kinds = [f"{n} {xs}", *(f"{count} {things}" for count, things, _ in known)]
    return f"{', '.join(kinds[:-1])} and {kinds[-1]}"


def _take_away(scratch: Scratch, total: int, known: list[tuple[int, str, int]]) -> int:
    """What is left of the total without what has a known price."""
    for count, things, price in known:
        scratch.say(f"The {count} {things} cost ${price} each.")
        spent = scratch.multiply(count, price)
        scratch.paragraph()
        scratch.say(f"I take that from ${total}.")
        total = scratch.subtract(total, spent)
    return total


def _check(n: int, price: int, known: list[tuple[int, str, int]], total: int) -> str:
    parts = [(n, price), *((count, each) for count, _, each in known)]
    products = "+".join(f"{count}*{each}" for count, each in parts)
    return f"Check: {products}={'+'.join(str(count * each) for count, each in parts)}={total}. Good."


def _grammatical(wording: str, m: int) -> str:
    """One thing "costs", where the pattern says that several cost so much each."""
    if m > 1:
        return wording
    return wording.replace("The {ys} cost ${p} each", "The {ys} costs ${p}").replace(
        "The {ys} are ${p} each", "The {ys} is ${p}"
    )
