"""One request while the engine works on it: its tokens, how far they are computed, where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING

from .detokenizer import Detokenizer, TextDelta
from .pacer import Pacer
from .request import NO_BIAS, FinishReason, Priority, Timings, Usage

if TYPE_CHECKING:
    from ..errors import R1ChatError
    from .constraint import Constraint
    from .governor import Governor
    from .logprobs import LogprobQueue
    from .model_runner import Sampler
    from .speculation import Speculator


# Above this a sequence that lost its place is computed anew like a prompt, in pieces.
MAX_ROWS_AT_ONCE = 16


@dataclass(slots=True)
class Marks:
    """Moments of a request, as perf_counter seconds."""

    arrived: float = field(default_factory=perf_counter)
    admitted: float = 0.0
    first_token: float = 0.0
    answer: float = 0.0

    def timings(self) -> Timings:
        now = perf_counter()
        admitted = self.admitted or now
        first_token = self.first_token or now
        # a thought may be closed before its first token
        answer = max(self.answer or now, first_token)
        return Timings(
            queue_s=admitted - self.arrived,
            prefill_s=first_token - admitted,
            reasoning_s=answer - first_token,
            answer_s=now - answer,
        )


@dataclass(slots=True, eq=False)
class Sequence:
    """`tokens` are prompt and output; `tokens[:n_computed]` lie in the cache under `seq_id`.

    `max_tokens` is the length at which the request ends: prompt, output and context counted in.
    `only_prepares`: a prompt computed ahead, from which nothing is sampled (it has no `sampler`); it puts
    the finished request `replaces` into the form in which it will come back.
    Output is counted from `n_prompt` on; the reply begins at `reply_at`, and of what lies between, `echo` is said
    all the same. `outcome` is how it ended, once nothing more is written.
    """

    request_id: str
    tokens: list[int]
    max_tokens: int
    sampler: Sampler | None = None
    detokenizer: Detokenizer = field(default_factory=lambda: Detokenizer(reasoning_open=False))
    reply_at: int = 0
    echo: list[TextDelta] = field(default_factory=list)
    n_prompt: int = 0
    n_cached: int = 0
    n_computed: int = 0
    seq_id: int = -1
    marks: Marks = field(default_factory=Marks)
    priority: Priority = Priority.INTERACTIVE
    cache_scope: str = ""
    deterministic: bool = False
    only_prepares: bool = False
    replaces: str = ""
    speculator: Speculator | None = None
    governor: Governor | None = None
    constraint: Constraint | None = None
    logprobs: LogprobQueue | None = None
    pacer: Pacer = field(default_factory=Pacer)
    bias: Mapping[int, float] = field(default_factory=lambda: NO_BIAS)
    n_drafted: int = 0
    n_accepted: int = 0
    said_thought_ended: bool = False
    outcome: FinishReason | R1ChatError | None = None

    def __post_init__(self) -> None:
        self.n_prompt = len(self.tokens)

    @property
    def n_left(self) -> int:
        """Tokens that may still be appended."""
        return self.max_tokens - len(self.tokens)

    @property
    def n_uncomputed(self) -> int:
        return len(self.tokens) - self.n_computed

    @property
    def is_decoding(self) -> bool:
        """Only its newest tokens are missing: mostly one, more where several were put there at once."""
        return self.n_prompt < len(self.tokens) and self.n_uncomputed <= MAX_ROWS_AT_ONCE

    @property
    def is_full(self) -> bool:
        return len(self.tokens) >= self.max_tokens

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.n_prompt,
            cached_tokens=self.n_cached,
            completion_tokens=len(self.tokens) - self.n_prompt,
            reasoning_tokens=self.detokenizer.new_reasoning_tokens,
            drafted_tokens=self.n_drafted,
            accepted_tokens=self.n_accepted,
        )
