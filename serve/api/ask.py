"""Ask: one generation in no client's words. Every route makes one of its body, whatever its dialect."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """All that systems say as one turn, the first: of several, R1's template would show the last alone."""
    said = [turn.content for turn in turns if turn.role == "system" and turn.content]
    rest = tuple(turn for turn in turns if turn.role != "system")
    return (Turn("system", "\n\n".join(said)), *rest) if said else rest


def cache_scope(owner: str, salt: str) -> str:
    """One word for both, which tells neither: it may be written to disk with the cache."""
    return hashlib.sha256(f"{owner}:{salt}".encode()).hexdigest()[:32] if owner or salt else ""
