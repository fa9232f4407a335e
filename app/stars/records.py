"""What is kept of a starred turn: a copy that outlives its chat, how it came about, and what the gates say of it.

Plain records: no SQL, no wire. Times are seconds since 1970, lengths tokens.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ...distill.rows import Verifier

# waiting: nothing speaks against it, and something is still to be said for it
StarState = Literal["waiting", "accepted", "refused"]
GateState = Literal["passed", "open", "failed"]
Check = Literal["gold", "vote", "person"]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One row of training: what is asked, what is thought, what is said."""

    question: str
    thought: str
    answer: str


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn came about, as it was when it was starred. `sampling` is what its request said, `n_before` how many
    messages stood before its question, `system` the prompt that stood before all.
    """

    message: str
    conversation: str
    model: str = ""
    state: str = "done"
    origin: str = "ask"
    reply_id: str = ""
    choice: int = 0
    finish_reason: str | None = None
    reasoning_end: str | None = None
    thought_tokens: int = 0
    answer_tokens: int = 0
    seconds: float = 0.0
    kept_chars: int = 0
    n_before: int = 0
    system: str = ""
    sampling: dict[str, Any] = {}


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn's siblings came to. `agrees`: the turn gave the answer that won; `tied`: another has as many."""

    answer: str
    votes: int
    n: int
    agrees: bool
    tied: bool = False


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate says: `reason` names a sentence of the page, `detail` what stands in it."""

    name: str
    state: GateState
    reason: str
    detail: dict[str, Any] = {}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """That an answer is right: by which check, and how a run finds the same again (distill's verifier and gold)."""

    by: Check
    verifier: Verifier
    gold: str


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """Another star with nearly the same question: `share` of their runs of words are the same."""

    id: str
    question: str
    share: float


class Star(msgspec.Struct, frozen=True, kw_only=True):
    """`original` is the turn as it was said, `turn` as it is now. `gold` is the answer that the person knows to be
    right; `checked`: the person looked and found it right; `alone`: the question needs nothing from before it.
    """

    id: str
    owner: str
    created: float
    updated: float
    source: Source
    original: Turn
    turn: Turn
    vote: Vote | None = None
    gold: str = ""
    checked: bool = False
    alone: bool = False
    state: StarState = "waiting"
    gates: tuple[Gate, ...] = ()
    judged: Judged | None = None

    @property
    def edited(self) -> tuple[str, ...]:
        """Which parts are not as they were said."""
        return tuple(
            name for name in Turn.__struct_fields__ if getattr(self.turn, name) != getattr(self.original, name)
        )
