"""The bytes of one legacy completion, whole or in chunks. A thought goes out inside its tags: it is raw text."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from ...engine.governor import ReasoningEnd
from ...engine.request import Channel, Finished, ThoughtEnded, Timings, TokenLogprob, TokenOutput, Usage
from ..outputs import Output, Reply
from ..reasoning_format import CLOSING, OPENING
from ..replies import TimingsBody, UsageBody, summed, wire_finish_reason

DONE = b"data: [DONE]\n\n"


class LogprobsBody(BaseModel):
    """One entry for each token that was drawn; `text_offset` counts characters of the completion."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]

    def extend(self, more: LogprobsBody) -> None:
        """Appends the entries of `more`."""
        self.tokens += more.tokens
        self.token_logprobs += more.token_logprobs
        self.top_logprobs += more.top_logprobs
        self.text_offset += more.text_offset


class CompletionChoice(BaseModel):
    """`token_ids` are all that were drawn, the tags and the one that ended the text among them, and
    `token_id_logprobs` theirs, null where nobody drew. All are null unless they were asked for.
    """

    index: int
    text: str
    logprobs: LogprobsBody | None
    finish_reason: Literal["stop", "length"]
    prompt_token_ids: list[int] | None = None
    token_ids: list[int] | None = None
    token_id_logprobs: list[float | None] | None = None


class CompletionBody(BaseModel):
    """Body of the reply when it is not streamed."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody
    timings: TimingsBody


class CompletionsWriter:
    """`n` choices for each prompt; `thinking` says which prompts end inside a thought. `prompt_ids` are each
    prompt's, where token ids are to be told.
    """

    def __init__(
        self,
        completion_id: str,
        model: str,
        *,
        thinking: list[bool],
        n: int,
        include_usage: bool,
        with_logprobs: bool,
        prompt_ids: list[list[int]] | None = None,
    ) -> None:
        self._id = completion_id
        self._model = model
        self._created = int(time.time())
        self._n = n
        self._include_usage = include_usage
        self._with_logprobs = with_logprobs
        self._prompt_ids = prompt_ids
        self._texts = [_RawText(in_thought) for in_thought in thinking for _ in range(n)]
        head = {"id": completion_id, "object": "text_completion", "created": self._created, "model": model}
        self._head = b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":['
        self._rest = b"]" + (b',"usage":null' if include_usage else b"") + b"}\n\n"
        self._finished: dict[int, Finished] = {}

    def head(self) -> bytes:
        return b""

    def frame(self, output: Output) -> bytes:
        index, event = output
        text = self._texts[index]
        if isinstance(event, TokenOutput):
            piece = text.add(event.channel, event.text)
            # behind the tag that may have been put in front
            logprobs = _logprobs(event.logprobs, text.n_chars - len(event.text)) if self._with_logprobs else None
            return self._chunk(index, piece, logprobs) if piece or event.logprobs else b""
        if isinstance(event, ThoughtEnded):
            closing = text.close() if _closed(event.cause) else ""
            return self._chunk(index, closing, None) if closing else b""
        if isinstance(event, Finished):
            self._finished[index] = event
            return self._chunk(index, "", None, wire_finish_reason(event.reason), self._ids(index, event))
        return b""

    def tail(self) -> bytes:
        if not self._include_usage:
            return DONE
        usage, timings = self._total([self._finished[index] for index in sorted(self._finished)])
        body = UsageBody.of(usage).model_dump_json().encode()
        timing = TimingsBody.of(timings, usage).model_dump_json().encode()
        return self._head + b'],"usage":' + body + b',"timings":' + timing + b"}\n\n" + DONE

    def error(self, body: bytes) -> bytes:
        return b"data: " + body + b"\n\n"

    def whole(self, replies: list[Reply]) -> bytes:
        usage, timings = self._total([reply.finished for reply in replies])
        completion = CompletionBody(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[self._choice(index, reply) for index, reply in enumerate(replies)],
            usage=UsageBody.of(usage),
            timings=TimingsBody.of(timings, usage),
        )
        return completion.model_dump_json().encode()

    def _choice(self, index: int, reply: Reply) -> CompletionChoice:
        text = self._texts[index]
        thought = text.add(Channel.REASONING, reply.reasoning)
        thought_at = text.n_chars - len(reply.reasoning)
        if _closed(reply.finished.reasoning_end):
            thought += text.close()
        logprobs = _logprobs(reply.reasoning_logprobs, thought_at)
        answer = text.add(Channel.CONTENT, reply.content)
        logprobs.extend(_logprobs(reply.content_logprobs, text.n_chars - len(reply.content)))
        return CompletionChoice(
            index=index,
            text=thought + answer,
            logprobs=logprobs if self._with_logprobs else None,
            finish_reason=wire_finish_reason(reply.finished.reason),
            **self._ids(index, reply.finished),
        )

    def _ids(self, index: int, finished: Finished) -> dict[str, Any]:
        if self._prompt_ids is None:
            return {}
        end = [] if finished.end_token is None else [finished.end_token]
        logprobs = list(finished.drawn) if self._with_logprobs else None
        return {
            "prompt_token_ids": self._prompt_ids[index // self._n],
            "token_ids": [*finished.tokens, *end],
            "token_id_logprobs": logprobs,
        }

    def _chunk(
        self,
        index: int,
        text: str,
        logprobs: LogprobsBody | None,
        reason: str | None = None,
        ids: Mapping[str, Any] = MappingProxyType({}),
    ) -> bytes:
        told = logprobs.model_dump() if logprobs else None
        choice = {"index": index, "text": text, "logprobs": told, "finish_reason": reason, **ids}
        return self._head + msgspec.json.encode(choice) + self._rest

    def _total(self, finished: list[Finished]) -> tuple[Usage, Timings]:
        """Every prompt counts once, however many choices it has; times are those of the longest."""
        each = [summed(finished[at : at + self._n]) for at in range(0, len(finished), self._n)]
        usages = [msgspec.structs.asdict(usage) for usage, _ in each]
        usage = Usage(**{name: sum(one[name] for one in usages) for name in usages[0]})
        return usage, max((timings for _, timings in each), key=lambda one: one.reasoning_s + one.answer_s)


class _RawText:
    """Puts the tags back that the engine took out, where the prompt does not hold them."""

    def __init__(self, in_thought: bool) -> None:
        self.n_chars = 0
        self._in_thought = in_thought

    def add(self, channel: Channel, text: str) -> str:
        """The raw text of one output, tags and all."""
        if not text:
            return ""
        if channel is Channel.CONTENT:
            return self.close() + self._counted(text)
        if not self._in_thought:
            self._in_thought = True
            text = OPENING + text
        return self._counted(text)

    def close(self) -> str:
        """The closing tag, where a thought is open."""
        if not self._in_thought:
            return ""
        self._in_thought = False
        return self._counted(CLOSING if self.n_chars else CLOSING.lstrip())

    def _counted(self, text: str) -> str:
        self.n_chars += len(text)
        return text


def _closed(cause: str | None) -> bool:
    """Whether the thought has an end; one that was cut off has none."""
    return cause is not None and cause != ReasoningEnd.LENGTH


def _logprobs(drawn: Sequence[TokenLogprob], offset: int) -> LogprobsBody:
    """Of tokens whose text begins at `offset`."""
    body = LogprobsBody(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
    for one in drawn:
        piece = _word(one)
        body.tokens.append(piece)
        body.token_logprobs.append(one.logprob)
        body.top_logprobs.append({_word(other): other.logprob for other in one.top})
        body.text_offset.append(offset)
        offset += len(piece)
    return body


def _word(one: TokenLogprob) -> str:
    return one.piece.decode(errors="replace")
