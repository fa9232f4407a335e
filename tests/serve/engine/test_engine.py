"""Engine.step() on a scripted runner: every request ends once, with the right text, counts and reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from engine_tools import finish_of, request, run, scripted_config, scripted_engine, terminals, text_of
from scripted_runner import FILLER, SCRIPT, ScriptedRunner

from r1chat.serve.engine.batch import Batch
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.model_runner import KVFullError
from r1chat.serve.engine.request import (
    Accepted,
    Channel,
    Event,
    Failed,
    FinishReason,
    GenerateRequest,
    PrepareRequest,
    Priority,
    SamplingParams,
    Segment,
    TokenOutput,
)
from r1chat.serve.errors import ContextLengthError, InvalidRequestError

THOUGHT, ANSWER = "Let me count the sheep.\nAll but nine ran away, so nine are left.", "The answer is \\boxed{9}."


def test_a_request_is_accepted_then_thinks_then_answers_then_ends() -> None:
    engine, _ = scripted_engine()
    events = run(engine, [request("r")])["r"]
    assert events[0] == Accepted("r", prompt_tokens=6)
    assert text_of(events, Channel.REASONING) == THOUGHT
    assert text_of(events, Channel.CONTENT) == ANSWER
    finished = finish_of(events)
    assert finished.reason is FinishReason.STOP
    assert (finished.usage.completion_tokens, finished.usage.reasoning_tokens) == (20, 14)
    assert finished.timings.reasoning_s > 0
    assert len(terminals(events)) == 1


def test_sixteen_requests_share_steps_and_all_get_their_text() -> None:
    engine, runner = scripted_engine()
    n_steps = 0
    forward = runner.forward

    def counted(batch: Batch) -> None:
        nonlocal n_steps
        n_steps += 1
        forward(batch)

    runner.forward = counted  # type: ignore[method-assign]
    events = run(engine, [request(f"r{i}", f"question {i}") for i in range(16)])
    assert {text_of(each, Channel.CONTENT) for each in events.values()} == {ANSWER}
    assert n_steps < 2 * 20 + 8, "one forward pass serves all"


def test_more_requests_than_sequences_all_end() -> None:
    engine, _ = scripted_engine(n_seq_max=3)
    events = run(engine, [request(f"r{i}") for i in range(20)])
    assert all(len(terminals(each)) == 1 for each in events.values())
    assert engine.stats().sequences == 0


def test_abort_frees_the_sequence_before_the_next_step() -> None:
    engine, _ = scripted_engine()
    for name in "ab":
        engine.add_request(request(name, name))
    engine.step()
    (finished,) = engine.abort("a")
    assert terminals([finished]) and finish_of([finished]).reason is FinishReason.ABORT
    assert engine.stats().sequences == 1
    assert engine.abort("a") == [], "the second time there is nothing to end"
    assert all(event.request_id == "b" for events in run(engine).values() for event in events)


def test_abort_in_the_queue_and_in_the_middle_of_a_prompt() -> None:
    engine, _ = scripted_engine(n_seq_max=1)
    engine.add_request(request("prefilling", "word " * 300))
    engine.add_request(request("queued"))
    engine.step()
    assert engine.abort("queued") and engine.abort("prefilling")
    assert not engine.has_work
    assert engine.stats().sequences == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_every_request_ends_exactly_once_whatever_happens(seed: int) -> None:
    """Random arrivals, aborts, broken requests and a cache too small for all."""
    rng = random.Random(seed)
    engine, runner = scripted_engine(n_seq_max=4, n_ctx=512, n_cells=512, script="word " * 150)
    events: list[Event] = []
    added: set[str] = set()
    for i in range(60):
        text = rng.choice(["short", "word " * rng.randrange(200), "NAN", "REFUSE", "x " * 600])
        try:
            events.append(engine.add_request(request(f"r{i}", text, max_tokens=rng.randrange(1, 400))))
            added.add(f"r{i}")
        except ContextLengthError:
            assert text.startswith("x ")
        for _ in range(rng.randrange(12)):
            events += engine.step()
        if rng.random() < 0.3:
            events += engine.abort(f"r{rng.randrange(i + 1)}")
    events += [event for each in run(engine).values() for event in each]
    assert sorted(event.request_id for event in terminals(events)) == sorted(added)
    assert engine.stats().sequences == 0
    assert runner.n_used == engine.stats().kv_cells_used, "books and cells agree"


def test_a_request_that_was_thrown_out_for_room_goes_on_where_it_was() -> None:
    script = " ".join(f"w{i}" for i in range(400))
    engine, _ = scripted_engine(n_ctx=600, n_cells=700, script=script)
    events = run(engine, [request("a", "one"), request("b", "two")])
    for each in events.values():
        assert text_of(each, Channel.REASONING) == script
        assert finish_of(each).usage.reasoning_tokens == 401, "with the line break before the closing tag"


def test_the_same_prompt_again_is_served_from_the_cache() -> None:
    engine, _ = scripted_engine()
    first = finish_of(run(engine, [request("a", "one two three")])["a"]).usage
    second = finish_of(run(engine, [request("b", "one two three")])["b"]).usage
    assert first.cached_tokens == 0
    assert second.cached_tokens == second.prompt_tokens - 1


def test_max_tokens_and_the_end_of_the_context_give_length() -> None:
    engine, _ = scripted_engine(n_ctx=64, script="a</think>" + "word " * 500)
    events = run(engine, [request("few", max_tokens=7), request("all", max_tokens=None)])
    few, all_ = finish_of(events["few"]), finish_of(events["all"])
    assert (few.reason, few.usage.completion_tokens) == (FinishReason.LENGTH, 7)
    assert (all_.reason, all_.usage.prompt_tokens + all_.usage.completion_tokens) == (FinishReason.LENGTH, 64)
    assert (few.reasoning_end, all_.reasoning_end) == ("reserve", "natural")


def test_a_prompt_that_leaves_no_room_is_refused_with_both_numbers() -> None:
    engine, runner = scripted_engine(n_ctx=64)
    with pytest.raises(ContextLengthError) as caught:
        engine.add_request(request("r", ("word " * 59).strip()))
    assert (caught.value.prompt_tokens, caught.value.n_ctx) == (64, 64)
    assert not engine.has_work
    with pytest.raises(ContextLengthError):
        engine.add_request(request("no answer", ("word " * 58).strip()))
    engine.add_request(request("fits", ("word " * 56).strip()))
    events = run(engine)["fits"]
    assert finish_of(events).usage.completion_tokens == 1
    assert text_of(events, Channel.CONTENT) == "The", "its thought was closed for want of room"
    assert runner.cells


def test_what_cannot_be_done_is_refused_before_any_work() -> None:
    engine, _ = scripted_engine()
    with pytest.raises(InvalidRequestError):
        engine.add_request(request("r", max_tokens=0))
    with pytest.raises(InvalidRequestError):
        engine.add_request(request("r"), tokens=[])
    assert not engine.has_work


def test_an_id_can_only_be_live_once() -> None:
    engine, _ = scripted_engine()
    engine.add_request(request("r"))
    with pytest.raises(InvalidRequestError):
        engine.add_request(request("r"))


def test_non_finite_logits_fail_their_request_only() -> None:
    engine, _ = scripted_engine()
    events = run(engine, [request("bad", "NAN"), request("good")])
    assert isinstance(events["bad"][-1], Failed)
    assert events["bad"][-1].error == "NonFiniteLogitsError"
    assert text_of(events["good"], Channel.CONTENT) == ANSWER


def test_a_batch_that_is_refused_fails_only_the_request_to_blame() -> None:
    engine, _ = scripted_engine()
    names = [f"r{i}" for i in range(5)]
    events = run(engine, [request(name, "REFUSE" if name == "r3" else "hello") for name in names])
    assert [name for name in names if isinstance(events[name][-1], Failed)] == ["r3"]
    assert {text_of(events[name], Channel.CONTENT) for name in names if name != "r3"} == {ANSWER}


class Cramped(ScriptedRunner):
    """Says that it has more cells than it has, as a fragmented cache would."""

    real_cells = 60

    def forward(self, batch: Batch) -> None:
        if sum(map(len, self.cells.values())) + batch.n_rows > self.real_cells:
            raise KVFullError("no room")
        super().forward(batch)


def test_a_full_cache_ends_only_the_request_that_no_longer_fits_and_with_length() -> None:
    script = " ".join(f"w{i}" for i in range(40))
    engine = Engine(Cramped(scripted_config(script=script)))
    long_script_fits = run(engine, [request("a"), request("b")])
    assert all(finish_of(each).reason is FinishReason.STOP for each in long_script_fits.values())
    Cramped.real_cells = 30
    try:
        (alone,) = run(engine, [request("c")]).values()
    finally:
        Cramped.real_cells = 60
    assert finish_of(alone).reason is FinishReason.LENGTH
    assert text_of(alone, Channel.REASONING).startswith("w0 w1 w2")


def test_a_prompt_that_the_memory_does_not_take_is_an_error_and_no_empty_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cramped, "real_cells", 3)
    engine = Engine(Cramped(scripted_config(script="w0")))
    (events,) = run(engine, [request("a", "one two three four five six")]).values()
    assert isinstance(events[-1], Failed) and not engine.has_work


def test_stop_strings_end_the_answer_across_tokens_and_never_the_thought() -> None:
    engine, _ = scripted_engine()
    events = run(engine, [request("r", stop=("nine ran", "answer is"))])["r"]
    assert text_of(events, Channel.REASONING) == THOUGHT
    assert text_of(events, Channel.CONTENT) == "The "
    assert finish_of(events).reason is FinishReason.STOP


def test_eos_inside_the_thought_closes_it_and_an_answer_follows() -> None:
    engine, _ = scripted_engine(script="so far, so good")
    events = run(engine, [request("r")])["r"]
    assert text_of(events, Channel.REASONING) == "so far, so good"
    assert text_of(events, Channel.CONTENT) == FILLER
    finished = finish_of(events)
    assert finished.reasoning_end == "eos_in_think"
    assert finished.usage.reasoning_tokens == 5, "with the line break before the closing tag"
    assert finished.usage.completion_tokens == 5 + 2 + 1 + 1, "the closing run, the answer, EOS"


def test_tokens_on_the_deltas_add_up_to_the_usage() -> None:
    engine, _ = scripted_engine()
    events = run(engine, [request("r")])["r"]
    outputs = [event for event in events if isinstance(event, TokenOutput)]
    tokens = sum(output.tokens for output in outputs if output.channel is Channel.REASONING)
    assert tokens == finish_of(events).usage.reasoning_tokens
    assert SCRIPT.startswith(text_of(events, Channel.REASONING))


class Oracle:
    """Drafts from a script; every fourth guess is wrong."""

    def __init__(self, prompt: list[int], continuation: list[int]) -> None:
        self._start = len(prompt)
        self._continuation = continuation

    def draft(self, tokens: list[int], n_rows: int, costs: object, limit: int) -> list[int]:
        at = len(tokens) - self._start
        guesses = self._continuation[at : at + min(3, limit)]
        return [5 if (at + i) % 4 == 3 else guess for i, guess in enumerate(guesses)]


def with_drafts(runner: ScriptedRunner) -> Engine:
    continuation = [*runner.tokenize(SCRIPT, special=False), 0]
    return Engine(runner, make_speculator=lambda prompt: Oracle(prompt, continuation))  # type: ignore[arg-type, return-value]


def resident_texts(runner: ScriptedRunner) -> list[bytes]:
    return sorted(b"".join(map(runner.piece, cells)) for cells in runner.cells.values() if cells)


@pytest.mark.parametrize("params", [{}, {"max_tokens": 32}, {"stop": ("answer is",)}])
def test_drafts_right_and_wrong_change_neither_text_nor_counts_nor_cache(params: dict[str, Any]) -> None:
    plain, plain_runner = scripted_engine()
    runner = ScriptedRunner(scripted_config())
    drafting = with_drafts(runner)
    expected = run(plain, [request("r", **params), request("s", "other", **params)])
    events = run(drafting, [request("r", **params), request("s", "other", **params)])
    for name in "rs":
        for channel in Channel:
            assert text_of(events[name], channel) == text_of(expected[name], channel)
        usage, plain_usage = finish_of(events[name]).usage, finish_of(expected[name]).usage
        assert usage.completion_tokens == plain_usage.completion_tokens
        assert usage.reasoning_tokens == plain_usage.reasoning_tokens
        assert 0 < usage.accepted_tokens < usage.drafted_tokens
    assert drafting.stats().kv_cells_used == runner.n_used
    assert resident_texts(runner) == resident_texts(plain_runner)


def test_accepted_drafts_save_steps() -> None:
    plain, _ = scripted_engine()
    run(plain, [request("r")])
    drafting = with_drafts(ScriptedRunner(scripted_config()))
    run(drafting, [request("r")])
    assert drafting.stats().steps_total < 0.7 * plain.stats().steps_total


def prepare(engine: Engine, request_id: str, text: str, replaces: str = "") -> None:
    engine.prepare(PrepareRequest(request_id=request_id, prompt=(Segment(text, False),), replaces=replaces))


def test_a_prepared_prompt_makes_no_events_and_saves_its_tokens() -> None:
    engine, _ = scripted_engine()
    prepare(engine, "next", "one two three four five six")
    while engine.has_work:
        assert engine.step() == []
    turn = GenerateRequest(request_id="turn", prompt=(Segment("one two three four five six seven eight", False),))
    usage = finish_of(run(engine, [turn])["turn"]).usage
    assert usage.prompt_tokens - usage.cached_tokens == 2
    assert engine.stats().prepared_tokens_total == 6


def test_the_turn_after_a_deterministic_reply_is_prepared_where_it_looks_for_it() -> None:
    engine, _ = scripted_engine()
    prompt = (Segment("one two three four five six", False),)
    engine.prepare(PrepareRequest(request_id="next", prompt=prompt, deterministic=True))
    run(engine)
    later = (Segment("one two three four five six seven eight", False),)
    for deterministic, n_new in ((False, 8), (True, 2)):
        name = f"turn {deterministic}"
        turn = GenerateRequest(request_id=name, prompt=later, deterministic=deterministic)
        usage = finish_of(run(engine, [turn])[name]).usage
        assert usage.prompt_tokens - usage.cached_tokens == n_new


def test_a_stop_string_that_was_held_back_to_the_end_is_why_the_text_ended() -> None:
    engine, _ = scripted_engine(script="b\n")
    params = SamplingParams(stop=("\n",), max_tokens=2, governed=False)
    raw = GenerateRequest(request_id="r", prompt=(Segment("a", False),), params=params)
    finished = finish_of(run(engine, [raw])["r"])
    assert (finished.reason, finished.stop) == (FinishReason.STOP, "\n")


def test_a_prompt_that_cannot_fit_is_not_prepared() -> None:
    engine, _ = scripted_engine(n_ctx=64)
    prepare(engine, "next", "word " * 100)
    assert not engine.has_work


@pytest.mark.parametrize("under_way", ["prepared", "answered"])
def test_what_is_put_by_holds_what_was_under_way_too(under_way: str) -> None:
    engine, runner = scripted_engine(host_bytes=1 << 20)
    text = "word" + " word" * 599
    if under_way == "prepared":
        prepare(engine, "next", text)
    else:
        engine.add_request(request("r", text))
    amid_a_step(runner, lambda: engine.give_way("r"))
    engine.step()
    n_computed = engine.stats().kv_cells_used
    assert 0 < n_computed < 600
    (entry,) = engine.put_by()
    assert len(entry.ids) == n_computed
    assert not engine.has_work and engine.stats().sequences == 0


def amid_a_step(runner: ScriptedRunner, act: Callable[[], None]) -> None:
    """Calls it once, when the next forward pass has computed a piece and has others before it."""
    pause, n_pauses = runner._pause, 0

    def counted(seconds: float) -> None:
        nonlocal n_pauses
        n_pauses += 1
        if n_pauses == 3:  # one comes before all pieces, and one with each
            act()
        pause(seconds)

    runner._pause = counted  # type: ignore[method-assign]


def test_work_ahead_gives_way_to_a_request_and_goes_on_afterwards() -> None:
    engine, runner = scripted_engine()
    prepare(engine, "next", "word" + " word" * 599)
    amid_a_step(runner, engine.give_way)
    assert engine.step() == []
    assert engine.stats().interrupts_total == 1
    assert 0 < runner.n_used < 600
    assert runner.n_used == engine.stats().kv_cells_used, "what was computed before the interrupt counts"
    events = run(engine, [request("r")])
    assert text_of(events["r"], Channel.CONTENT) == ANSWER
    assert engine.stats().prepared_tokens_total == 600


def test_a_request_that_somebody_waits_for_is_not_interrupted() -> None:
    engine, runner = scripted_engine()
    engine.add_request(request("r", "word " * 200))
    told: list[str] = []

    def give_way() -> None:
        engine.give_way()
        told.append("give way")

    amid_a_step(runner, give_way)
    engine.step()
    assert told and engine.stats().interrupts_total == 0


def test_the_prompt_of_a_request_that_lost_its_owner_is_cut_short() -> None:
    engine, runner = scripted_engine()
    engine.add_request(request("r", "word " * 600))
    amid_a_step(runner, lambda: engine.give_way(aborted="r"))
    engine.step()
    assert engine.stats().interrupts_total == 1
    assert 0 < runner.n_used < 600
    assert terminals(engine.abort("r"))
    assert engine.stats().sequences == 0


def test_a_long_chat_comes_back_from_host_memory() -> None:
    engine, _ = scripted_engine(n_ctx=512, n_cells=512, host_bytes=100_000)
    chats = [f"chat {i} " + "word " * 200 for i in range(4)]
    for i, text in enumerate(chats):
        run(engine, [request(f"first {i}", text, max_tokens=2)])
    for i, text in enumerate(chats):
        usage = finish_of(run(engine, [request(f"again {i}", text, max_tokens=2)])[f"again {i}"]).usage
        assert usage.prompt_tokens - usage.cached_tokens == 1
    stats = engine.stats()
    assert stats.restores_total >= 2
    assert stats.evictions_total > 0
    assert stats.host_entries > 0


def test_requests_of_all_classes_end_in_a_crowded_cache() -> None:
    engine, runner = scripted_engine(n_seq_max=3, n_ctx=512, n_cells=600, host_bytes=2000, script="word " * 100)
    classes = [Priority.BACKGROUND, Priority.BATCH, Priority.INTERACTIVE]
    requests = [
        msgspec.structs.replace(request(f"r{i}", f"text {i} " + "word " * (20 * (i % 6))), priority=classes[i % 3])
        for i in range(18)
    ]
    events = run(engine, requests)
    assert all(finish_of(each).reason is FinishReason.STOP for each in events.values())
    assert runner.n_used == engine.stats().kv_cells_used


def test_a_reasoning_budget_closes_the_thought_in_one_step_and_an_answer_follows() -> None:
    script = " ".join(f"w{i}" for i in range(200)) + "\n</think>\n\nThe answer."
    engine, _ = scripted_engine(script=script)
    events = run(engine, [request("r", reasoning_budget=20, max_tokens=100)])["r"]
    finished = finish_of(events)
    assert 20 <= finished.usage.reasoning_tokens <= 25
    assert text_of(events, Channel.CONTENT) == "The answer."
    assert finished.reasoning_end in ("budget", "soft_landing")
    drawn = finished.usage.completion_tokens
    assert engine.stats().steps_total < drawn, "the tokens that close it are computed together"


def test_a_budget_of_nothing_closes_the_thought_in_the_prompt() -> None:
    engine, _ = scripted_engine()
    events = run(engine, [request("r", reasoning_budget=0, max_tokens=50)])["r"]
    assert text_of(events, Channel.REASONING) == ""
    assert finish_of(events).usage.reasoning_tokens == 0


def test_a_budget_and_drafts_together_keep_books_and_cells_in_step() -> None:
    engine = with_drafts(runner := ScriptedRunner(scripted_config()))
    events = run(engine, [request(f"r{budget}", reasoning_budget=budget) for budget in range(2, 16)])
    assert all(finish_of(each).reason is FinishReason.STOP for each in events.values())
    assert {text_of(each, Channel.CONTENT) for each in events.values()} == {ANSWER}
    assert engine.stats().kv_cells_used == runner.n_used


def test_threads_are_tried_out_on_steps_of_decoding_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Eager:
        """Would always like to try one thread."""

        n_threads, settled, is_reduced = 1, 2, False

        def __init__(self, n_threads: int) -> None: ...

        def observe(self, expected_s: float, seconds: float, now: float) -> int:
            return 1

    monkeypatch.setattr("r1chat.serve.engine.executor.ThreadTuner", Eager)
    runner = ScriptedRunner(scripted_config())
    used: list[tuple[bool, int]] = []
    forward = runner.forward

    def noted(batch: Batch) -> None:
        used.append((batch.only_decodes, runner.n_threads))
        forward(batch)

    runner.forward = noted  # type: ignore[method-assign]
    run(Engine(runner), [request("r", "word " * 50)])
    assert {n_threads for only_decodes, n_threads in used if only_decodes} == {1}
    assert {n_threads for only_decodes, n_threads in used if not only_decodes} == {2}
