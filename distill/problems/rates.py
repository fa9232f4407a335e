"""So much each, so many of them, and perhaps something on top; in `one_more` two kinds. Up to 99 each, in `larger` 400."""

from __future__ import annotations

import random

from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import article, pick_name, pick_thing, plural, words

GO = "[drives|goes|travels|moves|runs|does]"
PER_HOUR = "[miles per hour|mph|miles an hour|miles each hour|miles every hour]"
FAR = "[How far does it [go|get|drive|travel]|How many miles [does it [go|drive|travel]|is that]|How far is that]"
HELD = "[are there|are there in all|are there in total|is that|is that together|are that in total]"
WORDINGS = Wordings(
    train=(
        "[One|Each|{A}] {thing} [costs|is] ${a}. How much [do {b} {things} cost|are {b} {things}|is that for {b} {things}]?",
        "[One|Each|{A}] {thing} [costs|is] ${a}. [{name} buys {b}|I buy {b}|{name} wants {b} of them|We need {b}]. [What is the total|How much is that|How much does that cost|How many dollars is that]?",
        "[{name}|My friend] [buys|bought|gets|orders] {b} {things} [for|at] ${a} each. [How much does {name} pay?|What is the total?|How much is that?|How much does it cost in total?|How many dollars is that?]",
        "{b} {things} [cost|are|are sold at] ${a} each. [How much is that in total?|How much do all of them cost?|What is the total price?|What do they cost together?]",
        "[What is the price of|What do I pay for|How much must I pay for|What is the cost of] {b} {things} [at ${a} each|if each costs ${a}|if one costs ${a}|that cost ${a} each]?",
        "[If|When] [one|each] {thing} [costs|is] ${a}, [how much do {b} {things} cost|what do {b} {things} cost|how much are {b} {things}|what is the price of {b}]?",
        f"A {{v}} {GO} {{a}} {PER_HOUR}. {FAR} in {{b}} hours?",
        f"A {{v}} {GO} {{a}} {PER_HOUR} for {{b}} hours. {FAR}?",
        f"A {{v}} {GO} for {{b}} hours [at|with] {{a}} {PER_HOUR}. {FAR}?",
        f"[With|Driving at|At a speed of|With a speed of] {{a}} {PER_HOUR}, [how many miles|what distance] does a {{v}} [go|drive|travel|cover] in {{b}} hours?",
        f"In {{b}} hours a {{v}} {GO} {{a}} {PER_HOUR}. {FAR}?",
        "[In|For|After] {b} [hours {name} gets ${a} an hour|hours {name} gets ${a} per hour|days {name} gets ${a} a day|hours {name} gets ${a} for each]. How [much|much money|many dollars] [is that|does {name} get]?",
        f"How [far|many miles] does a {{v}} [drive|go|travel|get|run] in {{b}} hours at {{a}} {PER_HOUR}?",
        f"[If|When] a {{v}} {GO} {{a}} {PER_HOUR}, how [far|many miles] does it [go|get|travel] in {{b}} hours?",
        f"[There are|We have|I have|You see] {{b}} [boxes|bags|baskets|rows|shelves|packs] with {{a}} {{things}} [each|in each|in each of them]. How many {{things}} {HELD}?",
        f"{{b}} [boxes|bags|baskets|rows] [hold|have|contain] {{a}} {{things}} [each|in each]. How many [{{things}} |]{HELD}?",
        "[One|Each|A|Every] [box|bag|basket|row|shelf|pack] [holds|has|contains] {a} {things}. How many [{things} |][are in {b}|are in {b} of them|do {b} of them hold|are there in {b} of them]?",
        "[Each|Every] [box|bag|basket|pack] [holds|has|contains] {a} {things} and there are {b} [of them|of these]. How many {things} [is that|are there|are there in all]?",
        "{name} [earns|gets|makes|is paid] ${a} [an hour and works {b} hours|per hour and works {b} hours|each hour and works {b} hours|a day and works {b} days|per day and works {b} days]. How much does {name} [earn|get|make]?",
        "{name} works {b} [hours for ${a} an hour|hours at ${a} per hour|hours for ${a} each|days for ${a} a day|days at ${a} each]. [How much does {name} earn?|How much is that?|How many dollars does {name} get?]",
        "{name} [reads|writes] {a} pages [a day|per day|each day|every day]. How many [pages |][does {name} read|is that|are that] in {b} days?",
        "{name} [eats|sells|makes|needs|uses|picks|buys] {a} {things} [a day|per day|each day|every day]. How many [{things} |][is that|does {name} need|are that] in {b} days?",
        "[Every|Each] [child|student|friend|guest] gets {a} {things}. How many {things} [do we need|are needed|do I need] for {b} [children|students|people]?",
        "{b} [children|friends|people] [have|bring|get|collect] {a} {things} each. How many {things} [do they have|is that|are there] [together|in total|in all]?",
    ),
    unseen=(
        "How much are {b} {things} at ${a} each?",
        "At {a} miles an hour, how far does a bus get in {b} hours?",
        "If {name} makes {a} {things} every hour, how many are made in {b} hours?",
        "For {b} hours of work {name} gets ${a} an hour. How much money is that?",
        "A farmer fills {b} baskets and puts {a} {things} into each. How many {things} does he need?",
        "What must {name} pay for {b} {things} when one of them is ${a}?",
    ),
)  # fmt: skip
WITH_EXTRA = (
    "{name} [buys|bought|orders] {b} {things} [for|at] ${a} each and [pays ${d} for a bag|a bag for ${d}|a map for ${d}]. [What is the total?|How much does {name} pay?|How much is that in total?]",
    "[One|Each] {thing} costs ${a}. [Sending them|Delivery|The box] costs ${d}. How much [do {b} {things} cost with delivery|is it in total for {b} {things}|do I pay for {b}]?",
    "There are {b} [boxes|bags|rows] with {a} {things} each and {d} [more |other |]{things} [on the table|on the floor]. How many {things} [are there|are there in all|is that]?",
    "{name} has {b} [boxes|bags] with {a} {things} each and [finds|gets|buys] {d} more. How many {things} does {name} have [now|in total]?",
)  # fmt: skip
TWO_KINDS = (
    "{name} buys {b} {things} for ${a} each and {d} {others} for ${c} each. [What is the total?|How much does {name} pay?]",
    "There are {b} boxes with {a} {things} each and {d} boxes with {c} {things} each. How many {things} are there?",
    "One {thing} costs ${a} and one {other} costs ${c}. How much do {b} {things} and {d} {others} cost?",
)


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    a, b = pick_number(rng, split, (2, 99), (100, 400)), rng.randint(2, 9)
    c, d = rng.randint(2, 20), rng.randint(2, 9)
    thing, other = pick_thing(rng, split), pick_thing(rng, split)
    facts = {
        "a": a,
        "b": b,
        "thing": thing,
        "things": plural(thing),
        "name": pick_name(rng, split),
        "A": article(thing).split()[0].capitalize(),
    }
    facts |= {"v": rng.choice(words(split).vehicles), "c": c, "other": other, "others": plural(other)}
    scratch = Scratch(rng, slip_at)
    scratch.say(f"It is {a} each, {b} times.")
    scratch.paragraph()
    total = scratch.multiply(a, b)
    wordings = WORDINGS
    if split is Split.ONE_MORE:
        wordings = Wordings(TWO_KINDS, ())
        scratch.paragraph()
        scratch.say(f"Then {c} each, {d} times.")
        total = scratch.add(total, scratch.multiply(c, d))
    elif split is Split.TRAIN and rng.random() < 0.15:
        wordings, d = Wordings(WITH_EXTRA, ()), rng.randint(2, 60)
        scratch.paragraph()
        scratch.say(f"Then {d} more.")
        total = scratch.add(total, d)
    prompt = wordings.pick(rng, split).format(**facts, d=d)
    return Problem("rates", prompt, str(total), scratch.text(), f"The total is \\boxed{{{total}}}.")
