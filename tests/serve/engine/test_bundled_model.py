"""The engine on the bundled model: trained weights, so tokens must agree exactly and answers make sense."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest
from engine_tools import bundled_model, finish_of, request, run, text_of
from recording_runner import Record, RecordingRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.process import EngineProcess
from r1chat.serve.engine.request import Begun, Channel, Event, GenerateRequest, Segment, TokenOutput
from r1chat.serve.errors import EngineStoppedError

pytestmark = pytest.mark.model

PROMPTS = [
    "A farmer has 17 sheep. All but 9 run away. How many are left?",
    "What is 15% of 240?",
    "What is 12 + 30?",
    "How many times does the letter r appear in strawberry?",
    "Which is larger, 9.9 or 9.11?",
    "What is 8 times 7?",
    "Hello!",
    "Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?",
]


@pytest.fixture(scope="module")
def model() -> Path:
    return bundled_model()


def greedy(request_id: str, text: str) -> GenerateRequest:
    return request(request_id, text, temperature=0.0, max_tokens=300)


def opened(model: Path, **config: int) -> RecordingRunner:
    # one thread: this process has not bounded OpenMP's spinning, as a child does before it loads llama.cpp
    return RecordingRunner(EngineConfig(model_path=model, n_threads=1, **config))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alone(model: Path) -> list[list[int]]:
    """The tokens of each prompt in a fresh engine, so that nothing is cached."""
    records: list[Record] = []
    for text in PROMPTS:
        runner = opened(model)
        run(Engine(runner), [greedy("r", text)])
        records += runner.records
        runner.close()
    return [record.tokens for record in records]


def test_batched_greedy_output_equals_the_same_prompts_alone(model: Path, alone: list[list[int]]) -> None:
    runner = opened(model)
    run(Engine(runner), [greedy(f"r{i}", text) for i, text in enumerate(PROMPTS)])
    together = runner.records
    runner.close()
    assert [record.tokens for record in together] == alone


def test_requests_that_join_in_the_middle_change_nothing(model: Path, alone: list[list[int]]) -> None:
    runner = opened(model, n_seq_max=4)
    engine = Engine(runner)
    for i, text in enumerate(PROMPTS):
        engine.add_request(greedy(f"r{i}", text))
        for _ in range(5):
            engine.step()
    run(engine)
    runner.close()
    assert [record.tokens for record in runner.records] == alone


def test_a_cached_prompt_gives_the_same_answer(model: Path) -> None:
    runner = opened(model)
    engine = Engine(runner)
    first = run(engine, [greedy("a", PROMPTS[0])])["a"]
    second = run(engine, [greedy("b", PROMPTS[0])])["b"]
    runner.close()
    assert finish_of(second).usage.cached_tokens == finish_of(second).usage.prompt_tokens - 1
    assert runner.records[0].tokens == runner.records[1].tokens
    assert text_of(first, Channel.CONTENT) == text_of(second, Channel.CONTENT)


def test_the_thought_is_counted_token_by_token(model: Path) -> None:
    """Against the ids: the bundled vocabulary has the closing tag as one token."""
    runner = opened(model)
    events = run(Engine(runner), [greedy("r", PROMPTS[2])])["r"]
    (close,) = runner.tokenize("</think>", special=True)
    (record,) = runner.records
    usage = finish_of(events).usage
    runner.close()
    assert usage.reasoning_tokens == record.tokens.index(close)
    assert usage.completion_tokens == len(record.tokens)


@pytest.mark.slow
@pytest.mark.anyio
async def test_batched_greedy_output_equals_that_alone_through_the_child(model: Path) -> None:
    process = EngineProcess(EngineConfig(model_path=model))
    await process.start()

    async def answer(request_id: str, text: str) -> tuple[str, str, int]:
        events: list[Event] = [event async for event in process.generate(greedy(request_id, text))]
        tokens = finish_of(events).usage.completion_tokens
        return text_of(events, Channel.REASONING), text_of(events, Channel.CONTENT), tokens

    try:
        together = await asyncio.gather(*(answer(f"together {i}", text) for i, text in enumerate(PROMPTS)))
        assert together == [await answer(f"alone {i}", text) for i, text in enumerate(PROMPTS)]
    finally:
        await process.stop()


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_reply_is_taken_apart_and_gone_on_from_through_the_child(model: Path) -> None:
    process = EngineProcess(EngineConfig(model_path=model))
    await process.start()
    try:
        first: list[Event] = [event async for event in process.generate(greedy("first", PROMPTS[2]))]
        thought, answer = text_of(first, Channel.REASONING), text_of(first, Channel.CONTENT)
        tokens = finish_of(first).tokens
        pieces = (await process.pieces(tokens)).pieces
        assert b"".join(pieces).decode() == f"{thought}\n</think>\n\n{answer}"
        special = (Segment("<｜User｜>", True), Segment("<think> 12", False))
        assert b"".join((await process.tokenize(special)).pieces).decode() == "<｜User｜><think> 12"
        for cut, n_chars in (("think_end", 0), ("char", 20), ("end", 0)):
            begun = Begun(tokens=tokens, cut=cut, n_chars=n_chars, echo=True)  # type: ignore[arg-type]
            asked = msgspec.structs.replace(greedy(f"fork {cut}", PROMPTS[2]), begun=begun)
            fork: list[Event] = [event async for event in process.generate(asked)]
            assert (text_of(fork, Channel.REASONING), text_of(fork, Channel.CONTENT)) == (thought, answer)
            usage = finish_of(fork).usage
            assert usage.prompt_tokens - usage.cached_tokens <= 3
    finally:
        await process.stop()


@pytest.mark.slow
@pytest.mark.anyio
async def test_kill_9_during_four_streams_of_the_real_model(model: Path) -> None:
    process = EngineProcess(EngineConfig(model_path=model))
    await process.start()
    parent, old_pid = os.getpid(), process.pid
    assert old_pid is not None
    started = [asyncio.Event() for _ in range(4)]

    async def stream(i: int) -> list[Event]:
        events: list[Event] = []
        # a closing tag that cannot come keeps the stream going
        endless = request(f"r{i}", PROMPTS[i], temperature=1.0, logit_bias={5: 100.0})
        async for event in process.generate(endless):
            events.append(event)
            if isinstance(event, TokenOutput):
                started[i].set()
        return events

    try:
        tasks = [asyncio.create_task(stream(i)) for i in range(4)]
        await asyncio.gather(*(event.wait() for event in started))
        os.kill(old_pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [EngineStoppedError] * 4
        events: list[Event] = [event async for event in process.generate(greedy("next", PROMPTS[2]))]
        assert finish_of(events).usage.completion_tokens > 0
        assert process.pid != old_pid
        assert os.getpid() == parent
    finally:
        await process.stop()
