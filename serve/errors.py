"""Error types of the serving side. No wire words here: api/wire_errors.py maps each type to a status.

R1ChatError
├── InvalidRequestError        the caller asked for something that cannot be done
│   ├── ContextLengthError     prompt (+ at least one new token) does not fit the context
│   └── NotSupportedError      the API has such a thing, this server does not
├── NotFoundError              no such reply, or it is somebody else's
├── ModelNotFoundError         no such model here, nor a way to fetch it
├── ModelLoadError             the file is there and cannot be loaded
│   └── NotEnoughMemoryError   it would take more memory than is free
├── QueueFullError             too many requests are waiting; try again
├── ModelsBusyError            a model has to wait for others to be idle, and they were not in time
└── EngineError                the engine failed while it worked on the request
    ├── EngineStoppedError     the child process died, hung or is shutting down
    ├── UpstreamError          a server behind this one failed, is away, or refuses us
    └── NonFiniteLogitsError   the model produced NaN or only infinities
"""

from __future__ import annotations


class R1ChatError(Exception):
    """Base of all errors a caller may want to catch; str(error) is one line fit for a person."""


class InvalidRequestError(R1ChatError):
    """The request itself is wrong. `param` names the field, where one is to blame."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class ContextLengthError(InvalidRequestError):
    """The prompt does not fit: both sizes in tokens."""

    def __init__(self, prompt_tokens: int, n_ctx: int) -> None:
        # By the first words Anthropic's clients know what to shorten, by the next OpenAI's; they look at nothing else.
        super().__init__(
            f"prompt is too long: {prompt_tokens} tokens > {n_ctx} maximum. This model's maximum context length is "
            f"{n_ctx} tokens; shorten the conversation or start the server with a larger --ctx.",
            param="messages",
        )
        self.prompt_tokens = prompt_tokens
        self.n_ctx = n_ctx


class NotSupportedError(InvalidRequestError):
    """What is asked for exists elsewhere and not here."""


class NotFoundError(R1ChatError):
    """No reply of that id for whoever asks: it never was, was forgotten, or belongs to somebody else."""


class ModelNotFoundError(R1ChatError):
    """No model of that name."""


class ModelLoadError(R1ChatError):
    """The model file exists and cannot be loaded."""


class NotEnoughMemoryError(ModelLoadError):
    """The model would take more than is free; both in bytes. The text ends with a command that helps."""

    def __init__(self, message: str, *, needed: int, available: int) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available


class QueueFullError(R1ChatError):
    """Too many requests wait already; `retry_after_s` says when to try again."""

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelsBusyError(R1ChatError):
    """What was asked for has to wait until models are idle, and they were not in time."""


class EngineError(R1ChatError):
    """The engine failed on this request."""


class EngineStoppedError(EngineError):
    """The engine's process ended or hung while the request was live; a new one is being started."""


class UpstreamError(EngineError):
    """A server that answers in this one's stead failed, cannot be reached, or refuses this one's key."""


class NonFiniteLogitsError(EngineError):
    """The model produced NaN or infinities only: its file is damaged, or its numbers overflowed."""
