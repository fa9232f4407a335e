"""What is rewarded, and how much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RewardConfig:
    """Weights; 0 is off (accuracy is then still measured). The sum of the weighted rewards is what a completion is
    worth.

    `language` is the share of `target_language` words in the thought (arXiv:2501.12948), `length` the soft penalty
    for the last `soft_tokens` of the longest completion (DAPO, arXiv:2503.14476), `repetition` the share of runs of
    words that came before, as a penalty. `general` is for answers that no rule can judge, to problems without a
    verifier or a gold: those are scored by a `judge`, a /v1 URL, or by a `reward_model`, a folder or a model of the
    Hub; with neither they bring no reward. A reward that takes longer than `timeout_s` ends the training.
    """

    accuracy: float = 1.0
    format: float = 1.0
    language: float = 0.0
    length: float = 0.0
    repetition: float = 0.0
    general: float = 1.0
    target_language: str = "en"
    soft_tokens: int = 64
    judge: str | None = None
    judge_model: str | None = None
    reward_model: str | None = None
    timeout_s: float = 120.0
