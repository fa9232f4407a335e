"""Thoughts under control in the engine, on a scripted runner: how they end, what is said of it, what it costs."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, Literal

import msgspec
import pytest
from engine_tools import finish_of, request, run, scripted_config, scripted_engine, terminals, text_of
from scripted_runner import ScriptedRunner

from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.request import (
    Accepted,
    Begun,
    Channel,
    Event,
    Finished,
    FinishReason,
    ThoughtEnded,
    TokenOutput,
)
from r1chat.serve.engine.speculation import PromptLookup, Speculator
from r1chat.serve.errors import ContextLengthError

WORDS = " ".join(f"w{i}" for i in range(400))
LOOP = "so it is. " * 100

Action = Literal["answer_now", "think_more"]
CUTS: tuple[Literal["end", "char", "think_end"], ...] = ("end", "char", "think_end")


def thought_ended(events: list[Event]) -> ThoughtEnded:
    (ended,) = [event for event in events if isinstance(event, ThoughtEnded)]
    return ended


def stepped(engine: Engine, n_steps: int) -> list[Event]:
    return [event for _ in range(n_steps) for event in engine.step()]


def controlled(script: str, action: Action, *, after: int = 8, **params: Any) -> tuple[Engine, list[Event]]:
    """An engine with one request "r", to which `action` came after so many steps; all its events."""
    engine, _ = scripted_engine(script=script)
    engine.add_request(request("r", **params))
    events = stepped(engine, after)
    assert engine.control("r", action)
    return engine, events + run(engine)["r"]


CAUSES: dict[str, tuple[str, dict[str, Any]]] = {
    "natural": ("w1 w2 w3\n</think>\n\nThe answer.", {}),
    "budget": (WORDS, {"reasoning_budget": 20, "reasoning_grace": 0}),
    "soft_landing": ("so it goes. " * 20, {"reasoning_budget": 20, "reasoning_grace": 5}),
    "loop": (LOOP, {}),
    "reserve": (WORDS, {"max_tokens": 100}),
    "eos_in_think": ("w1 w2 w3", {}),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_cause_is_said_once_between_thought_and_answer(cause: str) -> None:
    script, params = CAUSES[cause]
    engine, _ = scripted_engine(script=script)
    events = run(engine, [request("r", **params)])["r"]
    finished, ended = finish_of(events), thought_ended(events)
    assert (finished.reasoning_end, ended.cause) == (cause, cause)
    assert (finished.evidence, ended.evidence) == (ended.evidence, finished.evidence)
    assert (ended.evidence is not None) == (cause == "loop")
    assert ended.tokens == finished.usage.reasoning_tokens > 0
    channels = [event.channel if isinstance(event, TokenOutput) else None for event in events[1:-1]]
    at = channels.index(None)
    assert set(channels[:at]) == {Channel.REASONING} and set(channels[at + 1 :]) == {Channel.CONTENT}
    assert text_of(events, Channel.CONTENT).strip()
    assert "think>" not in text_of(events, Channel.CONTENT) + text_of(events, Channel.REASONING)


def test_a_request_without_a_thought_is_left_alone() -> None:
    plain = msgspec.structs.replace(request("r", max_tokens=3), reasoning_open=False)
    engine, _ = scripted_engine(script=WORDS)
    events = run(engine, [plain])["r"]
    finished = finish_of(events)
    assert text_of(events, Channel.CONTENT) == "w0 w1 w2"
    assert (finished.reason, finished.reasoning_end) == (FinishReason.LENGTH, None)
    assert not any(isinstance(event, ThoughtEnded) for event in events)
    assert engine.stats().steps_total == 3

    ends_at_once, _ = scripted_engine(script="")
    assert finish_of(run(ends_at_once, [plain])["r"]).usage.completion_tokens == 1, "EOS is not forbidden"


def test_a_thought_that_nobody_wants_is_none_and_one_without_room_ends_by_the_reserve() -> None:
    engine, _ = scripted_engine()
    unwanted = run(engine, [request("a", reasoning_budget=0)])["a"]
    assert finish_of(unwanted).reasoning_end is None
    assert not any(isinstance(event, ThoughtEnded) for event in unwanted)
    cramped = run(engine, [request("b", max_tokens=10)])["b"]
    assert thought_ended(cramped) == ThoughtEnded("b", "reserve", 0)
    assert text_of(cramped, Channel.CONTENT) == "The answer is \\boxed{9}."


def test_answer_now_is_carried_out_between_steps_and_costs_one_decode() -> None:
    engine, events = controlled(f"{WORDS}\n</think>\n\nThe answer.", "answer_now")
    finished = finish_of(events)
    assert finished.reasoning_end == "user"
    assert text_of(events, Channel.REASONING) == "w0 w1 w2 w3 w4 w5 w6 w7", "no token is drawn after it"
    assert text_of(events, Channel.CONTENT) == "The answer."
    n_drawn = 8 + len(["The", " answer.", "EOS"])
    assert engine.stats().steps_total == n_drawn
    assert finished.usage.completion_tokens == n_drawn + len(["\n", "</think>", "\n\n"])


def test_answer_now_while_the_prompt_waits_or_is_computed_ends_the_thought_before_it_begins() -> None:
    for n_steps in (0, 1):
        engine, _ = scripted_engine(n_batch=64)
        engine.add_request(request("r", "word " * 200))
        events = stepped(engine, n_steps)
        assert engine.control("r", "answer_now")
        events += run(engine)["r"]
        assert thought_ended(events).cause == "user"
        assert text_of(events, Channel.REASONING) == ""
        assert text_of(events, Channel.CONTENT) == "The answer is \\boxed{9}."
        assert finish_of(events).timings.reasoning_s >= 0


def test_think_more_goes_on_where_the_thought_would_have_ended() -> None:
    _, events = controlled("w1 w2 w3 w4 w5 w6\n</think> w7 w8\n</think>\n\nDone.", "think_more", after=2)
    assert text_of(events, Channel.REASONING) == "w1 w2 w3 w4 w5 w6\nWait w7 w8"
    assert finish_of(events).reasoning_end == "natural"


@pytest.mark.parametrize("action", ["answer_now", "think_more"])
@pytest.mark.parametrize("closing", ["</think>", "EOS"])
def test_penalties_count_what_stands_in_the_reply_and_nothing_that_was_taken_back(action: Action, closing: str) -> None:
    script = f"w1 w2 w3 w4 w5 w6\n{closing} w7 w8\n</think>\n\nDone."
    engine, runner = scripted_engine(script=script.partition("EOS")[0])
    engine.add_request(request("r", max_tokens=60))
    stepped(engine, 2)
    assert engine.control("r", action)
    finished = finish_of(run(engine)["r"])
    assert runner.sampler
    assert +runner.sampler.counted == Counter(finished.tokens) + Counter([0])


def test_control_is_refused_where_no_thought_goes_on() -> None:
    engine, _ = scripted_engine()
    assert not engine.control("nobody", "answer_now")
    engine.add_request(request("r", reasoning_budget=0))
    assert not engine.control("r", "answer_now") and not engine.control("r", "think_more")
    run(engine)
    assert not engine.control("r", "answer_now")


def test_a_request_aborted_after_answer_now_says_its_last_words_before_its_end() -> None:
    engine, _ = scripted_engine()
    engine.add_request(request("r"))
    stepped(engine, 5)
    engine.control("r", "answer_now")
    events = engine.abort("r")
    assert thought_ended(events).cause == "user"
    assert finish_of(events).reason is FinishReason.ABORT
    assert not engine.has_work


def test_the_end_says_all_tokens_of_the_reply_but_the_last_that_ends_it() -> None:
    engine, runner = scripted_engine()
    for budget in (None, 0, 5):
        events = run(engine, [request(f"r{budget}", reasoning_budget=budget)])[f"r{budget}"]
        text = b"".join(map(runner.piece, finish_of(events).tokens)).decode()
        thought, _, answer = text.partition("</think>")
        assert thought.strip() == text_of(events, Channel.REASONING)
        assert answer.strip() == text_of(events, Channel.CONTENT)


@pytest.mark.parametrize("seed", range(20))
def test_thoughts_are_ended_and_gone_on_from_in_a_crowded_cache_and_books_agree(seed: int) -> None:
    """Random budgets, controls, aborts and replies that go on, with drafts, and a cache too small for all."""
    rng = random.Random(seed)
    runner = ScriptedRunner(scripted_config(n_seq_max=4, n_ctx=512, n_cells=600, script=f"{WORDS}\n</think>\n\nDone."))
    drafts = PromptLookup if seed % 2 else None
    engine = Engine(runner, host=HostCache(3000), make_speculator=drafts and (lambda _: Speculator(drafts())))
    events: list[Event] = []
    tokens: list[tuple[int, ...]] = [()]
    from_end: set[str] = set()
    for i in range(40):
        params = {"max_tokens": rng.choice([1, 25, 200]), "reasoning_budget": rng.choice([None, 0, 5, 60])}
        cut = rng.choice(CUTS)
        begun = Begun(tokens=rng.choice(tokens), cut=cut, n_chars=0, echo=rng.random() < 0.5)
        from_end |= {f"r{i}"} if cut == "end" else set()
        each = request(f"r{i}", f"q{i % 5} " + "word " * rng.randrange(100), **params)
        try:
            events.append(
                engine.add_request(msgspec.structs.replace(each, begun=begun if rng.random() < 0.5 else None))
            )
        except ContextLengthError:
            continue
        for _ in range(rng.randrange(8)):
            events += engine.step()
            engine.control(f"r{rng.randrange(i + 1)}", rng.choice(["answer_now", "think_more"]))
            if rng.random() < 0.05:
                events += engine.abort(f"r{rng.randrange(i + 1)}")
            tokens += [event.tokens for event in events if isinstance(event, Finished)][-3:]
    events += [event for rest in run(engine).values() for event in rest]
    accepted = [event.request_id for event in events if isinstance(event, Accepted)]
    for request_id in accepted:
        own = [event for event in events if event.request_id == request_id]
        check_order(own, may_be_whole=request_id in from_end)
    assert runner.n_used == engine.stats().kv_cells_used
    assert engine.stats().sequences == 0 and not engine.has_work


def check_order(events: list[Event], *, may_be_whole: bool) -> None:
    """Accepted, thought, its end, answer, Finished. `may_be_whole`: what it went on from may have been all."""
    assert isinstance(events[0], Accepted) and len(terminals(events)) == 1
    finished = finish_of(events)
    ends = [i for i, event in enumerate(events) if isinstance(event, ThoughtEnded)]
    assert len(ends) == (finished.reasoning_end is not None)
    for end in ends:
        assert not text_of(events[:end], Channel.CONTENT) and not text_of(events[end:], Channel.REASONING)
        assert events[end].tokens == finished.usage.reasoning_tokens  # type: ignore[union-attr]
    if finished.reason is not FinishReason.ABORT and finished.reasoning_end != "length" and not may_be_whole:
        assert text_of(events, Channel.CONTENT).strip()
    assert "think>" not in text_of(events, Channel.CONTENT)
