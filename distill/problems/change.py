"""Somebody buys some things and pays with more than they cost: the change."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural

WORDINGS = Wordings(
    train=(
        "{name} [buys|gets|purchases|orders] {k} {xs} [for|at] ${p} each and [pays with|hands over|gives the cashier] ${n}."
        " [How much change does {name} get|How much change should {name} receive|What is the change|How much money does {name} get back]?",
        "{name} [bought|ordered|picked] {k} {xs} [at|for] ${p} each and paid[ with|] ${n}."
        " [How much change did {name} get|How many dollars did {name} get back|What was the change]?",
        "[One|Each] {x} costs ${p}. {name} [buys|takes|wants] {k} {xs} and [pays with|pays|gives] ${n}."
        " [How much change does {name} get|How much does {name} get back|How much change is there]?",
        "{name} [has|goes to the shop with|takes] ${n}. {name} [then |][buys|pays for] {k} {xs} that cost ${p} each."
        " [How much money is left|How many dollars are left|How much does {name} have left|How much money does {name} still have]?",
        "[At the market|In the shop|Today|Here], {k} {xs} [are|cost] ${p} each. [I|We] [pay|hand over] ${n}. [How much change do I get|How much do we get back]?",
        "[I|We] [buy|order] {k} {xs} at ${p} each and [pay with|give] ${n}. [How much change do I get|What is the change]?",
        "[If|When] {name} [buys|takes|gets] {k} {xs} at ${p} each and [pays with|gives|puts down] ${n}, [how much change is there|what is the change"
        "|how much comes back|how much does {name} get back|how much money remains]?",
        "[How much change is there|What change does {name} get|How much money comes back|How much remains] [if|when|after] {name} [buys|pays for|takes] {k} {xs}"
        " at ${p} each [with|out of|from] ${n}?",
        "{k} {xs} at ${p} each, [paid with|paid from|bought with] ${n}. [How much change|How much is left|What remains|What comes back]?",
        "{name} [spends some of ${n} on|uses ${n} to buy|has ${n} and buys] {k} {xs}, ${p} each. [How much is left|What does {name} have after that|What remains]?",
        "A [shop|store|seller] [sells|has|offers] {xs} [for|at] ${p}[ each|]. {name} [takes|buys|asks for] {k} of them and [puts|lays] ${n} on the table."
        " [How much does {name} get back|What is the change|How much comes back]?",
        "{name} had ${n} before [buying|paying for] {k} {xs} at ${p} each. How much [money is left|does {name} have now|is left] after that?",
    ),
    unseen=(
        "A shop asks ${p} for one {x}. {name} takes {k} of them and puts ${n} on the table. What comes back?",
        "After paying for {k} {xs} at ${p} each out of ${n}, how much does {name} have?",
        "{k} {xs}, ${p} each, paid with ${n}: how much change?",
        "How much of ${n} remains if {name} spends it on {k} {xs} at ${p} each?",
    ),
)  # fmt: skip
# one price more to add before the change is counted
ONE_MORE = (
    "{name} buys {k} {xs} for ${p} each and one other thing for ${q} and pays with ${n}. How much change does {name} get?",
    "{name} has ${n} and buys {k} {xs} at ${p} each and one other thing for ${q}. How much money is left?",
    "One {x} costs ${p} and a bag costs ${q}. {name} buys {k} {xs} and a bag and pays ${n}. What is the change?",
)
NOTES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    x, k = pick_thing(rng, split), rng.randint(2, 9)
    p, q = (pick_number(rng, split, (1, 20), (21, 99)) for _ in range(2))
    scratch = Scratch(rng, slip_at)
    scratch.say(f"{k} {plural(x)} at ${p} each.")
    cost = scratch.multiply(p, k)
    scratch.paragraph()
    if split is Split.ONE_MORE:
        scratch.say(f"Then ${q} more.")
        cost = scratch.add(cost, q)
        scratch.paragraph()
    note = min(note for note in NOTES if note > cost)
    paid = note if rng.random() < 0.7 else rng.randint(cost + 1, note)
    scratch.say(f"I take {cost} from {paid}.")
    change = scratch.subtract(paid, cost)
    wording = rng.choice(ONE_MORE) if split is Split.ONE_MORE else WORDINGS.pick(rng, split)
    facts = {"name": pick_name(rng, split), "k": k, "p": p, "q": q, "n": paid, "x": x, "xs": plural(x)}
    answer = f"The change is \\boxed{{{change}}} dollars."
    return Problem("change", wording.format(**facts), str(change), scratch.text(), answer)
