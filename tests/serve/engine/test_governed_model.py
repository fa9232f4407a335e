"""Thoughts under control on the bundled model: whatever ends one, it is said right, counted right, and answered."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from engine_tools import bundled_model, finish_of, request, run, text_of
from forward_tools import OpenModel
from recording_runner import UntimedRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.request import Begun, Channel, Event, PrepareRequest, Segment, ThoughtEnded

pytestmark = pytest.mark.model

QUESTIONS = ["What is 12 + 30?", "What is 15% of 240?", "How many times does the letter r appear in strawberry?"]


@pytest.fixture(scope="module")
def runner() -> LlamaModelRunner:
    return UntimedRunner(EngineConfig(model_path=bundled_model(), n_threads=1, n_cells=8192))


@pytest.fixture(scope="module")
def engine(runner: LlamaModelRunner) -> Iterator[Engine]:
    engine = Engine(runner)
    yield engine
    engine.close()


def one(runner: LlamaModelRunner, name: str) -> int:
    (token,) = runner.tokenize(name, special=True)
    return token


def check(runner: LlamaModelRunner, events: list[Event], cause: str | None) -> None:
    """Against the ids: the bundled vocabulary has the closing tag as one token."""
    finished = finish_of(events)
    assert finished.reasoning_end == cause
    assert [event.cause for event in events if isinstance(event, ThoughtEnded)] == [cause] * (cause is not None)
    close = one(runner, "</think>")
    assert finished.tokens.count(close) >= 1
    assert finished.usage.reasoning_tokens == finished.tokens.index(close)
    answer = text_of(events, Channel.CONTENT)
    assert answer.strip()
    assert "think>" not in answer + text_of(events, Channel.REASONING)


CAUSES: dict[str, dict[str, Any]] = {
    "natural": {},
    "budget": {"reasoning_budget": 9, "reasoning_grace": 0},
    "soft_landing": {"reasoning_budget": 20},
    "reserve": {"max_tokens": 30},
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_is_said_and_counted(engine: Engine, runner: LlamaModelRunner, cause: str) -> None:
    events = run(engine, [request("r", QUESTIONS[0], temperature=0.0, **CAUSES[cause])])["r"]
    check(runner, events, cause)


def test_an_end_inside_the_thought_is_not_the_end(engine: Engine, runner: LlamaModelRunner) -> None:
    bias = {one(runner, "<｜end▁of▁sentence｜>"): 100.0}
    events = run(engine, [request("r", QUESTIONS[0], temperature=0.0, logit_bias=bias)])["r"]
    check(runner, events, "eos_in_think")


@pytest.mark.slow
def test_a_loop_is_broken_and_its_evidence_reported(engine: Engine, runner: LlamaModelRunner) -> None:
    bias = {runner.tokenize(" so", special=False)[0]: 30.0}
    events = run(engine, [request("r", QUESTIONS[0], temperature=0.0, logit_bias=bias, max_tokens=2000)])["r"]
    check(runner, events, "loop")
    assert "over and over" in (finish_of(events).evidence or "")


def test_answer_now_is_the_next_thing_that_happens(engine: Engine, runner: LlamaModelRunner) -> None:
    engine.add_request(request("r", QUESTIONS[1], temperature=0.0))
    events = [event for _ in range(5) for event in engine.step()]
    assert engine.control("r", "answer_now")
    events += run(engine)["r"]
    check(runner, events, "user")
    assert finish_of(events).usage.reasoning_tokens <= 6, "five were drawn, and a line break may have been put in"


def test_a_forced_close_costs_one_decode(engine: Engine, runner: LlamaModelRunner) -> None:
    for cause in ("budget", "reserve"):
        before = engine.stats().steps_total
        events = run(engine, [request("r", QUESTIONS[0], temperature=0.0, **CAUSES[cause])])["r"]
        finished = finish_of(events)
        at = finished.tokens.index(one(runner, "</think>"))
        n_put = len(runner.tokenize("</think>\n\n", special=True)) + (runner.piece(finished.tokens[at - 1]) == b"\n")
        assert n_put > 2
        assert engine.stats().steps_total - before == finished.usage.completion_tokens - n_put


@pytest.mark.slow
def test_no_budget_and_no_limit_leaves_an_answer_empty(engine: Engine, runner: LlamaModelRunner) -> None:
    rng = random.Random(4)
    plans = [
        {
            "reasoning_budget": rng.choice([0, 1, rng.randrange(20), rng.randrange(200)]),
            "max_tokens": 20 + rng.randrange(100),
        }
        for _ in range(100)
    ]
    requests = [
        request(f"r{i}", rng.choice(QUESTIONS), temperature=1.0, seed=i, reasoning_grace=rng.choice([0, 8, 32]), **plan)
        for i, plan in enumerate(plans)
    ]
    events = run(engine, requests)
    for each in requests:
        finished = finish_of(events[each.request_id])
        budget, grace = each.params.reasoning_budget, each.params.reasoning_grace
        assert budget is not None
        check(runner, events[each.request_id], finished.reasoning_end)
        assert (finished.reasoning_end is None) == (budget == 0)
        assert finished.usage.reasoning_tokens <= budget + grace
        assert finished.usage.completion_tokens <= (each.params.max_tokens or 0)


@pytest.mark.slow
def test_a_fork_behind_a_long_thought_computes_next_to_nothing_after_the_next_turn_was_prepared(
    open_model: OpenModel,
) -> None:
    runner = open_model(n_cells=4096)
    engine = Engine(runner, host=HostCache(1 << 30))
    never = {token: -100.0 for token in (runner.tokenize("</think>", special=True)[0],)}
    budget = {"reasoning_budget": 500, "reasoning_grace": 0, "max_tokens": 700}
    first = request("first", "hello there", temperature=1.5, seed=1, logit_bias=never, **budget)
    finished = finish_of(run(engine, [first])["first"])
    assert finished.usage.reasoning_tokens == 500
    answered = (*first.prompt[:-1], Segment("an answer", False))
    for i in range(3):
        engine.prepare(PrepareRequest(request_id=f"next {i}", prompt=answered, replaces="first"))
        run(engine)
        # others come and go meanwhile
        run(engine, [request(f"other {i}", f"{i} " + "word " * 300, max_tokens=20)])
    fork = msgspec.structs.replace(
        first,
        request_id="fork",
        begun=Begun(tokens=finished.tokens, cut="think_end", segments=(Segment("So it is", False),)),
        params=msgspec.structs.replace(first.params, reasoning_budget=None),
    )
    usage = finish_of(run(engine, [fork])["fork"]).usage
    assert engine.stats().restores_total == 1, "it had left the cache"
    assert usage.prompt_tokens > 500
    assert usage.prompt_tokens - usage.cached_tokens < 32
