"""What a `--problems` names, read into rows: files, the Hub, benchmarks, problem generators."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from ..errors import DistillError
from ..rows import ProblemRow, content_id
from .benchmarks import BENCHMARKS, load_benchmark
from .columns import problem_of
from .generated import SOURCE, check_families, generated_problems, held_out_problems, held_out_split, problem_row
from .gym import GYM, gym_problems
from .records import check_records, is_file, open_records


def load_problems(spec: str, *, limit: int | None = None, seed: int = 0) -> list[ProblemRow]:
    """The problems of a spec, each prompt once, at most `limit`.

    A spec is a path (.jsonl, .json); `generated[:families]`, a family as `sums@hard` too; `generated-test` or another
    of the splits held out, with or without families; `gym:name[,name]`; a benchmark's name, or `name=FILE`; or a
    dataset of the Hub, `user/name[:config[:split]]`. `seed` decides what is generated, and what is drawn from a file
    that has more than `limit`; of a dataset, which streams, it is the first rows. Raises DistillError.
    """
    head, _, rest = spec.partition(":")
    if spec.partition("=")[0] in BENCHMARKS:
        return load_benchmark(spec, limit, seed)
    if is_file(spec):
        return _draw(list(distinct(_read(spec))), limit, seed)
    if head == SOURCE or head.startswith(f"{SOURCE}-"):
        return _own(head, rest, limit, seed)
    if head == GYM:
        return list(distinct(gym_problems(rest, limit, seed)))
    return list(islice(distinct(_read(spec)), limit))


def check_problems(spec: str) -> None:
    """Whether a spec names problems, as far as can be told without the network or long work. Raises DistillError."""
    head, _, rest = spec.partition(":")
    if spec.partition("=")[0] in BENCHMARKS or head == GYM:
        return
    if not is_file(spec) and (head == SOURCE or head.startswith(f"{SOURCE}-")):
        check_families(held_out_split(head), rest)
    else:
        check_records(spec, "problems")


def asks_for_programs(spec: str) -> bool:
    """As far as a name tells; programs are judged by running them."""
    head, _, families = spec.partition(":")
    if head.startswith(SOURCE):
        return "code" in (family.partition("@")[0] for family in families.split(","))
    return spec.partition("=")[0] == "livecodebench"


def _own(name: str, families: str, limit: int | None, seed: int) -> list[ProblemRow]:
    split = held_out_split(name)
    found = generated_problems(families, limit, seed) if split is None else held_out_problems(split, families, limit)
    return [problem_row(problem, name) for problem in found]


def _read(spec: str) -> Iterator[ProblemRow]:
    records = open_records(spec, "problems")
    empty = True
    for record in records.rows:
        empty = False
        yield problem_of(record, records.name, records.licence)
    if empty:
        raise DistillError(f"{spec} has no rows. Give another: r1chat distill generate --problems FILE.jsonl")


def distinct(problems: Iterable[ProblemRow]) -> Iterator[ProblemRow]:
    """Each id once. Of two problems under one id, as in two files that both count from 1, the later gets another."""
    seen: dict[str, str] = {}
    for problem in problems:
        if seen.get(problem.id, problem.prompt) != problem.prompt:
            problem = msgspec.structs.replace(problem, id=content_id(problem.id, problem.prompt))
        if problem.id not in seen:
            seen[problem.id] = problem.prompt
            yield problem


def _draw(problems: list[ProblemRow], limit: int | None, seed: int) -> list[ProblemRow]:
    """Files are often sorted by subject or difficulty, so a part is drawn from all over; the order stays."""
    if limit is None or limit >= len(problems):
        return problems
    return [problems[at] for at in sorted(random.Random(seed).sample(range(len(problems)), limit))]
