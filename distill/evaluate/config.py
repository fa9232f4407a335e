"""Settings of the measurement."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluateConfig:
    """`sets` are specs of problems (see distill.sources); k samples of at most n problems of each, each with a seed of
    its own. `greedy` takes the likeliest token always, once a problem. `teacher` and `base` measure those of the run.
    `by_family`: problems of one template are not independent, so intervals are over families, not over problems.
    """

    sets: tuple[str, ...] = ("generated-test", "generated-unseen_wording", "generated-larger")
    n: int = 200
    k: int = 4
    temperature: float = 0.6
    top_p: float = 0.95
    max_tokens: int = 8192
    greedy: bool = False
    concurrency: int = 16
    teacher: bool = True
    base: bool = True
    by_family: bool = False

    @property
    def samples(self) -> int:
        """Samples of each problem."""
        return 1 if self.greedy else self.k

    @property
    def sampling(self) -> dict[str, float | int]:
        """The fields of each request that decide what is drawn."""
        if self.greedy:
            return {"temperature": 0.0, "max_tokens": self.max_tokens}
        return {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
