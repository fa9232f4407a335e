"""Values that cross the engine's seams: what is asked, and what comes back, token by token."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import msgspec

NO_BIAS: Mapping[int, float] = MappingProxyType({})


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


class Channel(StrEnum):
    REASONING = "reasoning"
    CONTENT = "content"


class Priority(StrEnum):
    """Who waits for a request: a person now, a program later, nobody in particular.

    Batch gives way to interactive. Background (prompts computed ahead, and what a client sends as such) computes
    when nobody else does, or in rows that cost the others next to nothing, and is parked first when room is short.
    """

    INTERACTIVE = "interactive"
    BATCH = "batch"
    BACKGROUND = "background"

    @property
    def rank(self) -> int:
        """0 for those who go first."""
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


class Segment(msgspec.Struct, frozen=True):
    """A stretch of the prompt. Only template text may become special tokens, never message text."""

    text: str
    special: bool


class Grammar(msgspec.Struct, frozen=True):
    """What the answer must look like, from its first token behind the thought on.

    `text` is a JSON schema, a regular expression (Rust's dialect) or a grammar in llguidance's Lark dialect.
    `field` is what of the request it was made of, and to blame where it cannot be used.
    """

    kind: Literal["json_schema", "regex", "lark"]
    text: str
    field: str = "response_format"


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """How the reply begins already: the output `tokens` of an earlier one up to the cut, then `segments`.

    `cut` says where `tokens` end: "end" behind the last, "char" before character `n_chars` of the thought,
    "think_end" behind the closing tag. With `echo` the text of what is kept comes back as output, too.
    All of it counts as prompt.
    """

    tokens: tuple[int, ...] = ()
    cut: Literal["end", "char", "think_end"] = "end"
    n_chars: int = 0
    segments: tuple[Segment, ...] = ()
    echo: bool = False


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn. Defaults are those DeepSeek advises for R1.

    `max_tokens` counts reasoning and answer; None means as far as the context reaches.
    `top_k` 0, `top_p` 1, `min_p` 0, `repetition_penalty` 1 and the penalties 0 switch each off;
    `temperature` 0 is greedy. `stop` strings end the answer and are never looked for in the thought.
    `reasoning_budget` closes the thought after that many tokens of it; 0 means no thought at all.
    `reasoning_grace` is how many more it may take to end with a sentence; never more than a quarter of the budget.
    `top_logprobs` gives each token's log probability and those of so many of the likeliest; None: none.
    Unless `governed`, a thought ends where the model ends it, or never: every token is one that it drew.
    """

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = {}
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    reasoning_budget: int | None = None
    reasoning_grace: int = 32
    top_logprobs: int | None = None
    governed: bool = True


class Usage(msgspec.Struct, frozen=True):
    """Token counts. `reasoning_tokens` lie after the opening tag and before the closing one.

    `drafted_tokens` were guessed from the request's own text and verified; `accepted_tokens` of them were right.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


class Timings(msgspec.Struct, frozen=True):
    """Seconds: waiting for a place, prompt processing, thinking, answering."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    reasoning_s: float = 0.0
    answer_s: float = 0.0


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """One generation as the parent asks for it. `reasoning_open`: the prompt ends inside <think>.

    `request_id` must never have been used before: events of an aborted request may still be on their way.
    `cache_scope`: cached tokens are shared among requests of the same scope only.
    `deterministic`: the same tokens whatever else is in the batch; only where ModelInfo says it holds.
    `grammar` binds the answer, never the thought. `begun` is what the reply begins with.
    """

    request_id: str
    prompt: tuple[Segment, ...]
    params: SamplingParams = SamplingParams()
    reasoning_open: bool = False
    priority: Priority = Priority.INTERACTIVE
    cache_scope: str = ""
    deterministic: bool = False
    grammar: Grammar | None = None
    begun: Begun | None = None


class PrepareRequest(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """A prompt that will probably be continued soon: computed in idle steps, kept in the cache, no events.

    `replaces` names the finished request whose text this is in the form in which it will come back.
    """

    request_id: str
    prompt: tuple[Segment, ...]
    cache_scope: str = ""
    deterministic: bool = False
    replaces: str = ""


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """First event of every request: it was tokenised and fits."""

    request_id: str
    prompt_tokens: int


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """A token with its natural log probability, before penalties, cuts and temperature; `top` the likeliest in its
    place, likeliest first, itself without `top`.
    """

    token: int
    piece: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


class TokenOutput(msgspec.Struct, frozen=True, tag="token"):
    """Text that became certain in one step, and how many tokens it stands for on that channel.

    `logprobs` of those tokens, where they were asked for and drawn.
    """

    request_id: str
    channel: Channel
    text: str
    tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()


class ThoughtEnded(msgspec.Struct, frozen=True, tag="thought_ended"):
    """The thought is over, at most once a request: why (governor.ReasoningEnd), after how many new tokens. Comes
    wherever Finished has a `reasoning_end`, behind the last of the thought and before the answer.

    `evidence` is what the loop detector noticed, in words.
    """

    request_id: str
    cause: str
    tokens: int
    evidence: str | None = None


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """Terminal event of a request that ended well (or was aborted by its owner).

    `reasoning_end` says why its thought ended (governor.ReasoningEnd); None where there was none, none was wanted
    (a budget of 0), or it had ended in what the reply began with.
    `tokens` are all that was put out, those with which the thought was closed too; a Begun may start from them.
    `stop` is the stop string that ended it, `end_token` the token that did; it is not among `tokens`.
    `drawn` are the log probabilities of `tokens` and of the `end_token`, where asked for; None where nobody drew.
    """

    request_id: str
    reason: FinishReason
    usage: Usage
    timings: Timings
    reasoning_end: str | None = None
    evidence: str | None = None
    tokens: tuple[int, ...] = ()
    stop: str | None = None
    end_token: int | None = None
    drawn: tuple[float | None, ...] = ()


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Terminal event of a request that did not. `error` names a class of serve/errors.py."""

    request_id: str
    error: str
    message: str
    prompt_tokens: int = 0
    n_ctx: int = 0
    param: str | None = None


Event = Accepted | TokenOutput | ThoughtEnded | Finished | Failed


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says of the model it loaded.

    `deterministic`: its rows come out bit-equal alone and in a batch, so that requests may ask for that.
    """

    path: str
    architecture: str
    description: str
    n_params: int
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_seq_max: int
    bos_token: str
    eos_token: str
    chat_template: str | None
    gpu_offload: bool
    deterministic: bool = False
    n_threads: int = 1
    load_s: float
    engine: str = "llama.cpp"
