"""Problems of reasoning-gym, which who wants them installs. Their one known answer is the gold: sets with many right
answers are for its own scorer, which is not used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from ..errors import DistillError
from ..rows import ProblemRow, content_id
from .generated import COUNT, SOURCE

GYM = "gym"


def is_endless(spec: str) -> bool:
    """Whether the problems of a spec are made as they are asked for."""
    return spec.partition(":")[0] in (GYM, SOURCE)


def gym_problems(names: str, limit: int | None, seed: int) -> Iterator[ProblemRow]:
    """Problems of reasoning-gym's data sets (comma-separated), the sets in turn. Raises DistillError."""
    try:
        import reasoning_gym
    except ImportError as error:
        raise DistillError("reasoning-gym is not installed. Run: pip install 'reasoning-gym<0.2'") from error
    wanted, count = names.split(","), COUNT if limit is None else limit
    for name in wanted:
        if name not in reasoning_gym.factory.DATASETS:
            near = get_close_matches(name, reasoning_gym.factory.DATASETS, 1, cutoff=0)
            raise DistillError(f"reasoning-gym has no {name!r}. Use: r1chat distill generate --problems gym:{near[0]}")
    sets = [reasoning_gym.create_dataset(name, size=-(-count // len(wanted)), seed=seed) for name in wanted]
    in_turn = (pair for row in zip(*sets, strict=True) for pair in zip(wanted, row, strict=True))
    for name, entry in islice(in_turn, count):
        prompt = entry["question"]
        yield ProblemRow(
            id=content_id(GYM, name, prompt),
            prompt=prompt,
            gold=entry["answer"],
            source=f"{GYM}:{name}",
            verifier="exact",
            family=name,
            licence="Apache-2.0",
        )
