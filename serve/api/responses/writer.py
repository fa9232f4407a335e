"""The bytes of one response: whole, or as numbered events, one item open at a time.

Per token only its own text is encoded; everything constant is prepared when its item begins.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ...engine.request import Channel, Finished, ThoughtEnded, TokenLogprob, TokenOutput
from ..outputs import Output, Reply, ToolCallDelta
from .body import (
    CallOut,
    MessageOut,
    OutputItem,
    OutputText,
    ReasoningOut,
    ReasoningText,
    ResponseBody,
    ResponseError,
    Status,
    item_id,
    items_of,
    logprobs_of,
    status_of,
    status_of_last,
)

Kind = Literal["rs", "msg", "fc"]

_DELTAS: dict[Kind, str] = {
    "rs": "response.reasoning_text.delta",
    "msg": "response.output_text.delta",
    "fc": "response.function_call_arguments.delta",
}


@dataclass(slots=True)
class _OpenItem:
    """The item that grows now; `delta_head` is what every delta of it begins with, up to the text."""

    kind: Kind
    index: int
    id: str
    call: ToolCallDelta | None = None
    parts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    delta_head: bytes = b""

    def place(self) -> dict[str, Any]:
        """Where its events say that they belong."""
        place: dict[str, Any] = {"item_id": self.id, "output_index": self.index}
        return place if self.kind == "fc" else {**place, "content_index": 0}

    def part(self) -> OutputText | ReasoningText:
        text = "".join(self.parts)
        if self.kind == "rs":
            return ReasoningText(text=text)
        return OutputText(text=text, logprobs=logprobs_of(self.logprobs))

    def item(self, status: Status) -> OutputItem:
        """As it is now; without its parts while it has just begun."""
        if self.kind == "fc":
            assert self.call is not None
            name, call_id = self.call.name or "", self.call.id or ""
            return CallOut(id=self.id, call_id=call_id, name=name, arguments="".join(self.parts), status=status)
        begins = status == "in_progress"
        part = self.part()
        if isinstance(part, ReasoningText):
            return ReasoningOut(id=self.id, status=status, content=[] if begins else [part])
        return MessageOut(id=self.id, status=status, content=[] if begins else [part])


class ResponsesWriter:
    """One response on its way out. `with_logprobs`: each text delta brings its tokens' log probabilities."""

    def __init__(self, response: ResponseBody, *, with_logprobs: bool) -> None:
        self._response = response
        self._with_logprobs = with_logprobs
        self._n_events = 0
        self._open: _OpenItem | None = None
        self._done: list[OutputItem] = []
        self._finished: Finished | None = None

    def head(self) -> bytes:
        response = _raw(self._response)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def frame(self, output: Output) -> bytes:
        event = output.event
        if isinstance(event, TokenOutput):
            return self._text("rs" if event.channel is Channel.REASONING else "msg", event)
        if isinstance(event, ToolCallDelta):
            return self._arguments(event)
        if isinstance(event, ThoughtEnded):
            return self._end("completed") if self._open and self._open.kind == "rs" else b""
        if isinstance(event, Finished):
            self._finished = event
        return b""

    def tail(self) -> bytes:
        assert self._finished is not None, "every reply ends with its Finished"
        status = status_of(self._finished)
        begun = b"" if self._open or self._done else self._begin("msg")
        is_call = self._open is not None and self._open.kind == "fc"
        ended = begun + self._end(status_of_last(self._finished, is_call=is_call))
        response = self._response.ended(self._finished, self._done, int(time.time()))
        return ended + self._event(f"response.{status}", response=_raw(response))

    def error(self, body: bytes) -> bytes:
        """A response that failed; SDKs know few codes for that."""
        message = json.loads(body)["error"]["message"]
        error = ResponseError(code="server_error", message=message)
        failed = self._response.model_copy(update={"status": "failed", "error": error, "output": self._done})
        return self._event("response.failed", response=_raw(failed))

    def whole(self, replies: list[Reply]) -> bytes:
        (reply,) = replies
        response = self._response.ended(reply.finished, items_of(reply), int(time.time()))
        return response.model_dump_json().encode()

    def _text(self, kind: Kind, event: TokenOutput) -> bytes:
        if not event.text and not (self._with_logprobs and event.logprobs and kind == "msg"):
            return b""
        begun = b"" if self._open and self._open.kind == kind else self._begin(kind)
        return begun + self._delta(event.text, event.logprobs)

    def _arguments(self, delta: ToolCallDelta) -> bytes:
        begun = b""
        if self._open is None or self._open.call is None or self._open.call.call != delta.call:
            begun = self._begin("fc", delta)
        return begun + (self._delta(delta.arguments) if delta.arguments else b"")

    def _begin(self, kind: Kind, call: ToolCallDelta | None = None) -> bytes:
        ended = self._end("completed")
        item = _OpenItem(kind, len(self._done), item_id(kind), call)
        head = msgspec.json.encode({"type": _DELTAS[kind], **item.place()})
        item.delta_head = b"event: %s\ndata: %s" % (_DELTAS[kind].encode(), head[:-1])
        self._open = item
        shown = item.item("in_progress").model_dump()
        added = self._event("response.output_item.added", output_index=item.index, item=shown)
        if kind == "fc":
            return ended + added
        part = item.part().model_dump()
        return ended + added + self._event("response.content_part.added", **item.place(), part=part)

    def _delta(self, text: str, logprobs: tuple[TokenLogprob, ...] = ()) -> bytes:
        item = self._open
        assert item is not None
        item.parts.append(text)
        told = b""
        if item.kind == "msg":
            entries = [one.model_dump() for one in logprobs_of(logprobs)] if self._with_logprobs else []
            item.logprobs.extend(logprobs if self._with_logprobs else ())
            told = b',"logprobs":' + msgspec.json.encode(entries)
        number = b',"sequence_number":%d}\n\n' % self._number()
        return item.delta_head + b',"delta":' + msgspec.json.encode(text) + told + number

    def _end(self, status: Status) -> bytes:
        """Closes the open item, if there is one."""
        if (item := self._open) is None:
            return b""
        self._open = None
        whole = item.item(status)
        self._done.append(whole)
        shown = whole.model_dump()
        if isinstance(whole, CallOut):
            said = {"arguments": whole.arguments, "name": whole.name}
            ended = self._event("response.function_call_arguments.done", **item.place(), **said)
        else:
            part = shown["content"][0]
            kept = {name: part[name] for name in ("text", "logprobs") if name in part}
            ended = self._event(_DELTAS[item.kind].replace(".delta", ".done"), **item.place(), **kept)
            ended += self._event("response.content_part.done", **item.place(), part=part)
        return ended + self._event("response.output_item.done", output_index=item.index, item=shown)

    def _event(self, name: str, /, **members: Any) -> bytes:
        data = msgspec.json.encode({"type": name, "sequence_number": self._number(), **members})
        return b"event: %s\ndata: %s\n\n" % (name.encode(), data)

    def _number(self) -> int:
        self._n_events += 1
        return self._n_events - 1


def _raw(response: ResponseBody) -> msgspec.Raw:
    """As it is; what it repeats of the request may hold numbers of any size."""
    return msgspec.Raw(response.model_dump_json().encode())
