"""Runs somebody's Jinja template: sandboxed against its reach, and tried in a limited child against its hunger.

A sandbox is no budget: nested loops and doubled strings run for ever in it. So a model's own template
first renders a small conversation in a process that may use little time and memory. Run as a module,
this file is that process.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ...errors import EngineError
from .marks import JsonText

logger = logging.getLogger(__name__)

CPU_S = 2
MEMORY_BYTES = 512 * 1024 * 1024
TIMEOUT_S = 20
MAX_TRIAL_TEXT = 100_000
TRIAL: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "And 2 + 2?"},
]
TRIAL_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "sum",
            "description": "Adds.",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        },
    }
]
TRIAL_CALL: dict[str, Any] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "sum", "arguments": JsonText('{"n": 1}')},
}
TOOL_TRIAL: list[dict[str, Any]] = [
    {"role": "user", "content": "What is 1 + 1?"},
    {"role": "assistant", "content": "", "reasoning_content": "I ask the tool.", "tool_calls": [TRIAL_CALL]},
    {"role": "tool", "content": "It is two.", "tool_call_id": "call_1", "name": "sum"},
]


def compile_template(source: str) -> jinja2.Template:
    """With the settings of transformers, which templates are written against. Raises TemplateError."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    environment.filters["tojson"] = _tojson
    return environment.from_string(source)


def fill(
    template: jinja2.Template,
    messages: Sequence[Mapping[str, Any]],
    *,
    bos_token: str,
    eos_token: str,
    tools: Sequence[Mapping[str, Any]] = (),
    enable_thinking: bool = True,
) -> str:
    """The prompt that asks for a reply. Raises whatever the template raises."""
    return template.render(
        # Llama's templates take another day for today without it.
        date_string=_now("%d %b %Y"),
        messages=messages,
        tools=tools or None,
        add_generation_prompt=True,
        enable_thinking=enable_thinking,
        bos_token=bos_token,
        eos_token=eos_token,
    )


def is_bounded(source: str) -> bool:
    """True when the template, given small conversations, ends soon, stays small and does not fall over. Raises
    EngineError where the machine cannot try it now.
    """
    command = [sys.executable, "-P", "-m", __name__]
    try:
        trial = subprocess.run(command, input=source.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
    except (subprocess.TimeoutExpired, OSError) as error:
        if sys.platform == "win32":
            return False
        # its processor time is bounded, so that this tells of the machine and not of the template
        raise EngineError("The machine is too busy to try the model's chat template. Ask again.") from error
    if trial.returncode:
        logger.warning("a trial of the model's chat template ended with %d", trial.returncode)
    return trial.returncode == 0


def _now(layout: str) -> str:
    """The date or time as transformers shows it to templates. A width in the layout could ask for gigabytes."""
    if len(layout) > 100 or re.search(r"%[^A-Za-z]*[0-9]", layout):
        raise jinja2.TemplateError("that is no layout of a date")
    return datetime.now().strftime(layout)


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, **layout: Any) -> str:
    """As transformers has it: Jinja's own writes for HTML, and models were trained on this."""
    return str(value) if isinstance(value, JsonText) else json.dumps(value, ensure_ascii=ensure_ascii, **layout)


def _limit() -> None:
    """Bounds this process where the system can; elsewhere the parent's timeout has to do."""
    if sys.platform == "win32":
        return
    import resource

    spent_s = int(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
    resource.setrlimit(resource.RLIMIT_CPU, (spent_s + CPU_S, spent_s + CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _trial(source: str) -> int:
    _limit()
    for messages, tools in ((TRIAL, TRIAL_TOOLS[:0]), (TOOL_TRIAL, TRIAL_TOOLS)):
        try:
            text = fill(compile_template(source), messages, tools=tools, bos_token="<s>", eos_token="</s>")
        except jinja2.TemplateError:
            continue  # it refuses this conversation, which is its right
        except (MemoryError, RecursionError):
            return 2
        except Exception:
            # Many a template knows no tools and falls over them; it will not be given any.
            if not tools:
                return 2
            continue
        if len(text) > MAX_TRIAL_TEXT:
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(_trial(sys.stdin.buffer.read().decode()))
