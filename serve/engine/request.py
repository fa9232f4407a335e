"""Values that cross the engine's seams: what is asked, and what comes back, token by token."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


class Channel(StrEnum):
    REASONING = "reasoning"
    CONTENT = "content"


class Segment(msgspec.Struct, frozen=True):
    """A stretch of the prompt. Only template text may become special tokens, never message text."""

    text: str
    special: bool


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is drawn. Defaults are those DeepSeek advises for R1.

    `max_tokens` counts reasoning and answer; None means as far as the context reaches.
    `top_k` 0, `top_p` 1, `min_p` 0, `repetition_penalty` 1 and the penalties 0 switch each off;
    `temperature` 0 is greedy. `stop` strings end the answer and are never looked for in the thought.
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


class Usage(msgspec.Struct, frozen=True):
    """Token counts. `reasoning_tokens` lie after the opening tag and before the closing one."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


class Timings(msgspec.Struct, frozen=True):
    """Seconds: waiting for a place, prompt processing, thinking, answering."""

    queue_s: float = 0.0
    prefill_s: float = 0.0
    reasoning_s: float = 0.0
    answer_s: float = 0.0


class GenerateRequest(msgspec.Struct, frozen=True, kw_only=True, tag="generate"):
    """One generation as the parent asks for it. `reasoning_open`: the prompt ends inside <think>.

    `request_id` must never have been used before: events of an aborted request may still be on their way.
    """

    request_id: str
    prompt: tuple[Segment, ...]
    params: SamplingParams = SamplingParams()
    reasoning_open: bool = False


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """First event of every request: it was tokenised and fits."""

    request_id: str
    prompt_tokens: int


class TokenOutput(msgspec.Struct, frozen=True, tag="token"):
    """Text that became certain in one step, and how many tokens it stands for on that channel."""

    request_id: str
    channel: Channel
    text: str
    tokens: int


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """Terminal event of a request that ended well (or was aborted by its owner)."""

    request_id: str
    reason: FinishReason
    usage: Usage
    timings: Timings


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Terminal event of a request that did not. `error` names a class of serve/errors.py."""

    request_id: str
    error: str
    message: str
    prompt_tokens: int = 0
    n_ctx: int = 0


Event = Accepted | TokenOutput | Finished | Failed


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the child says of the model it loaded."""

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
    load_s: float
