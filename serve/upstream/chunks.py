"""One event of an upstream's stream, as all that we know of send it: chat chunks and chunks of plain completions.

Names differ between servers (`reasoning`, `reasoning_content`); here they are still as they came.
"""

from __future__ import annotations

from typing import Any

import msgspec


class FunctionPiece(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class CallPiece(msgspec.Struct, frozen=True):
    """A piece of the `index`-th tool call."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallPiece] | None = None

    @property
    def thought(self) -> str:
        """Some send both names with the same text."""
        return self.reasoning_content or self.reasoning or ""


class ChunkChoice(msgspec.Struct, frozen=True):
    """`text` is a completion's; the `reasoning_*` are r1chat's words for why a thought ended, `stop_reason` vLLM's
    for the stop string.
    """

    delta: Delta | None = None
    text: str | None = None
    logprobs: dict[str, Any] | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    reasoning_end: str | None = None
    reasoning_end_evidence: str | None = None
    reasoning_tokens: int | None = None

    @property
    def says_something(self) -> bool:
        delta = self.delta or Delta()
        return bool(delta.content or delta.thought or delta.tool_calls or self.text or self.finish_reason)


class UsageBody(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None

    def detail(self, name: str) -> int:
        """A count among the details; 0 where the server does not tell."""
        for details in (self.prompt_tokens_details, self.completion_tokens_details):
            value = (details or {}).get(name)
            if isinstance(value, int):
                return value
        return 0


class Chunk(msgspec.Struct, frozen=True):
    """`timings` is llama-server's and r1chat's. An error has one of two forms; see failures.error_of."""

    id: str | None = None
    choices: list[ChunkChoice] | None = None
    usage: UsageBody | None = None
    timings: dict[str, Any] | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None

    @property
    def is_error(self) -> bool:
        return bool(self.error) or self.object == "error"

    @property
    def choice(self) -> ChunkChoice | None:
        """Requests ask for one reply each."""
        return self.choices[0] if self.choices else None

    @property
    def says_something(self) -> bool:
        """From here on our client has seen something of this reply."""
        return any(choice.says_something for choice in self.choices or ())

    @property
    def is_last(self) -> bool:
        """Only counts may follow."""
        return any(choice.finish_reason for choice in self.choices or ())


chunk_decoder = msgspec.json.Decoder(Chunk)
