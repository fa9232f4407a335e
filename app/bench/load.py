"""The load: prompts of known length, and streamed replies with the time of every piece of text.

Knows no scenario. One event loop runs all of it, in a process of its own beside the servers'.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from ...serve.client import Client, ContentDelta, Done
from ...serve.models.gguf.reader import read_header

Message = dict[str, str]

# R1's settings, said aloud so that every server takes the same.
SAMPLING = {"temperature": 0.6, "top_p": 0.95, "top_k": 0, "min_p": 0.0}
_CONTROL_TOKEN = 3  # GGUF's number
_MOST_BANNED = 1024
_SILENCE_S = 600.0


@dataclass(frozen=True)
class Target:
    """A server under load. `only`: the scenarios it takes part in, all where it is empty."""

    name: str
    client: Client
    banned: dict[str, float]
    only: frozenset[str] = frozenset()

    @property
    def url(self) -> str:
        return self.client.base_url


@asynccontextmanager
async def open_target(
    name: str, url: str, banned: dict[str, float], only: frozenset[str] = frozenset()
) -> AsyncIterator[Target]:
    """The server at `url`, asked for its model's name. Raises ApiError, ServerUnreachableError."""
    async with Client(url, timeout=_SILENCE_S) as client:
        models = await client.models()
        client.model = models[0]["id"] if models else None
        yield Target(name, client, banned, only)


@dataclass
class Reply:
    """One answer as its reader saw it, filled while it comes. Times are perf_counter's seconds.

    A token may yield no text (half a character), so there may be fewer `times` than tokens.
    """

    sent: float = field(default_factory=perf_counter)
    times: list[float] = field(default_factory=list)
    ended: float = 0.0
    answer: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    finish_reason: str = ""
    asked_for: int = 0

    @property
    def first_token_s(self) -> float:
        return self.times[0] - self.sent

    @property
    def gaps(self) -> list[float]:
        """Seconds between pieces of text."""
        return [after - before for before, after in pairwise(self.times)]

    @property
    def n_output(self) -> int:
        """Some servers send no usage with a stream; of a reply that ran to its limit the number is known."""
        if "completion_tokens" in self.usage:
            return int(self.usage["completion_tokens"])
        return self.asked_for if self.finish_reason == "length" else len(self.times)

    @property
    def n_prompt(self) -> int:
        return int(self.usage.get("prompt_tokens", 0))

    @property
    def n_computed(self) -> int:
        """Tokens of the prompt that were not taken from a cache."""
        return self.n_prompt - int((self.usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first."""
        return (self.n_output - 1) / (self.ended - self.times[0])


async def ask(target: Target, messages: list[Message], reply: Reply, **params: Any) -> Reply:
    """Streams one answer into `reply`. Raises ApiError, ServerUnreachableError."""
    body = {**SAMPLING, "logit_bias": target.banned, **params}
    reply.asked_for = int(body["max_tokens"])
    reply.sent = perf_counter()
    async with aclosing(target.client.stream(messages, **body)) as events:
        async for event in events:
            now = perf_counter()
            if isinstance(event, Done):
                reply.ended, reply.usage, reply.finish_reason = now, event.usage, event.finish_reason
            else:
                reply.times.append(now)
                reply.answer += event.text if isinstance(event, ContentDelta) else ""
    return reply


def words(n: int, *key: object) -> str:
    """`n` words of one letter, each a token in nearly every vocabulary; the same for the same key."""
    return " ".join(random.Random(repr(key)).choices("abcdefghijklmnopqrstuvwxyz", k=n))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def end_bans(path: Path) -> dict[str, float]:
    """The logit bias under which no reply of this model ends before max_tokens.

    It holds every control token, for which of them end a reply is known to the engines alone.
    """
    with path.open("rb") as file:
        values = read_header(file, path.stat().st_size).values
    kinds = values.get("tokenizer.ggml.token_type") or ()
    tokens = values["tokenizer.ggml.tokens"]
    control = [i for i, kind in enumerate(kinds) if kind == _CONTROL_TOKEN and "think" not in tokens[i]]
    named = {values.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom")} - {None}
    banned = [*named, *(i for i in control if i not in named)][:_MOST_BANNED]
    return {str(token): -100.0 for token in banned}
