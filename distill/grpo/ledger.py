"""What a step's completions show, as numbers for the curves and as rows to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluate.behaviour import checks_itself, turns_back
from ..rewards.functions import Reward
from ..rows import ProblemRow, RolloutRow, Verdict
from .sampler import Completion, split_thought

Numbers = dict[str, float]
_KEPT = 4  # of a step's own completions


@dataclass(frozen=True)
class Rollouts:
    """One step's completions, those of a problem side by side. `rewards` by name, before weights; `worth` is the
    weighted sum, None where no reward said anything.
    """

    problems: Sequence[ProblemRow]
    completions: Sequence[Completion]
    rewards: dict[str, list[float | None]]
    worth: Sequence[float | None]
    group: int

    def numbers(self) -> Numbers:
        """Means over the completions; a reward that had nothing to say on any of them is left out."""
        parts = {f"reward_{name}": mean for name, values in self.rewards.items() if (mean := _mean(values)) is not None}
        known = {"reward": _mean(self.worth), "accuracy": parts.get("reward_accuracy")}
        return {
            **parts,
            **{name: value for name, value in known.items() if value is not None},
            **of_texts(self.completions),
            "equal_share": self.equal_share,
        }

    @property
    def equal_share(self) -> float:
        """The share of groups that nothing is learned from, because all their completions are worth the same."""
        groups = [self.worth[at : at + self.group] for at in range(0, len(self.worth), self.group)]
        return sum(len({value for value in group if value is not None}) < 2 for group in groups) / len(groups)

    def rows(self, step: int) -> list[RolloutRow]:
        """A few of them, each of another problem."""
        some = range(0, len(self.completions), max(self.group, len(self.completions) // _KEPT))
        return [self._row(step, at) for at in list(some)[:_KEPT]]

    def _row(self, step: int, at: int) -> RolloutRow:
        rewards = {name: values[at] for name, values in self.rewards.items()}
        return rollout_row(step, self.problems[at], self.completions[at], rewards, verdict_of(rewards.get("accuracy")))


def of_texts(completions: Sequence[Completion]) -> Numbers:
    """Mean length in tokens, the share that was cut off, and of thoughts that check themselves or turn back."""
    thoughts = [split_thought(completion.text)[0] or "" for completion in completions]
    count = len(completions)
    return {
        "length": sum(len(completion.ids) for completion in completions) / count,
        "clipped_share": sum(completion.finish_reason == "length" for completion in completions) / count,
        "check_share": sum(map(checks_itself, thoughts)) / count,
        "backtrack_share": sum(map(turns_back, thoughts)) / count,
    }


def worth(values: dict[str, list[float | None]], rewards: Sequence[Reward]) -> list[float | None]:
    """The weighted sums, as trl takes them: what says nothing counts nothing."""
    weights = [reward.weight for reward in rewards]
    return [_sum(parts, weights) for parts in zip(*values.values(), strict=True)]


def _sum(parts: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [part * weight for part, weight in zip(parts, weights, strict=True) if part is not None]
    return sum(known) if known else None


def verdict_of(accuracy: float | None) -> Verdict:
    """The verdict that a reward for accuracy stands for."""
    return "unknown" if accuracy is None else "right" if accuracy >= 1 else "wrong"


def rollout_row(
    step: int,
    problem: ProblemRow,
    completion: Completion,
    rewards: dict[str, float | None],
    verdict: Verdict,
    *,
    watched: bool = False,
) -> RolloutRow:
    """A completion as it is kept."""
    thought, answer = split_thought(completion.text)
    return RolloutRow(
        step=step, problem_id=problem.id, prompt=problem.prompt, reasoning=thought, answer=answer,
        finish_reason=completion.finish_reason, verdict=verdict, rewards=rewards, n_tokens=len(completion.ids),
        family=problem.family, watched=watched,
    )  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
