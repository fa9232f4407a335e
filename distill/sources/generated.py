"""Problems of our own families as rows. What is held out for measuring never gets into training."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain, cycle, islice, zip_longest

from ..errors import DistillError
from ..problems import FAMILIES, Problem, prompt_key, repeats_riddle
from ..problems.held_out import SPLITS, families_in, held_out, is_held_out
from ..problems.levels import Level, generate_at
from ..rows import ProblemRow, content_id

SOURCE = "generated"
UNASKED = ("code", "outside")  # code is judged in the sandbox, which has to be allowed
COUNT = 1000  # where nobody says how many
LICENCE = "MIT"
SEEDS = 225_000_000  # training's seeds lie below four times that; those of the held-out problems begin at 10**9
TRIES = 200  # draws in a row that are known already: the family has no more


def generated_problems(families: str, limit: int | None, seed: int) -> Iterator[Problem]:
    """`limit` training problems of these families (comma-separated; where none is named all but UNASKED), the
    families in turn; `sums@easy` and `sums@hard` are the shorter and the longer ones of a family. No prompt comes
    twice, nor one that reads like a held-out one. Raises DistillError.
    """
    fresh = {family: _fresh(*_level(family), seed) for family in _families(families)}
    return islice(_in_turn(fresh), COUNT if limit is None else limit)


def held_out_problems(split: str, families: str, limit: int | None) -> Iterator[Problem]:
    """The problems kept for measuring, of a split of held_out.SPLITS; of each family as many. Raises DistillError
    where a split has none of those that are named.
    """
    wanted = check_families(split, families)
    groups = ([p for p in held_out()[split] if p.family == family] for family in wanted)
    mixed = (p for p in chain.from_iterable(zip_longest(*groups)) if p is not None)
    return islice(mixed, limit)


def check_families(split: str | None, families: str) -> list[str]:
    """The families that are named, without their levels. Raises DistillError where one is unknown, or a split, if there
    is one, has none of them.
    """
    wanted = [_level(family)[0] for family in _families(families)]
    if split is not None and not set(wanted) & set(families_in(split)):
        raise DistillError(
            f"{SOURCE}-{split} has no problems of {', '.join(wanted)}, but of {', '.join(families_in(split))}. "
            f"Use: r1chat distill evaluate --eval {SOURCE}-{split}"
        )
    return wanted


def is_taught_here(spec: str) -> bool:
    """Whether a base that is made here may have learnt from problems of this spec."""
    return spec.partition(":")[0] == SOURCE


def held_out_like(spec: str) -> str:
    """Held-out problems of the families that a spec names."""
    return spec.replace(SOURCE, f"{SOURCE}-{SPLITS[0]}", 1)


def problem_row(problem: Problem, source: str) -> ProblemRow:
    return ProblemRow(
        id=content_id(SOURCE, problem.prompt),
        prompt=problem.prompt,
        gold=problem.gold,
        source=source,
        verifier=problem.verifier,
        check=problem.check,
        family=problem.family,
        licence=LICENCE,
    )


def held_out_split(name: str) -> str | None:
    """The split that `generated-<split>` names; None for `generated` itself."""
    split = name.removeprefix(f"{SOURCE}-") if name != SOURCE else None
    if split is not None and split not in SPLITS:
        near = get_close_matches(split, SPLITS, 1, cutoff=0) or SPLITS
        raise DistillError(
            f"There are no problems {name}, but {', '.join(f'{SOURCE}-{one}' for one in SPLITS)}. "
            f"Use: r1chat distill evaluate --eval {SOURCE}-{near[0]}"
        )
    return split


def _families(named: str) -> tuple[str, ...]:
    wanted = tuple(named.split(",")) if named else tuple(family for family in FAMILIES if family not in UNASKED)
    for asked in wanted:
        family, _ = _level(asked)
        if family not in FAMILIES:
            near = get_close_matches(family, FAMILIES, 1, cutoff=0)
            raise DistillError(
                f"There is no family {family!r}, but {', '.join(FAMILIES)}. "
                f"Use: r1chat distill generate --problems {SOURCE}:{near[0]}"
            )
    return wanted


def _level(asked: str) -> tuple[str, Level]:
    """Family and level of `family` or `family@level`."""
    family, at, level = asked.partition("@")
    if at and level not in list(Level):
        raise DistillError(
            f"There is no level {level!r}, but {', '.join(Level)}. "
            f"Use: r1chat distill generate --problems {SOURCE}:{family}@{Level.HARD}"
        )
    return family, Level(level) if at else Level.ANY


def _fresh(family: str, level: Level, seed: int) -> Iterator[Problem]:
    """Ends where a family has nothing new left."""
    seen: set[str] = set()
    start, stale = seed * 1_000_003, 0
    for number in range(SEEDS):
        problem = generate_at(family, (start + number) % SEEDS, level)
        key = prompt_key(problem.prompt)
        if key in seen or is_held_out(problem) or repeats_riddle(problem.prompt):
            stale += 1
            if stale == TRIES:
                return
            continue
        stale = 0
        seen.add(key)
        yield problem


def _in_turn(groups: dict[str, Iterator[Problem]]) -> Iterator[Problem]:
    """One of each family after the other; a family that is used up is passed over."""
    live = dict(groups)
    for family in cycle(groups):
        if not live:
            return
        if family in live:
            problem = next(live[family], None)
            if problem is None:
                del live[family]
            else:
                yield problem
