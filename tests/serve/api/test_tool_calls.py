"""Calls in an answer: the same ones however the text is cut, their arguments as they come, and all else stays text."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1chat.serve.api.forms.call_parser import MAX_HEAD, Argument, Called, CallParser, Part, Spoken
from r1chat.serve.api.forms.tool_calls import parsed
from r1chat.serve.api.forms.tools import Tool, call_text
from r1chat.serve.api.outputs import Output, Outputs, ToolCallDelta, collect
from r1chat.serve.engine.request import (
    Channel,
    Finished,
    FinishReason,
    ThoughtEnded,
    Timings,
    TokenLogprob,
    TokenOutput,
    Usage,
)

NAMES = ["now", "get_weather"]
TOOLS = [Tool.model_validate({"type": "function", "function": {"name": name}}) for name in NAMES]
NOW, WEATHER = call_text("now", "{}"), call_text("get_weather", '{"city": "Paris"}')
FINISHED = Finished("r", FinishReason.STOP, Usage(), Timings())


def parts_of(chunks: Sequence[str]) -> list[Part]:
    parser = CallParser(NAMES)
    return [part for chunk in chunks for part in parser.feed(chunk)] + parser.flush()


def joined(parts: Sequence[Part]) -> list[Part]:
    whole: list[Part] = []
    for part in parts:
        if isinstance(part, Spoken) and whole and isinstance(whole[-1], Spoken):
            whole[-1] = Spoken(whole[-1].text + part.text)
        elif isinstance(part, Argument) and whole and isinstance(whole[-1], Argument):
            whole[-1] = Argument(whole[-1].text + part.text)
        else:
            whole.append(part)
    return whole


def read(text: str) -> list[Part]:
    return joined(parts_of([text]))


def test_text_before_between_and_after_calls_stays_text() -> None:
    text = f"Sure.\n\n{NOW}\nAnd\n{WEATHER}\nDone.\n"
    assert read(text) == [
        Spoken("Sure."),
        Called("now"),
        Argument("{}"),
        Spoken("And"),
        Called("get_weather"),
        Argument('{"city": "Paris"}'),
        Spoken("Done.\n"),
    ]


def test_blanks_around_calls_are_dropped() -> None:
    assert read(f"\n\n{NOW}\n{NOW}\n\n") == [Called("now"), Argument("{}")] * 2


@pytest.mark.parametrize("arguments", ['{"a": "}{\\"\\\\"}', '{"a": {"b": [{}, "]"]}}', '{"é": "😀 </tool_call>"}'])
def test_arguments_end_with_the_brace_that_closes_them(arguments: str) -> None:
    assert read(call_text("now", arguments)) == [Called("now"), Argument(arguments)]


TEXTS = [
    "",
    " ",
    "no call\n\n",
    "<tool_call>",
    "<tool_cal",
    "a < b",
    "The tag <tool_call> opens a call.",
    call_text("unknown", "{}"),
    call_text("now", "[]"),
    '<tool_call>\n{"name": "now", "argu',
    '<tool_call>{"arguments": {}, "name": "now"}</tool_call>',
    f"<tool_call>{' ' * MAX_HEAD}" + '{"name": "now", "arguments": {}}\n</tool_call>',
]


@pytest.mark.parametrize("text", TEXTS)
def test_what_does_not_parse_stays_text(text: str) -> None:
    assert joined(parts_of([text])) == ([Spoken(text)] if text else [])


def test_a_call_may_follow_what_only_looked_like_one() -> None:
    text = "<tool_call>" + NOW
    assert read(text) == [Spoken("<tool_call>"), Called("now"), Argument("{}")]


def test_a_call_cut_short_keeps_the_arguments_so_far() -> None:
    assert read('<tool_call>{"name": "now", "arguments": {"a": [1, ') == [Called("now"), Argument('{"a": [1, ')]


def test_what_follows_a_call_without_its_closing_tag_is_text() -> None:
    assert read('<tool_call>{"name": "now", "arguments": {}, x')[2:] == [Spoken(", x")]


PIECES = [
    "<tool_call>",
    "</tool_call>",
    '{"name": "now", "arguments": ',
    '{"a": 1}',
    "{",
    "}",
    '"',
    "\\",
    "<",
    "\n",
    " ",
]
PIECES += ["x", "[", "]", "tool_call>", '{"name": "', ":", call_text("now", '{"b": "}"}'), " " * 300]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.data())
def test_the_same_parts_however_the_text_is_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert joined(parts_of(chunks)) == read(text)
    assert joined(parts_of(list(text))) == read(text)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_text_is_made_up_and_none_but_blanks_and_calls_is_lost(text: str) -> None:
    parts = read(text)
    kept = "".join(part.text for part in parts if isinstance(part, Spoken | Argument))
    rest = iter(text)
    assert all(char in rest for char in kept), "a subsequence of the text"
    if not any(isinstance(part, Called) for part in parts):
        assert kept == text


def test_arguments_go_out_as_they_come() -> None:
    parser = CallParser(NAMES)
    parser.feed('<tool_call>\n{"name": "now", "arguments": {"a')
    assert [parser.feed(text) for text in ['": "x', 'y"', "}"]] == [
        [Argument('": "x')],
        [Argument('y"')],
        [Argument("}")],
    ]


@pytest.mark.parametrize("unit", ["a ", " ", "<", "<tool_call", "<tool_call>", "\n<tool_call>\n{"])
def test_what_is_read_again_with_each_piece_stays_short(unit: str) -> None:
    parser = CallParser(NAMES)
    for character in unit * (4000 // len(unit)):
        parser.feed(character)
        assert len(parser._held) <= MAX_HEAD


def token(text: str, channel: Channel = Channel.CONTENT, logprob: float | None = None) -> TokenOutput:
    logprobs = () if logprob is None else (TokenLogprob(0, text.encode(), logprob),)
    return TokenOutput("r", channel, text, 1, logprobs)


async def _stream(events: Sequence[Output]) -> Outputs:
    for event in events:
        yield event


async def _told(events: Sequence[Output], tools: Sequence[Tool]) -> list[Output]:
    async with aclosing(parsed(_stream(events), tools)) as outputs:
        return [output async for output in outputs]


def told(events: Sequence[Output], tools: Sequence[Tool] = TOOLS) -> list[Output]:
    return asyncio.run(_told(events, tools))


def test_a_reply_with_calls_is_collected_whole() -> None:
    text = f"Sure.\n{NOW}\n{WEATHER}"
    events = [Output(0, token("hm", Channel.REASONING)), Output(0, ThoughtEnded("r", "natural", 1))]
    events += [Output(0, token(char)) for char in text] + [Output(0, FINISHED)]
    [reply] = asyncio.run(collect(parsed(_stream(events), TOOLS)))
    assert (reply.reasoning, reply.content) == ("hm", "Sure.")
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("now", {}),
        ("get_weather", {"city": "Paris"}),
    ]
    ids = [call.id for call in reply.tool_calls]
    assert len(set(ids)) == 2 and all(one.startswith("call_") for one in ids)


def test_a_call_that_an_upstream_has_read_comes_behind_its_text_and_drops_the_blanks_between() -> None:
    for text, said in (("Let me add.\n\n", "Let me add."), ("Sum <", "Sum <")):
        call = ToolCallDelta(0, "{}", "call_1", "add")
        finished = Finished("r", FinishReason.STOP, Usage(), Timings())
        events = [output.event for output in told([Output(0, token(text)), Output(0, call), Output(0, finished)])]
        assert events[-2:] == [call, finished]
        assert "".join(event.text for event in events[:-2] if isinstance(event, TokenOutput)) == said


def test_replies_to_one_prompt_do_not_mix() -> None:
    texts = {0: NOW, 1: "no call", 2: call_text("get_weather", '{"a": 1}')}
    left = {i: list(text) for i, text in texts.items()}
    events, draw = [], random.Random(0)
    while left:
        i = draw.choice(list(left))
        events.append(Output(i, token(left[i].pop(0)) if left[i] else FINISHED))
        if isinstance(events[-1].event, Finished):
            del left[i]
    replies = asyncio.run(collect(parsed(_stream(events), TOOLS)))
    assert [reply.content for reply in replies] == ["", "no call", ""]
    assert [[call.name for call in reply.tool_calls] for reply in replies] == [["now"], [], ["get_weather"]]


def test_a_thought_about_calls_is_no_call() -> None:
    events = [Output(0, token(NOW, Channel.REASONING)), Output(0, FINISHED)]
    assert told(events) == events


def test_without_tools_nothing_is_touched() -> None:
    events = [Output(0, token(NOW)), Output(0, FINISHED)]
    assert told(events, []) == events


def test_text_that_was_held_back_keeps_its_tokens_and_log_probabilities() -> None:
    outputs = told(
        [Output(0, token("<tool", logprob=-1.0)), Output(0, token(" box", logprob=-2.0)), Output(0, FINISHED)]
    )
    event = outputs[0].event
    assert isinstance(event, TokenOutput)
    assert (event.text, event.tokens) == ("<tool box", 2)
    assert [one.logprob for one in event.logprobs] == [-1.0, -2.0]


def test_a_calls_tokens_lend_no_log_probabilities_to_the_text_behind_it() -> None:
    call = [Output(0, token(char, logprob=-1.0)) for char in NOW]
    outputs = told([*call, Output(0, token("Done", logprob=-2.0)), Output(0, FINISHED)])
    texts = [output.event for output in outputs if isinstance(output.event, TokenOutput)]
    assert [one.logprob for one in texts[-1].logprobs][-1:] == [-2.0]
    assert sum(isinstance(output.event, ToolCallDelta) for output in outputs) >= 2
    assert outputs[-1].event == FINISHED
