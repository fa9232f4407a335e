"""Ask: one generation in no client's words. Every route makes one of its body, whatever its dialect."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from ..engine.request import Begun, Grammar, Priority, SamplingParams
from .forms.structure import Form
from .forms.tools import Tool
from .prompt.chat_template import Turn

Continues = Literal["anywhere", "reasoning_content", "content"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What to continue (`turns` of a chat, or `text` as it stands) and how; `n` replies to it.

    `owner` is who asks (security.owner_of), `cache_salt` with whom they share cached prompts. `grammar`
    binds the answer; `form` is what it was made of. `tools` are those the prompt tells of, and `begun` is what each
    reply begins with.
    `thinking` goes to templates that know the word; None where nothing was said. `continues`: the last turn is
    a reply that goes on, in its thought, in its answer, or as its text has it. `keeps`: the reply may be forked
    later, and the turn after it is prepared while its reader reads. `keeps_thoughts`: those of earlier turns stay in
    the prompt. `tells_tokens`: the reply's token ids are wanted.
    """

    turns: tuple[Turn, ...] = ()
    text: str | None = None
    params: SamplingParams = field(default_factory=SamplingParams)
    n: int = 1
    grammar: Grammar | None = None
    form: Form | None = None
    begun: Begun | None = None
    tools: tuple[Tool, ...] = ()
    thinking: bool | None = None
    continues: Continues | None = None
    priority: Priority = Priority.INTERACTIVE
    owner: str = ""
    cache_salt: str = ""
    deterministic: bool = False
    keeps: bool = True
    keeps_thoughts: bool = False
    tells_tokens: bool = False


def with_one_system(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """What systems say at first as one turn: of several, R1's template would show the last alone.

    What they say later stays where it was said, so that all before it is found in the cache: in the text of the user
    or tool before it, or behind a reply in that of the one who speaks next. A user's turn of its own would end the
    thoughts of calls that are at work, and is made where nobody else speaks.
    """
    placed: list[Turn] = []
    behind = ""
    for is_system, run in groupby(turns, key=lambda turn: turn.role == "system"):
        if not is_system:
            first, *rest = run
            if behind and first.role == "assistant":
                placed.append(Turn("user", behind))
            elif behind:
                first = first._replace(content=f"{behind}\n\n{first.content}")
            placed += [first, *rest]
            behind = ""
        elif text := "\n\n".join(turn.content for turn in run if turn.content):
            if not placed:
                placed.append(Turn("system", text))
            elif placed[-1].role == "assistant":
                behind = _reminder(text)
            else:
                placed[-1] = placed[-1]._replace(content=f"{placed[-1].content}\n\n{_reminder(text)}")
    return (*placed, Turn("user", behind)) if behind else tuple(placed)


def _reminder(text: str) -> str:
    """In the form that agents use, and that models of agents have read."""
    return f"<system-reminder>\n{text}\n</system-reminder>"


def cache_scope(owner: str, salt: str) -> str:
    """One word for both, which tells neither: it may be written to disk with the cache."""
    return hashlib.sha256(f"{owner}:{salt}".encode()).hexdigest()[:32] if owner or salt else ""
