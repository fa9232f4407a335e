"""How clients ask for more or less thought: every spelling we know, and what it means in tokens.

Numbers beat efforts, and so does a switch that says off. Words that contradict each other are an error, as
nobody can know which was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from .fields import Strict, contradiction, only, said
from .wire_types import MAX_INT, Budget

# Tokens of thought; None: as far as the context reaches. GET /v1/models shows it.
EFFORTS: Mapping[str, int | None] = MappingProxyType(
    {"none": 0, "minimal": 256, "low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768, "max": None}
)
# Ollama's and DeepSeek's word for max is ultra.
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra"]
# llama-server's -1 leaves it to the server, as saying nothing does.
BudgetOrDefault = Annotated[int, Field(ge=-1, le=MAX_INT)]


@dataclass(frozen=True, slots=True)
class Thinking:
    """`budget` tokens of thought, None for no limit. `wanted` is None where nothing was said of it."""

    budget: int | None = None
    wanted: bool | None = None


class Reasoning(Strict):
    """OpenRouter's field, and that of OpenAI's Responses. `exclude` leaves the thought out of the reply."""

    effort: Effort | None = None
    max_tokens: Budget | None = None
    enabled: bool | None = None
    exclude: bool | None = None


class ThinkingSwitch(Strict):
    """Anthropic's field, and DeepSeek's, which has no budget."""

    type: Literal["enabled", "disabled", "adaptive", "auto"]
    budget_tokens: Budget | None = None


class TemplateArguments(Strict):
    """vLLM's and llama-server's field. Qwen's templates say enable_thinking, thinking_budget and
    preserve_thinking, DeepSeek's thinking.
    """

    enable_thinking: bool | None = None
    thinking: bool | None = None
    thinking_budget: BudgetOrDefault | None = None
    preserve_thinking: bool | None = None
    reasoning_effort: Effort | None = None


class ThinkingFields(Strict):
    """All fields of a chat request that speak of how much is thought.

    `reasoning_grace_tokens` is how many more than its budget the thought may take to end with a sentence.
    """

    reasoning_budget_tokens: BudgetOrDefault | None = None
    thinking_budget_tokens: BudgetOrDefault | None = None
    thinking_token_budget: BudgetOrDefault | None = None
    thinking_budget: BudgetOrDefault | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    thinking: ThinkingSwitch | None = None
    think: bool | Effort | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: TemplateArguments | None = None
    reasoning_grace_tokens: Budget | None = None

    @property
    def hides_thought(self) -> bool:
        """It is left out of the reply, where nothing else was said of where it goes."""
        return bool(self.reasoning and self.reasoning.exclude)

    @property
    def asked_thinking(self) -> Thinking:
        """What all of them say together. Raises InvalidRequestError where they contradict each other."""
        reasoning, thinking = self.reasoning or Reasoning(), self.thinking
        template = self.chat_template_kwargs or TemplateArguments()
        return agreed(
            budgets={
                "reasoning_budget_tokens": self.reasoning_budget_tokens,
                "thinking_budget_tokens": self.thinking_budget_tokens,
                "thinking_token_budget": self.thinking_token_budget,
                "thinking_budget": _qwens(self.thinking_budget, self.enable_thinking),
                "reasoning.max_tokens": reasoning.max_tokens,
                "thinking.budget_tokens": thinking.budget_tokens if thinking else None,
                "chat_template_kwargs.thinking_budget": _qwens(template.thinking_budget, template.enable_thinking),
            },
            switches={
                "enable_thinking": self.enable_thinking,
                "think": self.think if isinstance(self.think, bool) else None,
                "reasoning.enabled": reasoning.enabled,
                "thinking.type": _switch_of(thinking),
                "chat_template_kwargs.enable_thinking": template.enable_thinking,
                "chat_template_kwargs.thinking": template.thinking,
            },
            efforts={
                "reasoning_effort": self.reasoning_effort,
                "reasoning.effort": reasoning.effort,
                "think": self.think if isinstance(self.think, str) else None,
                "chat_template_kwargs.reasoning_effort": template.reasoning_effort,
            },
        )


def agreed(
    *,
    budgets: Mapping[str, int | None] = MappingProxyType({}),
    switches: Mapping[str, bool | None] = MappingProxyType({}),
    efforts: Mapping[str, str | None] = MappingProxyType({}),
) -> Thinking:
    """One meaning for what the named fields say. Raises InvalidRequestError."""
    budget_by, budget = said({name: value for name, value in budgets.items() if value != -1})
    switch_by, switch = said(switches)
    effort_by, effort = said({name: "max" if value == "ultra" else value for name, value in efforts.items()})
    if switch is not None and budget is not None and switch != bool(budget):
        raise contradiction(switch_by, budget_by)
    if switch and budget is None and effort == "none":
        raise contradiction(switch_by, effort_by)
    if budget is not None:
        return Thinking(budget, budget > 0)
    if switch is False:
        return Thinking(0, False)
    if effort is not None:
        return Thinking(EFFORTS[effort], effort != "none")
    return Thinking(None, switch)


def preserved(asked: bool | None, template: TemplateArguments | None) -> bool:
    """Whether thoughts of earlier turns stay in the prompt; they go unless it was said otherwise. Raises
    InvalidRequestError where the two places contradict each other.
    """
    in_template = template.preserve_thinking if template else None
    return bool(only({"preserve_thinking": asked, "chat_template_kwargs.preserve_thinking": in_template}))


def _qwens(budget: int | None, switch: bool | None) -> int | None:
    """Qwen's clients send both always, and its servers read the budget where the switch is not off."""
    return None if switch is False else budget


def _switch_of(thinking: ThinkingSwitch | None) -> bool | None:
    """How much to think may be left to the model; then nothing was said."""
    if thinking is None or thinking.type in ("adaptive", "auto"):
        return None
    return thinking.type == "enabled"
