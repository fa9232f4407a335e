"""The events of one request between the pipe and its reader."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from r1chat.serve.engine.request import (
    Accepted,
    Channel,
    Failed,
    Finished,
    FinishReason,
    ThoughtEnded,
    Timings,
    TokenOutput,
    Usage,
)
from r1chat.serve.engine.stream import EventStream
from r1chat.serve.errors import ContextLengthError

FINISHED = Finished("r", FinishReason.STOP, Usage(), Timings())


def test_what_a_slow_reader_finds_is_joined_by_channel() -> None:
    stream = EventStream()
    stream.put(Accepted("r", 3))
    for text in "abc":
        stream.put(TokenOutput("r", Channel.REASONING, text, 1))
    for text in "de":
        stream.put(TokenOutput("r", Channel.CONTENT, text, 2))
    stream.put(FINISHED)

    async def read() -> list[object]:
        return [await stream.get() for _ in range(4)]

    assert asyncio.run(read()) == [
        Accepted("r", 3),
        TokenOutput("r", Channel.REASONING, "abc", 3),
        TokenOutput("r", Channel.CONTENT, "de", 4),
        FINISHED,
    ]


def test_a_reader_in_step_gets_each_piece_as_it_comes() -> None:
    async def read() -> list[object]:
        stream = EventStream()
        got: list[object] = []
        for text in "abc":
            stream.put(TokenOutput("r", Channel.CONTENT, text, 1))
            got.append(await stream.get())
        return got

    assert asyncio.run(read()) == [TokenOutput("r", Channel.CONTENT, text, 1) for text in "abc"]


def test_an_error_comes_behind_what_was_put_before_it() -> None:
    stream = EventStream()
    stream.put(TokenOutput("r", Channel.CONTENT, "a", 1))
    stream.put(Failed("r", "ContextLengthError", "too long", prompt_tokens=9, n_ctx=8))

    async def read() -> None:
        assert await stream.get() == TokenOutput("r", Channel.CONTENT, "a", 1)
        with pytest.raises(ContextLengthError):
            await stream.get()

    asyncio.run(read())
    assert stream.failed


def test_what_is_held_back_comes_at_its_moment() -> None:
    async def read() -> None:
        stream, began, n_read = EventStream(), monotonic(), 0
        for due_s in (0.0, 0.1, 0.2, 3600.0):
            stream.put(TokenOutput("r", Channel.CONTENT, "a", 1), began + due_s)
        while n_read < 3:  # whoever comes late gets more at once
            event = await asyncio.wait_for(stream.get(), 60)
            assert isinstance(event, TokenOutput) and event.text == "a" * event.tokens
            n_read += event.tokens
            assert monotonic() - began >= 0.1 * (n_read - 1)
        assert n_read == 3

    asyncio.run(read())


def test_the_end_of_a_thought_stays_between_its_text_and_the_answers() -> None:
    said: list[TokenOutput | ThoughtEnded] = [
        TokenOutput("r", Channel.REASONING, "a", 1),
        ThoughtEnded("r", "natural", 1),
        TokenOutput("r", Channel.CONTENT, "b", 1),
    ]

    async def read() -> list[object]:
        stream, soon = EventStream(), monotonic() + 0.1
        for event in said:
            stream.put(event, soon)
        return [await stream.get() for _ in said]

    assert asyncio.run(read()) == said


def test_a_reader_that_gives_up_while_it_waits_is_heard() -> None:
    async def read() -> None:
        stream = EventStream()
        stream.put(TokenOutput("r", Channel.CONTENT, "a", 1), monotonic() + 3600)
        reader = asyncio.create_task(stream.get())
        await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        stream.put(FINISHED)
        assert await stream.get() == TokenOutput("r", Channel.CONTENT, "a", 1)

    asyncio.run(read())


@pytest.mark.parametrize("last", [FINISHED, TokenOutput("r", Channel.REASONING, "!", 1), "an error"])
def test_what_is_put_for_now_takes_along_all_that_was_held_back(last: Finished | TokenOutput | str) -> None:
    async def read() -> object:
        stream = EventStream()
        for text in "abc":
            stream.put(TokenOutput("r", Channel.CONTENT, text, 1), monotonic() + 3600)
        reader = asyncio.create_task(stream.get())
        await asyncio.sleep(0.01)
        assert not reader.done()
        if isinstance(last, str):
            stream.fail(RuntimeError(last))
        else:
            stream.put(last, monotonic() + 3600 if isinstance(last, Finished) else 0.0)
        return await reader

    assert asyncio.run(read()) == TokenOutput("r", Channel.CONTENT, "abc", 3)
