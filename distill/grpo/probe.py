"""Before the first step: whether the base's own completions leave anything to learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DistillError
from ..rewards.functions import Reward
from ..sft.trainer import never
from .job import GrpoJob
from .ledger import Rollouts, worth
from .sampler import Draw

_ROUNDS = 4
# A student that solves nearly all fails now and then: as many equal groups in a row end a training, too.
_SOLVED_ROUNDS = 20


def probe(roll_out: Callable[[int], Rollouts], max_tokens: int, interrupted: Callable[[], bool] = never) -> None:
    """Draws steps until one shows a difference. Raises DistillError where all completions are cut off, or those of
    each problem are worth the same: then every advantage is 0, and so is the gradient. When `interrupted` says so,
    raises KeyboardInterrupt.
    """
    drawn: list[Rollouts] = []
    while len(drawn) < _SOLVED_ROUNDS and sum(not _is_solved(rollouts) for rollouts in drawn) < _ROUNDS:
        drawn.append(roll_out(len(drawn)))
        if interrupted():
            raise KeyboardInterrupt
        if drawn[-1].equal_share < 1 and not all(_is_cut(rollouts) for rollouts in drawn):
            return
    count = sum(len(rollouts.completions) for rollouts in drawn)
    if all(_is_cut(rollouts) for rollouts in drawn):
        raise DistillError(
            f"All of {count} completions were cut off at {max_tokens} tokens, so nothing would be learned. "
            f"Begin with a student that comes to an end, or in the recipe, set: max_completion_tokens: {2 * max_tokens}"
        )
    worth = sorted({round(value, 4) for rollouts in drawn for value in rollouts.worth if value is not None})
    found = f"{worth[0]:g}" if len(worth) == 1 else "the same within each problem"
    is_easy = sum(map(_is_solved, drawn)) > len(drawn) / 2
    others = "harder ones: problems: [generated:sums@hard]" if is_easy else "others: problems: [generated:sums]"
    raise DistillError(
        f"All rewards of {count} completions are equal ({found}), so nothing would be learned. Begin with a student "
        f"that solves some of the problems and not all, or in the recipe, name {others}"
    )


def roll_out(job: GrpoJob, model: Any, draw: Draw, rewards: list[Reward], number: int) -> Rollouts:
    """A step's completions and what they are worth, outside of any training."""
    n, group = job.settings.prompts_per_step, job.settings.num_generations
    chosen = [job.problems[(number * n + at) % len(job.problems)] for at in range(n)]
    problems = [problem for problem in chosen for _ in range(group)]
    drawn = draw(model, [problem.prompt for problem in problems], number)
    given: dict[str, Any] = {
        "prompts": [[]] * len(drawn),  # as messages, whose template opens the thought
        "completions": [one.text for one in drawn],
        "completion_ids": [one.ids for one in drawn],
        "problem_id": [problem.id for problem in problems],
    }
    values = {reward.name: reward(**given) for reward in rewards}
    return Rollouts(problems, drawn, values, worth(values, rewards), group)


def _is_solved(rollouts: Rollouts) -> bool:
    return set(rollouts.rewards.get("accuracy", [None])) == {1.0}


def _is_cut(rollouts: Rollouts) -> bool:
    return all(completion.finish_reason == "length" for completion in rollouts.completions)
