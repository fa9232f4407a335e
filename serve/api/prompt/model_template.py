"""A model's own chat template: whether it may run at all, and what it knows of tools and thoughts."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import lru_cache

import jinja2

from ...models.templates import ASSISTANT, R1_DISTILL, USER
from .sandbox import TOOL_TRIAL, TRIAL_TOOLS, compile_template, fill, is_bounded

logger = logging.getLogger(__name__)

OUR_CALL = re.compile(r'<tool_call>\s*\{"name": ?"sum", ?"arguments": ?\{"n": 1\}\}\s*</tool_call>')


@dataclass(frozen=True)
class ModelTemplate:
    """`knows_tools`: it tells of them, of calls in the form of tools.py, and of results. `knows_reasoning`: it shows
    the thought that led to a call.
    """

    compiled: jinja2.Template
    knows_tools: bool = False
    knows_reasoning: bool = False


@lru_cache(maxsize=8)
def template_of(own: str | None) -> ModelTemplate:
    """The model's own template, unless it is one of R1's, does not parse or is a bomb."""
    if own is None or _is_r1(own):
        return _stock()
    # Before anything else: compiling alone evaluates constants, however large.
    if not is_bounded(own):
        logger.warning("the model's chat template is broken or takes too much time or memory, using R1's")
        return _stock()
    try:
        return _tried(compile_template(own))
    except jinja2.TemplateError as error:
        logger.warning("the model's chat template does not parse, using R1's: %s", error)
        return _stock()


def _stock() -> ModelTemplate:
    """R1's knows calls by tokens of its own that its distillates have hardly seen, and forgets all but one result."""
    return ModelTemplate(compile_template(R1_DISTILL))


def _tried(template: jinja2.Template) -> ModelTemplate:
    """What a template says it knows is seen from what it prints."""
    try:
        text = fill(template, TOOL_TRIAL, tools=TRIAL_TOOLS, bos_token="", eos_token="")
    except Exception:
        return ModelTemplate(template)
    _, call, result = TOOL_TRIAL
    described = str(TRIAL_TOOLS[0]["function"]["description"]) in text
    knows_tools = described and str(result["content"]) in text and OUR_CALL.search(text) is not None
    return ModelTemplate(template, knows_tools, str(call["reasoning_content"]) in text)


def _is_r1(template: str) -> bool:
    """R1's, in any of its forms: files made before February 2025 lack the opening tag, ours always has it.

    DeepSeek V3.1 shares the role tokens; it alone tracks the last user turn.
    """
    return USER in template and ASSISTANT in template and "is_last_user" not in template
