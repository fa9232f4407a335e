"""The number that makes an equation hold: in signs, as a thought-of number, or as what somebody had at first."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .phrases import expand
from .problem import Problem, Split, Wordings, pick_number
from .scratch import Scratch
from .words import pick_name, pick_thing, plural


@dataclass(frozen=True)
class Step:
    """What is done to the missing number, and how it is undone."""

    sign: str
    n: int

    def done(self, x: int) -> int:
        return {"+": x + self.n, "-": x - self.n, "*": x * self.n}[self.sign]

    def undo(self, scratch: Scratch, x: int) -> int:
        if self.sign == "+":
            return scratch.subtract(x, self.n)
        return scratch.add(x, self.n) if self.sign == "-" else scratch.divide(x, self.n)


# {equation}: "? + 12 = 30"
IN_SIGNS = Wordings(
    train=(
        "{equation}", "[What number|Which number|What] is missing[:|?] {equation}", "[Solve|Complete|Solve for {hole}|Find {hole}][:|] {equation}",
        "[Find|Fill in|What is] the missing number: {equation}", "{equation} [What is {hole}?|What number is {hole}?|Find {hole}.]",
        "[What|Which] number makes {equation} true?", "[What is|What number is] {hole} [in|if] {equation}?", "[If|When] {equation}, what is {hole}?",
        "[What|Which number] [must|should|does] {hole} [be|stand for] [in|so that] {equation}[ holds| is true|]?", "{equation} [is true|holds]. What is {hole}?",
        "[Tell me|Give me|I need] the [missing |unknown |]number[:| in] {equation}", "[Fill|Complete] the [gap|blank|hole][:| in] {equation}",
        "[Put a number for|Write a number instead of|Replace] {hole}[:| in] {equation}", "[Which|What] number [goes|belongs|fits] [here|in the blank]? {equation}",
    ),
    unseen=(
        "What must stand for {hole} so that {equation}?", "{equation} holds. Tell me the number that is missing.",
        "Fill the gap: {equation}", "Replace {hole} by a number: {equation}",
    ),
)  # fmt: skip
# {steps}: "multiply it by 3, then add 4"
IN_THOUGHT = Wordings(
    train=(
        "I [think of|take|choose|have] a number, {steps} and get {r}. [What is the number|Which number is it|What was my number|What is my number]?",
        "[Take|Think of|Choose] a number, {steps} and you get {r}. [What is the number|What number is it|Which number is it]?",
        "[If|When] I [take|think of] a number, {steps}, the result is {r}. [What is the number|Which number do I take|What number is it]?",
        "[What|Which] number [gives|makes|becomes] {r} if [you|I|we] {steps}?",
        "[There is|I have] a [number|secret number|mystery number]. [If|When|After] [you|I] {steps}, it [is|becomes|turns into] {r}. [What is it?|Which number is it?|Find it.]",
        "[My|A|The] [secret|unknown|mystery] number [is|becomes|ends as] {r} [when|if] [I|you|we] {steps}. [What is it?|Tell me the number.|Find the number.|What was it at the start?]",
        "[Start with|Start from|Starting with|Begin with] [some|a secret|an unknown] number, {steps}. [The end is|The result is|It ends at|You end at] {r}. [What was the number?|Find the number.|Where did you start?]",
    ),
    unseen=(
        "My secret number becomes {r} after I {steps}. Find it.",
        "There is a number that turns into {r} when you {steps}. Which?",
        "Starting from an unknown number, I {steps}. The end is {r}. What was the start?",
    ),
)
# {story}: "gets 12 more, then loses 5"
IN_STORY = Wordings(
    train=(
        "{name} has some {things}, {story} and now has {r}. How many [{things} |]did {name} have [at first|before|at the start|in the beginning]?",
        "{name} has some {things}. {name} {story} and [now has|then has] {r}[ {things}|]. How many [{things} |]did {name} have [at first|before]?",
        "[At first|In the beginning] {name} has some {things}[|, nobody knows how many]. {name} {story} and [ends up with|ends with|has] {r}. [What was the number at first?|How many were there at first?|How many?]",
        "How many {things} did {name} have [before|at first|at the start], [if|when] {name} {story} and [now has|ends up with|has] {r}[ now| at the end|]?",
        "[Now|At the end|In the end] {name} has {r} {things}, after {name} {story}. [How many were there before?|What was the number before?|How many did {name} have at the start?]",
        "{name} {story} and [now has|then has] {r} {things}. How many [{things} |]did {name} have [before|at first|at the start]?",
    ),
    unseen=(
        "Nobody knows how many {things} {name} has. {name} {story} and ends up with {r}. What was the number at first?",
        "With {r} {things} at the end, how many did {name} have before, if {name} {story}?",
    ),
)
SAID = {"+": "add {n}", "-": "[subtract|take away] {n}", "*": "multiply [it |]by {n}"}
TOLD = {
    "+": "[gets|buys|finds|wins|receives|collects] {n} more",
    "-": "[loses|gives away|sells|uses|throws away] {n}[ of them|]",
}
HOLES = ("?", "?", "_", "__", "x", "n")


def generate(rng: random.Random, split: Split, slip_at: int | None) -> Problem:
    scratch = Scratch(rng, slip_at)
    story = split is Split.UNSEEN_WORDS or rng.random() < 0.35
    if split is not Split.ONE_MORE and not story and rng.random() < 0.5:
        return _in_signs(rng, split, scratch)
    count = 3 if split is Split.ONE_MORE else rng.choice((1, 1, 2))
    start, steps, r = _steps(rng, split, "+-" if story else "+-*", count)
    scratch.say(f"At the end it is {r}. I go back.")
    value = r
    for step in reversed(steps):
        scratch.paragraph()
        scratch.say(f"Undo {step.sign}{step.n}.")
        value = step.undo(scratch, value)
    _check(rng, scratch, start, steps)
    texts = [expand(rng, (TOLD if story else SAID)[step.sign]).format(n=step.n) for step in steps]
    told = ", then ".join(texts)
    facts = {
        "name": pick_name(rng, split),
        "things": plural(pick_thing(rng, split)),
        "steps": told,
        "story": told,
        "r": r,
    }
    prompt = (IN_STORY if story else IN_THOUGHT).pick(rng, split).format(**facts)
    answer = (
        f"{facts['name']} had \\boxed{{{start}}} {facts['things']}." if story else f"The number is \\boxed{{{start}}}."
    )
    return Problem("missing", prompt, str(start), scratch.text(), answer)


def _in_signs(rng: random.Random, split: Split, scratch: Scratch) -> Problem:
    start, (step,), r = _steps(rng, split, "+-*", 1)
    hole = rng.choice(HOLES)
    first, second = (hole, str(step.n)) if step.sign == "-" or rng.random() < 0.5 else (str(step.n), hole)
    if step.sign == "-" and rng.random() < 0.5:  # r is what is left of the larger number: r - ? = n
        first, second, r, start = str(start), hole, start - step.n, step.n
        scratch.say(f"I take {r} from {first}.")
        scratch.subtract(int(first), r)
    else:
        scratch.say(f"I undo {step.sign}{step.n} on {r}.")
        step.undo(scratch, r)
    sign = rng.choice(("*", "*", "x", "×")) if step.sign == "*" and hole != "x" else step.sign
    equation = f"{first} {sign} {second} = {r}" if rng.random() < 0.8 else f"{first}{sign}{second}={r}"
    if rng.random() < 0.4:
        scratch.paragraph()
        scratch.say("Check:")
        scratch.say(f"{first}{step.sign}{second}={r}.".replace(hole, str(start)))
    prompt = IN_SIGNS.pick(rng, split).format(equation=equation, hole=hole)
    return Problem("missing", prompt, str(start), scratch.text(), f"The missing number is \\boxed{{{start}}}.")


def _steps(rng: random.Random, split: Split, signs: str, count: int) -> tuple[int, list[Step], int]:
    """(the number at first, what is done to it, what comes out); never below 2 on the way."""
    start = x = pick_number(rng, split, (2, 40), (100, 300))
    steps: list[Step] = []
    for _ in range(count):
        sign = rng.choice(
            signs if x > 4 and all(step.sign != "*" for step in steps) else signs.replace("*", "") if x > 4 else "+"
        )
        most = 6 if sign == "*" else 99 if split is Split.LARGER else 40
        step = Step(sign, rng.randint(2, min(most, x - 2) if sign == "-" else most))
        x = step.done(x)
        steps.append(step)
    return start, steps, x


def _check(rng: random.Random, scratch: Scratch, start: int, steps: list[Step]) -> None:
    if rng.random() < 0.4:
        scratch.paragraph()
        scratch.say("Check:")
        x = start
        for step in steps:
            scratch.say(f"{x}{step.sign}{step.n}={step.done(x)}.")
            x = step.done(x)
