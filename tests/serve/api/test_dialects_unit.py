"""What each spelling of "think so much" comes to in tokens, and what is no meaning at all."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from r1chat.serve.api.dialects import EFFORTS, Thinking, ThinkingFields
from r1chat.serve.errors import InvalidRequestError


def meaning(**fields: Any) -> Thinking:
    return ThinkingFields.model_validate(fields).asked_thinking


NUMBERS: list[dict[str, Any]] = [
    {"reasoning_budget_tokens": 500},
    {"thinking_budget_tokens": 500},
    {"thinking_token_budget": 500},
    {"thinking_budget": 500},
    {"enable_thinking": True, "thinking_budget": 500},
    {"chat_template_kwargs": {"enable_thinking": True, "thinking_budget": 500}},
    {"reasoning": {"max_tokens": 500}},
    {"thinking": {"type": "enabled", "budget_tokens": 500}},
]
OFF: list[dict[str, Any]] = [
    {"reasoning_budget_tokens": 0},
    {"thinking_token_budget": 0},
    {"reasoning_effort": "none"},
    {"reasoning": {"effort": "none"}},
    {"reasoning": {"enabled": False}},
    {"thinking": {"type": "disabled"}},
    {"think": False},
    {"think": "none"},
    {"enable_thinking": False},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"chat_template_kwargs": {"thinking": False}},
    {"thinking_budget": 0},
    {"enable_thinking": False, "thinking_budget": 4096},
    {"chat_template_kwargs": {"enable_thinking": False, "thinking_budget": 4096}},
]
ON: list[dict[str, Any]] = [
    {"reasoning": {"enabled": True}},
    {"thinking": {"type": "enabled"}},
    {"think": True},
    {"enable_thinking": True},
    {"chat_template_kwargs": {"enable_thinking": True}},
    {"reasoning_effort": "max"},
    {"think": "ultra"},
]
NOTHING: list[dict[str, Any]] = [
    {},
    {"reasoning_budget_tokens": -1},
    {"thinking_budget": -1},
    {"thinking": {"type": "adaptive"}},
    {"reasoning": {}},
    {"chat_template_kwargs": {"colour": "blue"}},
    {"reasoning_effort": None, "thinking": None, "think": None},
]


@pytest.mark.parametrize("fields", NUMBERS, ids=str)
def test_every_name_of_a_budget_is_one(fields: dict[str, Any]) -> None:
    assert meaning(**fields) == Thinking(500, True)


@pytest.mark.parametrize("fields", OFF, ids=str)
def test_every_way_to_ask_for_no_thought_is_a_budget_of_nothing(fields: dict[str, Any]) -> None:
    assert meaning(**fields) == Thinking(0, False)


@pytest.mark.parametrize("fields", ON, ids=str)
def test_a_thought_that_is_wanted_without_a_number_has_no_limit(fields: dict[str, Any]) -> None:
    assert meaning(**fields) == Thinking(None, True)


@pytest.mark.parametrize("fields", NOTHING, ids=str)
def test_what_leaves_it_to_the_server_says_nothing(fields: dict[str, Any]) -> None:
    assert meaning(**fields) == Thinking(None, None)


@pytest.mark.parametrize("effort", EFFORTS)
def test_an_effort_means_the_same_wherever_it_stands(effort: str) -> None:
    budget = EFFORTS[effort]
    for fields in (
        {"reasoning_effort": effort},
        {"reasoning": {"effort": effort}},
        {"think": effort},
        {"chat_template_kwargs": {"reasoning_effort": effort}},
    ):
        assert meaning(**fields) == Thinking(budget, budget != 0)


def test_more_effort_is_more_thought() -> None:
    budgets = [budget for budget in EFFORTS.values() if budget is not None]
    assert budgets == sorted(set(budgets)) and list(EFFORTS)[-1] == "max"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_budget_tokens": 500, "reasoning_effort": "high"}, Thinking(500, True)),
        ({"thinking_budget_tokens": 0, "reasoning_effort": "high"}, Thinking(0, False)),
        ({"reasoning_budget_tokens": -1, "reasoning_effort": "low"}, Thinking(1024, True)),
        ({"enable_thinking": False, "reasoning_effort": "high"}, Thinking(0, False)),
        ({"enable_thinking": True, "reasoning_effort": "low"}, Thinking(1024, True)),
        ({"think": True, "reasoning_budget_tokens": 7}, Thinking(7, True)),
        ({"think": False, "reasoning_budget_tokens": 0}, Thinking(0, False)),
        ({"reasoning_budget_tokens": 9, "thinking": {"type": "adaptive", "budget_tokens": 9}}, Thinking(9, True)),
    ],
    ids=str,
)
def test_numbers_beat_efforts_and_so_does_off(fields: dict[str, Any], expected: Thinking) -> None:
    assert meaning(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"reasoning_budget_tokens": 5, "thinking_budget_tokens": 6}, "thinking_budget_tokens"),
        ({"reasoning_budget_tokens": 0, "thinking_budget_tokens": 6}, "thinking_budget_tokens"),
        ({"think": False, "thinking_budget": 6}, "thinking_budget"),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"enable_thinking": True, "think": False}, "think"),
        ({"enable_thinking": False, "reasoning_budget_tokens": 6}, "reasoning_budget_tokens"),
        ({"think": True, "thinking_token_budget": 0}, "thinking_token_budget"),
        ({"thinking": {"type": "disabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"think": True, "reasoning_effort": "none"}, "reasoning_effort"),
    ],
    ids=str,
)
def test_words_that_contradict_each_other_are_named(fields: dict[str, Any], blamed: str) -> None:
    with pytest.raises(InvalidRequestError, match="contradict") as caught:
        meaning(**fields)
    assert caught.value.param == blamed and blamed in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "huge"},
        {"reasoning_effort": 3},
        {"think": 1},
        {"thinking": {"budget_tokens": 5}},
        {"thinking": {"type": "enabled", "budget_tokens": -5}},
        {"thinking": True},
        {"reasoning": "high"},
        {"enable_thinking": "false"},
        {"chat_template_kwargs": []},
        {"reasoning_grace_tokens": -1},
    ],
    ids=str,
)
def test_words_that_nobody_knows_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        meaning(**fields)
