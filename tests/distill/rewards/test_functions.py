"""Rewards as trl calls them: the columns, the weights, and a guard before every value."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from r1chat.distill.errors import DistillError
from r1chat.distill.rewards.config import RewardConfig
from r1chat.distill.rewards.functions import Limits, Reward, reward_functions
from r1chat.distill.rewards.guard import checked, guarded
from r1chat.distill.rewards.said import Said
from r1chat.distill.rows import ProblemRow
from r1chat.distill.verify.config import VerifyConfig

END = 2
LIMITS = Limits(max_tokens=8, end_ids=frozenset({END}))
PROBLEMS = {"a": ProblemRow(id="a", prompt="What is 3 + 4?", gold="7", source="test")}
PROMPT = "<｜User｜>What is 3 + 4?<｜Assistant｜><think>\n"
TEXTS = [
    "3 + 4 = 7.\n</think>\n\n\\boxed{7}",
    "3 + 4 = 8.\n</think>\n\n\\boxed{8}",
    "3 + 4 is seven",
    "等等\n</think>\n\n\\boxed{7}",
]
IDS = [[5, 6, END], [5] * 7 + [END], [5] * 8, [5, END]]


def called(reward: Callable[..., Any], prompts: list[Any], completions: list[Any]) -> Any:
    """As trl 1.16 does it."""
    return reward(
        prompts=prompts,
        completions=completions,
        completion_ids=IDS,
        problem_id=["a"] * 4,
        trainer_state=None,
        log_extra=None,
        log_metric=None,
    )


def test_all_rewards_are_called_as_trl_calls_them() -> None:
    config = RewardConfig(accuracy=1.0, format=0.5, language=0.25, length=1.0, repetition=0.1, soft_tokens=4)
    with reward_functions(config, VerifyConfig(), PROBLEMS, LIMITS) as rewards:
        values = {reward.__name__: called(reward, [PROMPT] * 4, TEXTS) for reward in rewards}
        weights = {reward.name: reward.weight for reward in rewards}
    assert weights == {"accuracy": 1.0, "format": 0.5, "language": 0.25, "length": 1.0, "repetition": 0.1}
    assert values["accuracy"] == [1.0, 0.0, 0.0, 1.0]
    assert values["format"] == [1.0, 1.0, 0.0, 1.0]
    assert values["language"] == [1.0, 1.0, 1.0, 0.0]
    assert values["length"] == [0.0, -1.0, -1.0, 0.0]
    assert values["repetition"] == [0.0, 0.0, 0.0, 0.0]


def test_messages_are_read_as_rendered_prompts_are() -> None:
    messages = [[{"role": "user", "content": "What is 3 + 4?"}]] * 4
    replies = [[{"role": "assistant", "content": text}] for text in TEXTS]
    with reward_functions(RewardConfig(), VerifyConfig(), PROBLEMS, LIMITS) as rewards:
        assert [called(reward, messages, replies) for reward in rewards] == [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]]


def test_a_weight_of_zero_leaves_a_reward_out_but_accuracy_for_the_curves() -> None:
    with reward_functions(RewardConfig(accuracy=0.0, format=0.0), VerifyConfig(), PROBLEMS, LIMITS) as rewards:
        assert [(reward.name, reward.weight) for reward in rewards] == [("accuracy", 0.0)]


def test_cut_off_is_what_reached_the_limit_without_an_end() -> None:
    assert [LIMITS.cuts(ids) for ids in (*IDS, [])] == [False, False, True, False, False]


def test_programs_are_not_rewarded_without_the_sandbox() -> None:
    problems = {"c": ProblemRow(id="c", prompt="?", gold=None, source="test", verifier="code")}
    with (
        pytest.raises(DistillError, match="r1chat distill --sandbox"),
        reward_functions(RewardConfig(), VerifyConfig(), problems, LIMITS),
    ):
        pass


def test_settings_that_cannot_work_are_refused_before_anything_runs() -> None:
    for config in (RewardConfig(language=1.0, target_language="xx"), RewardConfig(length=1.0, soft_tokens=8)):
        with (
            pytest.raises(DistillError, match="r1chat distill"),
            reward_functions(config, VerifyConfig(), PROBLEMS, LIMITS),
        ):
            pass


def test_a_late_reward_ends_the_training_by_name() -> None:
    release = threading.Event()
    try:
        began = time.monotonic()
        with pytest.raises(DistillError, match=r"'slow' took longer than 0\.1 s for 4 completions"):
            guarded("slow", lambda: [0.0] * (4 if release.wait(20) else 0), 4, timeout_s=0.1)
        assert time.monotonic() - began < 15
    finally:
        release.set()


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([1.0, float("nan")], "nan for completion 1"),
        ([float("inf"), 1.0], "inf for completion 0"),
        ([1.0], "1 values for 2 completions"),
        ([1.0, 0.0, 0.0], "3 values for 2 completions"),
        ([1.0, "1"], "'1' for completion 1"),
        ([1.0, [1.0]], "no number"),
        (None, "NoneType, not a list"),
        (0.5, "float, not a list"),
    ],
)
def test_a_bad_value_is_named_and_never_reaches_the_training(values: Any, what: str) -> None:
    with pytest.raises(DistillError, match=what) as raised:
        checked("odd", values, 2)
    assert "'odd'" in str(raised.value) and str(raised.value).endswith("r1chat distill --recipe FILE.yaml")


def test_none_skips_a_completion_and_numbers_of_all_kinds_are_floats() -> None:
    assert checked("fine", [None, True, 2, 0.5], 4) == [None, 1.0, 2.0, 0.5]


def test_a_reward_that_fails_is_named() -> None:
    def broken(said: Sequence[Said]) -> list[float | None]:
        return [1 / 0 for _ in said]

    reward = Reward("broken", 1.0, broken, PROBLEMS, LIMITS, timeout_s=5.0)
    with pytest.raises(DistillError, match=r"'broken' failed \(ZeroDivisionError"):
        called(reward, [PROMPT] * 4, TEXTS)


def test_a_problem_that_is_not_known_is_an_error() -> None:
    reward = Reward("any", 1.0, lambda said: [0.0 for _ in said], {}, LIMITS, timeout_s=5.0)
    with pytest.raises(DistillError, match="KeyError"):
        called(reward, [PROMPT] * 4, TEXTS)
