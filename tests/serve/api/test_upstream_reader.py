"""Chunks of other servers as events: the same reply, however they name its parts and wherever they cut it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.api.outputs import ToolCallDelta
from r1chat.serve.api.upstream.reader import ReplyReader, UpstreamEvent
from r1chat.serve.engine.request import Channel, Finished, FinishReason, ThoughtEnded, TokenOutput
from r1chat.serve.upstream.chunks import chunk_decoder

THOUGHT, ANSWER = "Let me count.\n\nNine </ left.", "The answer\n\nis <think> 9.\n"
PIECES = st.lists(st.integers(0, 40), max_size=8)


def read(deltas: Iterable[dict[str, Any]], *, finish: str = "stop", **how: Any) -> list[UpstreamEvent]:
    """What a reader makes of these deltas, and a last chunk with `finish` and a count of tokens."""
    reader = ReplyReader("r", **how)
    events: list[UpstreamEvent] = []
    for delta in deltas:
        events += reader.read(_chunk({"choices": [{"delta": delta}]}))
    usage = {"prompt_tokens": 7, "completion_tokens": 30, "prompt_tokens_details": {"cached_tokens": 3}}
    events += reader.read(_chunk({"choices": [{"delta": {}, "finish_reason": finish}], "usage": usage}))
    return [*events, *reader.finish()]


def _chunk(body: dict[str, Any]) -> Any:
    return chunk_decoder.decode(msgspec.json.encode(body))


def text(events: Iterable[UpstreamEvent], channel: Channel) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenOutput) and event.channel is channel)


def cut(whole: str, at: Iterable[int]) -> list[str]:
    places = sorted({0, len(whole), *(place % (len(whole) + 1) for place in at)})
    return [whole[start:end] for start, end in pairwise(places)]


@given(PIECES, PIECES, st.sampled_from(["reasoning", "reasoning_content"]), st.integers(0, 3))
def test_a_thought_in_a_field_of_its_own(
    thought_cuts: list[int], answer_cuts: list[int], name: str, newlines: int
) -> None:
    padding = "\n" * newlines
    deltas = [{name: piece} for piece in cut(f"{padding}{THOUGHT}{padding}", thought_cuts)]
    deltas += [{"content": piece} for piece in cut(f"{padding}{ANSWER}", answer_cuts)]
    assert_told(read(deltas))


@given(PIECES, st.booleans(), st.integers(0, 2))
def test_a_thought_in_the_text_between_its_tags(cuts: list[int], opens: bool, newlines: int) -> None:
    """`opens`: the template wrote the opening tag, so that the reply has only the closing one."""
    padding = "\n" * newlines
    opening = "" if opens else "<think>"
    whole = f"{opening}{padding}{THOUGHT}{padding}</think>{padding}{ANSWER}"
    assert_told(read([{"content": piece} for piece in cut(whole, cuts)], opens_thought=opens))


def assert_told(events: list[UpstreamEvent]) -> None:
    assert (text(events, Channel.REASONING), text(events, Channel.CONTENT)) == (THOUGHT, ANSWER)
    order = [event.channel if isinstance(event, TokenOutput) else type(event) for event in events]
    assert order.count(ThoughtEnded) == 1 and order.count(Finished) == 1 and order[-1] is Finished
    ended = order.index(ThoughtEnded)
    assert Channel.CONTENT not in order[:ended] and Channel.REASONING not in order[ended:]
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reasoning_end == "natural"
    assert (finished.usage.prompt_tokens, finished.usage.cached_tokens) == (7, 3)
    assert finished.usage.completion_tokens == 30 and finished.usage.reasoning_tokens == 0, "nobody counted"


@pytest.mark.parametrize(
    ("finish", "reason", "cause"),
    [("length", FinishReason.LENGTH, "length"), ("stop", FinishReason.STOP, "eos_in_think")],
)
def test_a_thought_that_no_answer_follows(finish: str, reason: FinishReason, cause: str) -> None:
    events = read([{"reasoning": "Let me"}], finish=finish)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.reasoning_end, text(events, Channel.CONTENT)) == (reason, cause, "")


def test_an_answer_without_a_thought_is_left_as_it_is() -> None:
    events = read([{"role": "assistant", "content": ""}, {"content": "\nNine"}])
    assert text(events, Channel.CONTENT) == "\nNine" and not any(isinstance(e, ThoughtEnded) for e in events)


def test_what_the_reply_began_with_is_not_told_again() -> None:
    assert text(read([{"content": "2 + "}, {"content": "3 = 5"}], begun="2 + 3 = "), Channel.CONTENT) == "5"
    assert text(read([{"content": "2 - "}, {"content": "1"}], begun="2 + 3 = "), Channel.CONTENT) == "2 - 1"


def test_r1chats_own_word_for_why_a_thought_ended_is_passed_on() -> None:
    reader = ReplyReader("r")
    events: list[UpstreamEvent] = []
    events += reader.read(_chunk({"choices": [{"delta": {"reasoning": "Well, well"}}]}))
    told = {"reasoning_end": "loop", "reasoning_tokens": 5, "reasoning_end_evidence": "twice the same"}
    events += reader.read(_chunk({"choices": [{"delta": {}, **told}]}))
    events += reader.read(_chunk({"choices": [{"delta": {"content": "9"}}]}))
    events += reader.finish()
    [ended] = [event for event in events if isinstance(event, ThoughtEnded)]
    assert (ended.cause, ended.tokens, ended.evidence) == ("loop", 5, "twice the same")


def test_pieces_of_several_calls_come_with_numbers_of_ours() -> None:
    def piece(index: int, **function: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": function}]}

    events = read([piece(3, name="a", arguments=""), piece(3, arguments="{}"), piece(9, name="b", arguments="{}")])
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert [(call.call, call.name, call.arguments) for call in calls] == [(0, "a", ""), (0, None, "{}"), (1, "b", "{}")]
    assert calls[0].id and calls[2].id


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": None, "usage": None, "error": None},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"tool_calls": None, "content": None, "reasoning": None}}]},
        {"choices": [{"delta": {"content": ""}, "logprobs": {"content": None}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": [None, {"logprob": "x"}, {"logprob": 0, "bytes": [999]}]}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": [{"logprob": 0, "top_logprobs": [None, "x"]}]}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": 5, "reasoning_content": "x"}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": [{"logprob": 0, "top_logprobs": 5}]}}]},
        {"choices": [{"text": "", "logprobs": {"tokens": ["a"], "token_logprobs": 5, "top_logprobs": 5}}]},
        {
            "choices": [
                {"text": "", "logprobs": {"tokens": ["a"], "token_logprobs": ["x"], "top_logprobs": [{"a": None}]}}
            ]
        },
        {"choices": [], "usage": {"prompt_tokens": None, "completion_tokens_details": {"reasoning_tokens": None}}},
        {"prompt_filter_results": [], "timings": {"predicted_n": "many"}},
    ],
)
def test_odd_chunks_say_nothing_and_break_nothing(odd: dict[str, Any]) -> None:
    reader = ReplyReader("r")
    assert [*reader.read(_chunk(odd))] == []
    assert text(reader.read(_chunk({"choices": [{"delta": {"content": "9"}}]})), Channel.CONTENT) == "9"


def test_a_call_without_a_number_is_the_first() -> None:
    calls = read([{"tool_calls": [{"function": {"name": "a", "arguments": "{}"}}]}])
    assert [event.name for event in calls if isinstance(event, ToolCallDelta)] == ["a"]
