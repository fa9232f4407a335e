"""A branch of a conversation -> what is sent to /v1: messages whose roles alternate, and how they are asked.

Knows neither how it is sent nor where the branch is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..conversations.records import Message, Settings

Into = Literal["reasoning_content", "content"]


def prompt(branch: Sequence[Message], settings: Settings) -> list[dict[str, Any]]:
    """Messages up to the question that ends `branch`. Earlier questions without an answer are left out."""
    *before, question = branch
    messages: list[dict[str, Any]] = [{"role": "system", "content": settings.system}] if settings.system else []
    asked: Message | None = None
    for message in before:
        if message.role == "user":
            asked = message
        elif asked is not None and message.content.strip():
            messages += [{"role": "user", "content": asked.content}, _answer(message, settings)]
            asked = None
    return [*messages, {"role": "user", "content": question.content}]


def begun(reply: Message, into: Into) -> dict[str, Any]:
    """The reply so far as the last message, to be continued `into` its thought or its answer."""
    content = {"content": reply.content} if into == "content" else {}
    return {"role": "assistant", "reasoning_content": reply.reasoning, **content}


def params(settings: Settings) -> dict[str, Any]:
    """Fields of a chat request beside its messages; what is not set is left to the server."""
    asked: dict[str, Any] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": settings.min_p,
        "repetition_penalty": settings.repetition_penalty,
        "seed": settings.seed,
        "max_completion_tokens": settings.max_tokens,
        "reasoning_budget_tokens": budget(settings),
        # Thoughts of earlier turns go only where both are said: what they were, and that they stay.
        "preserve_thinking": True if settings.keep_thoughts else None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def budget(settings: Settings) -> int | None:
    """Tokens of thought; None where it is left to the server."""
    return {"auto": None, "budget": settings.budget, "off": 0}[settings.thinking]


def _answer(message: Message, settings: Settings) -> dict[str, Any]:
    thought = {"reasoning_content": message.reasoning} if settings.keep_thoughts and message.reasoning else {}
    return {"role": "assistant", "content": message.content, **thought}
