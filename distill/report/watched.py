"""What a student answered to the watched problems while it was trained, and how that changed from first to last."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ..evaluate.behaviour import checks_itself, turns_back
from ..evaluate.paired import Comparison, compare
from ..rows import RolloutRow, content_id, read_rows

Answers = dict[str, list[RolloutRow]]  # by the id of the problem


@dataclass
class Watched:
    """`at[step]` are the answers of that step."""

    at: dict[int, Answers] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        return sorted(self.at)

    def both(self) -> list[str]:
        """The problems asked first and last; none before it was asked twice."""
        steps = self.steps
        return [id for id in self.at[steps[0]] if id in self.at[steps[-1]]] if len(steps) > 1 else []

    def first(self, problem: str) -> RolloutRow:
        """The first answer to it at the first step."""
        return self.at[self.steps[0]][problem][0]

    def last(self, problem: str) -> RolloutRow:
        return self.at[self.steps[-1]][problem][0]


@dataclass(frozen=True)
class Gain:
    """The shares of the watched problems that were solved before and after so many steps, and their difference."""

    steps: int
    before: float
    after: float
    difference: Comparison


def read_watched(path: Path) -> Watched:
    """Raises DistillError where the file is damaged. A resumed training does its last steps again: what it answered
    there before is left out.
    """
    found, newest = Watched(), 0
    for row in read_rows(path, RolloutRow) if path.exists() else ():
        if row.step < newest:
            found.at = {step: answers for step, answers in found.at.items() if step < row.step}
        newest = row.step
        if row.watched:
            found.at.setdefault(row.step, {}).setdefault(row.problem_id, []).append(row)
    return found


def gain(watched: Watched) -> Gain | None:
    """From the first step's answers to the last's, problem by problem; None where nothing was asked twice."""
    both = watched.both()
    if not both:
        return None
    before, after = (
        [share_right(watched.at[step][id]) for id in both] for step in (watched.steps[0], watched.steps[-1])
    )
    return Gain(watched.steps[-1] - watched.steps[0], fmean(before), fmean(after), compare(after, before))


def share_right(rows: list[RolloutRow]) -> float:
    return fmean(row.verdict == "right" for row in rows)


def changes(watched: Watched) -> Counter[tuple[bool, bool]]:
    """(right at first, right at last) -> problems, by the first answer of each step."""
    return Counter((watched.first(id).verdict == "right", watched.last(id).verdict == "right") for id in watched.both())


def awakened(watched: Watched) -> list[str]:
    """Problems that were wrong at first and right at last, with a check or a turn in the thought that was not there."""
    return [id for id in watched.both() if _became_right(watched, id) and _grew(watched, id)]


def telling(watched: Watched) -> str | None:
    """The problem whose answers show most of what was learnt: one that awoke, else one that became right, else any;
    among equals by the hash of its id. None where nothing was asked twice.
    """
    woken = set(awakened(watched))
    return min(
        watched.both(), key=lambda id: (id not in woken, not _became_right(watched, id), content_id(id)), default=None
    )


def thinks_twice(thought: str | None) -> bool:
    """Whether it checks itself or turns back."""
    return checks_itself(thought) or turns_back(thought)


def _became_right(watched: Watched, problem: str) -> bool:
    return watched.first(problem).verdict != "right" and watched.last(problem).verdict == "right"


def _grew(watched: Watched, problem: str) -> bool:
    return thinks_twice(watched.last(problem).reasoning) and not thinks_twice(watched.first(problem).reasoning)
