"""Every family's problems are right by an independent count, and their traces show what they claim."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from math import prod

import pytest

from r1chat.distill.problems import FAMILIES, RIDDLES, Problem, generate, prompt_key, repeats_riddle
from r1chat.distill.problems.problem import Split
from r1chat.distill.problems.words import SEEN, UNSEEN
from r1chat.distill.verify.boxed import boxed, is_right

SEEDS = range(150)
ONE_OF_EACH = [(family, split) for family in FAMILIES for split in Split]


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def sums(p: Problem) -> str:
    return str(sum(numbers(p.prompt)))


def differences(p: Problem) -> str:
    found = numbers(p.prompt)
    return str(2 * max(found) - sum(found) if not p.gold.startswith("-") else found[0] - found[1])


def products(p: Problem) -> str:
    return str(prod(numbers(p.prompt)))


def quotients(p: Problem) -> str:
    found = numbers(p.prompt)
    return str(Fraction(max(found) ** 2, prod(found)))


def percent(p: Problem) -> str:
    part, whole = re.search(r"(\d+)(?: ?%| per ?cent)", p.prompt), re.search(r"(\d+)(?! ?%| ?per ?cent|\d)", p.prompt)
    assert part and whole
    return str(Fraction(int(part[1]) * int(whole[1]), 100))


def all_but(p: Problem) -> str:
    found = re.search(r"all but (\d+)", p.prompt.lower())
    assert found
    return found[1]


def average_speed(p: Problem) -> str:
    a, b = numbers(p.prompt)
    told = re.sub("miles (an|per) hour", "", p.prompt)
    if re.search(r"(of|half) the time|the first hour|(two|three) hours|hour at|an hour a", told):
        return str(Fraction(a + b, 2))
    return str(2 / (Fraction(1, a) + Fraction(1, b)))


def decimals(p: Problem) -> str:
    found = re.findall(r"\d+\.\d+", p.prompt)
    pick = max if re.search("larg|bigg|great|high", p.prompt) else min
    return pick(found, key=Fraction)


def letter_count(p: Problem) -> str:
    found = re.search(r"[Tt]he letter (\w) appears .* in (\w+)\.", p.answer)
    assert found
    assert found[2] in p.prompt
    assert re.search(rf"(?i)\b{found[1]}(\b|s\b)", p.prompt)
    return str(found[2].count(found[1]))


def rates(p: Problem) -> str:
    """So many of so much, and what comes on top, in the order in which they are said."""
    found = numbers(p.prompt)
    if len(found) == 4:
        a, b, c, d = found
        return str(a * b + c * d if "for $" in p.prompt or "boxes with" in p.prompt else a * c + b * d)
    if len(found) == 3 and "costs $" in p.prompt:
        return str(found[0] * found[2] + found[1])
    return str(found[0] * found[1] + sum(found[2:]))


ORACLES = {
    f.__name__: f
    for f in (
        *(sums, differences, products, quotients, percent, all_but),
        *(average_speed, decimals, letter_count, rates),
    )
}


@pytest.mark.parametrize("split", list(Split))
@pytest.mark.parametrize("family", sorted(ORACLES))
def test_gold_is_what_an_independent_solver_finds(family: str, split: Split) -> None:
    for seed in SEEDS:
        problem = generate(family, seed, split)
        assert problem.gold == ORACLES[family](problem), problem


LESS = re.compile(
    r"\b(los|lost|sell|sold|gave|gives? (away|[A-Z]|\d)|eat|ate\b|use[sd]?\b|broke|break|thr[oe]w|drop|spen[dt]|donat|"
    r"forg|hands? out|handed out|sends? away|remov|t[oa][ok]*e?s? .*(out|away|of)|takes? \d|took|pull|puts? \d+ away|"
    r"get (off|out)|leave|step out|go (out|away|home)|(run|fly) away|disappear|pays?|borrow|buys .* for \$|gets .* for \$)"
)


def total_of(story: str) -> int:
    """By its verbs: what comes is added, what goes is taken away."""
    if backwards := re.search(r"(\d+) of (?:all )?(?:the )?(?:\w+'s )?(\d+)|(?:From|Of) (\d+) \w+, \D*(\d+)", story):
        x, y = (int(n) for n in backwards.groups() if n)
        return abs(x - y)
    start, *steps = re.findall(r"[^.,?]*?\d+[^.,?\d]*?(?=[.,?]|$| and (?:then )?[A-Za-z]+ [^.,?]*\d| and \d)", story)
    owner = next((word for word in re.findall(r"\w+", start) if word in {*SEEN.names, *UNSEEN.names}), "nobody")
    total = numbers(start)[0]
    for step in steps:
        to_owner = re.search(rf"(gives|brings|hands) {owner}\b", step)
        total += numbers(step)[0] * (-1 if LESS.search(step) and not to_owner else 1)
    return total


@pytest.mark.parametrize("split", [s for s in Split if s is not Split.UNSEEN_WORDING])
def test_a_story_adds_what_comes_and_takes_away_what_goes(split: Split) -> None:
    for seed in SEEDS:
        problem = generate("stories", seed, split)
        assert str(total_of(problem.prompt)) == problem.gold, problem


def test_a_price_is_the_one_that_makes_the_total() -> None:
    for split in Split:
        for seed in SEEDS:
            problem = generate("unit_price", seed, split)
            *counts, total = sorted(numbers(problem.prompt))
            price = int(problem.gold)
            if len(counts) == 1:
                assert counts[0] * price == total
            elif len(counts) == 3:
                assert any(n * price + counts[i - 1] * counts[i - 2] == total for i, n in enumerate(counts))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_own_answer_passes_and_another_fails(family: str) -> None:
    for seed in range(3 if family == "code" else 100):
        problem = generate(family, seed)
        assert is_right(problem.answer, problem), problem
        assert not is_right("Paris.", problem)
        if problem.verifier == "math":
            assert not is_right(problem.answer.replace(f"{{{problem.gold}}}", "{77777}"), problem)


SLIP = re.compile(r"\S+=\S+(?: rest \d+)?(?:, borrow 1)?[.?] (?=Wait|No|Hmm)")
EQUATION = re.compile(r"[\d(][\d+\-*/().]*(?:=[\d+\-*/().]+)+(?: rest \d+)?")


def holds(equation: str) -> bool:
    if rest := re.fullmatch(r"(\d+)/(\d+)=(\d+) rest (\d+)", equation):
        a, b, quotient, left = map(int, rest.groups())
        return a == b * quotient + left and left < b
    sides = [side.rstrip(".").replace("/", "*Fraction(1)/") for side in equation.split("=")]
    return len({eval(side, {"Fraction": Fraction}) for side in sides}) == 1  # the signs are those of EQUATION


@pytest.mark.parametrize(("family", "split"), ONE_OF_EACH)
def test_every_equation_that_is_not_taken_back_holds(family: str, split: Split) -> None:
    for seed in range(60):
        reasoning = generate(family, seed, split).reasoning
        for equation in EQUATION.findall(SLIP.sub("", reasoning)):
            assert holds(equation.rstrip(".")), (equation, reasoning)


def test_slips_are_there_to_be_found() -> None:
    reasoning = "8+9+1=17. Wait, 8+9+1=18."
    assert [holds(e.rstrip(".")) for e in EQUATION.findall(reasoning)] == [False, True]
    assert [holds(e.rstrip(".")) for e in EQUATION.findall(SLIP.sub("", reasoning))] == [True]


@pytest.mark.parametrize("family", [f for f in FAMILIES if f not in ("outside", "code", "format", "countdown")])
def test_the_thought_ends_with_the_gold(family: str) -> None:
    for seed in SEEDS:
        problem = generate(family, seed)
        assert problem.gold.lstrip("-") in problem.reasoning.split("\n", maxsplit=0)[-1], problem
        assert boxed(problem.answer) == problem.gold


def test_a_fifth_of_the_traces_show_a_slip_and_its_correction() -> None:
    traces = [generate(family, seed).reasoning for family in FAMILIES for seed in SEEDS]
    shown = sum(bool(re.search(r"Wait|No, |Hmm", trace)) for trace in traces) / len(traces)
    assert 0.15 <= shown <= 0.25


def test_a_seed_always_gives_the_same_problem() -> None:
    assert all(generate(family, 7) == generate(family, 7) for family in FAMILIES)


def test_prompt_key_sees_through_case_blanks_and_marks_but_not_numbers() -> None:
    assert prompt_key("What is 15% of 240?") == prompt_key("what is  15% of 240")
    assert prompt_key("Which is larger, 9.9 or 9.11?") != prompt_key("Which is larger, 99 or 911?")
    assert prompt_key("3 - 2") != prompt_key("3 + 2")


def test_a_riddle_in_other_words_is_recognised_by_its_numbers() -> None:
    assert repeats_riddle("How much is 15 percent, if 240 is all?")
    assert not repeats_riddle("What is 15% of 260?")
    assert not repeats_riddle("How many r's are in cherry?")


def test_boxed_takes_the_last_one_only() -> None:
    assert boxed("first \\boxed{3}, no: \\boxed{ 4 }") == "4"
    assert boxed("no box") is None


def test_a_refusal_solves_nothing_but_what_lies_outside() -> None:
    outside = generate("outside", 1)
    assert not is_right(outside.answer, generate("sums", 1))
    assert not is_right(outside.answer + " \\boxed{3}", outside)
    assert not is_right("", replace(outside, answer=""))


def test_riddles_have_the_known_answers() -> None:
    assert dict(RIDDLES)["Which is larger, 9.9 or 9.11?"] == "9.9"
    assert all(gold for _, gold in RIDDLES)
