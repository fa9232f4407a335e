"""Held-out problems that a model in memory is asked while it is trained, for the curve. Trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..rewards.accuracy import Accuracy
from ..rewards.said import take_apart
from ..rows import ProblemRow, RolloutRow
from ..sft.rows import RowEncoder
from ..verify.judge import Judge
from .ledger import rollout_row, verdict_of
from .sampler import Completion, sample

_AT_ONCE = 128


class HeldOut:
    """Asks `problems`, each `samples` times, with the same seeds every time."""

    def __init__(
        self,
        problems: Sequence[ProblemRow],
        encoder: RowEncoder,
        judge: Judge,
        *,
        samples: int,
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> None:
        self._problems = [problem for problem in problems for _ in range(samples)]
        self._encoder, self._accuracy = encoder, Accuracy(judge)
        self._max_tokens, self._drawing = max_tokens, {"temperature": temperature, "top_p": top_p}

    def __len__(self) -> int:
        return len(self._problems)

    def ask(self, model: Any, step: int) -> tuple[dict[str, float], list[RolloutRow]]:
        """held_out_accuracy (0..1; only of those a rule can judge), held_out_length (tokens), and the answers."""
        drawn = [one for at in range(0, len(self._problems), _AT_ONCE) for one in self._draw(model, at)]
        said = [
            take_apart(problem, [], one.text, n_tokens=len(one.ids), cut=one.finish_reason == "length")
            for problem, one in zip(self._problems, drawn, strict=True)
        ]
        worth = self._accuracy(said)
        rows = [
            rollout_row(step, problem, one, {}, verdict_of(value), watched=True)
            for problem, one, value in zip(self._problems, drawn, worth, strict=True)
        ]
        known = [value for value in worth if value is not None]
        length = sum(len(one.ids) for one in drawn) / len(drawn)
        accuracy = {"held_out_accuracy": sum(known) / len(known)} if known else {}
        return {**accuracy, "held_out_length": length}, rows

    def _draw(self, model: Any, start: int) -> list[Completion]:
        prompts = [problem.prompt for problem in self._problems[start : start + _AT_ONCE]]
        return sample(model, self._encoder, prompts, max_tokens=self._max_tokens, seed=start, **self._drawing)
