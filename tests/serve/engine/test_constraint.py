"""Answers in a given form, through the engine on the bundled model and through a child."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from engine_tools import bundled_model, finish_of, request, run, scripted_config, text_of
from forms import CHOICE, DIGITS, ENDLESS, JSON, is_valid, shaped
from recording_runner import UntimedRunner
from scripted_runner import ScriptedRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.intake import SpeculatorFactory
from r1chat.serve.engine.llama.bench_loop import clear
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.process import EngineProcess
from r1chat.serve.engine.request import (
    Begun,
    Channel,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerateRequest,
    Grammar,
    Segment,
)
from r1chat.serve.engine.speculation import PromptLookup, Speculator
from r1chat.serve.engine.step_sizes import StepSizes
from r1chat.serve.errors import InvalidRequestError

# It is noticed only after some tokens.
GROWS = Grammar("regex", "((((.{1,50}){1,50}){1,50}){1,50})")


@pytest.fixture(scope="module")
def runner() -> Iterator[LlamaModelRunner]:
    runner = UntimedRunner(EngineConfig(model_path=bundled_model(), n_threads=1, n_cells=4096, n_seq_max=8))
    yield runner
    runner.close()


MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(runner: LlamaModelRunner) -> MakeEngine:
    def make(*, drafts: bool = False) -> Engine:
        clear(runner)
        return Engine(runner, make_speculator=(lambda _: Speculator(PromptLookup())) if drafts else None)

    return make


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize(
    ("n", "thought", "budget", "ends"),
    [
        (24, "as long as it is", {}, {"natural", "loop", "reserve", "eos_in_think"}),
        (24, "closed", {"reasoning_budget": 6, "reasoning_grace": 0}, {"budget", "soft_landing", "natural"}),
        (16, "closed with grace", {"reasoning_budget": 12}, {"budget", "soft_landing", "natural"}),
        (16, "none", {"reasoning_budget": 0}, {None}),
    ],
)
def test_every_answer_is_valid_behind_its_thought(
    make_engine: MakeEngine, n: int, thought: str, budget: dict[str, int], ends: set[str | None]
) -> None:
    engine = make_engine(drafts=True)
    asked = [
        shaped(f"{thought} {i}", JSON, f"What is {i} + {3 * i}?", seed=i, temperature=0.6 + i % 4 / 4, **budget)
        for i in range(n)
    ]
    told = run(engine, asked)
    for events in told.values():
        finished = finish_of(events)
        assert finished.reason is FinishReason.STOP
        assert is_valid(text_of(events, Channel.CONTENT))
        assert bool(text_of(events, Channel.REASONING).strip()) == (thought != "none")
    assert {finish_of(events).reasoning_end for events in told.values()} <= ends


@pytest.mark.slow
@pytest.mark.model
def test_each_kind_of_form_is_kept_to_without_a_thought_too(make_engine: MakeEngine) -> None:
    engine = make_engine()
    forms = {"json": JSON, "digits": DIGITS, "choice": CHOICE}
    asked = [shaped(f"{name}{i}", form, seed=i) for i in range(6) for name, form in forms.items()]
    asked += [
        msgspec.structs.replace(
            each,
            request_id=f"{each.request_id} at once",
            reasoning_open=False,
            params=msgspec.structs.replace(each.params, reasoning_budget=0),
        )
        for each in asked
    ]
    for request_id, events in run(engine, asked).items():
        answer = text_of(events, Channel.CONTENT)
        if request_id.startswith("json"):
            assert is_valid(answer)
        elif request_id.startswith("digits"):
            number, unit = answer.split(" ")
            assert number.isdecimal()
            assert unit in ("sheep", "apples")
        else:
            assert answer in ("yes", "no", "maybe so")
        assert bool(text_of(events, Channel.REASONING)) != request_id.endswith("at once")


class Oracle(Speculator):
    """Knows what follows each prompt, and is wrong about every fifth token."""

    def __init__(self, text: Sequence[int]) -> None:
        super().__init__(PromptLookup())
        self._text = text

    def draft(self, tokens: list[int], n_rows: int, sizes: StepSizes, limit: int) -> list[int]:
        places = range(len(tokens), min(len(self._text), len(tokens) + min(limit, 4)))
        return [0 if place % 5 == 0 else self._text[place] for place in places]


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_seed_gives_the_same_answer_with_drafts_with_log_probabilities_and_without(
    runner: LlamaModelRunner, temperature: float
) -> None:
    def finished(make_speculator: SpeculatorFactory | None = None, **params: int) -> list[Finished]:
        clear(runner)
        engine = Engine(runner, make_speculator=make_speculator)
        asked = [
            shaped(f"r{i}", JSON, f"What is {i} + 30?", seed=i, temperature=temperature, **params) for i in range(8)
        ]
        prompts.extend(engine.tokenize(each.prompt) for each in asked)
        return [finish_of(events) for events in run(engine, asked).values()]

    prompts: list[list[int]] = []
    plain = finished()
    known = {tuple(prompt): [*prompt, *each.tokens] for prompt, each in zip(prompts, plain, strict=True)}
    drafted = finished(lambda prompt: Oracle(known[tuple(prompt)]))
    assert sum(each.usage.accepted_tokens for each in drafted) > 100
    assert [each.tokens for each in drafted] == [each.tokens for each in plain]
    assert [each.tokens for each in finished(top_logprobs=1)] == [each.tokens for each in plain]


@pytest.mark.model
def test_a_tag_in_an_answer_of_a_given_form_is_text(make_engine: MakeEngine) -> None:
    """However the text of it is made up; where the answer comes at once it would else open a thought."""
    tag = Grammar("lark", 'start: "{\\"tags\\": \\"<think> and </think>\\"}"')
    asked = [shaped("thinks", tag, seed=1), shaped("not", tag, seed=1, reasoning_budget=0)]
    asked.append(msgspec.structs.replace(shaped("at once", tag, seed=1), reasoning_open=False))
    for request_id, events in run(make_engine(), asked).items():
        assert text_of(events, Channel.CONTENT) == '{"tags": "<think> and </think>"}', request_id


@pytest.mark.model
def test_an_answer_that_has_begun_goes_on_in_its_form(make_engine: MakeEngine) -> None:
    segments = (Segment("so 42.\n</think>\n\n", True), Segment('{"answer":42,"un', False))
    asked = msgspec.structs.replace(shaped("r", JSON, seed=1), begun=Begun(segments=segments))
    (events,) = run(make_engine(), [asked]).values()
    assert is_valid('{"answer":42,"un' + text_of(events, Channel.CONTENT))
    astray = msgspec.structs.replace(asked, begun=Begun(segments=(segments[0], Segment('{"question', False))))
    with pytest.raises(InvalidRequestError, match="form"):
        make_engine().add_request(astray)


@pytest.mark.model
def test_an_answer_that_its_owner_asks_for_is_in_its_form(make_engine: MakeEngine) -> None:
    engine = make_engine()
    for request_id in ("now", "later"):
        engine.add_request(shaped(request_id, JSON, seed=1))
    told: dict[str, list[Event]] = {"now": [], "later": []}
    for step in range(1000):
        if step == 5:
            assert engine.control("now", "answer_now")
            assert engine.control("later", "think_more")
        for event in engine.step():
            told[event.request_id].append(event)
        if not engine.has_work:
            break
    assert finish_of(told["now"]).reasoning_end == "user"
    assert "Wait" in text_of(told["later"], Channel.REASONING)
    for events in told.values():
        assert is_valid(text_of(events, Channel.CONTENT))


@pytest.mark.model
def test_forced_text_costs_no_steps_of_its_own(make_engine: MakeEngine) -> None:
    engine = make_engine()
    (events,) = run(engine, [shaped("r", JSON, seed=1, reasoning_budget=0)]).values()
    assert engine.stats().steps_total <= finish_of(events).usage.completion_tokens * 0.7


@pytest.mark.model
def test_a_limit_ends_the_answer_where_it_is(make_engine: MakeEngine) -> None:
    (events,) = run(make_engine(), [shaped("r", JSON, max_tokens=25, reasoning_budget=0, seed=3)]).values()
    assert finish_of(events).reason is FinishReason.LENGTH
    assert finish_of(events).usage.completion_tokens == 25
    assert text_of(events, Channel.CONTENT).startswith('{"answer":')


@pytest.mark.model
def test_a_form_that_grows_too_large_on_the_way_fails_its_request_alone(make_engine: MakeEngine) -> None:
    told = run(make_engine(), [shaped("grows", GROWS, seed=1), shaped("neighbour", JSON, seed=1)])
    failed = told["grows"][-1]
    assert isinstance(failed, Failed)
    assert (failed.error, failed.param) == ("InvalidRequestError", "response_format")
    assert is_valid(text_of(told["neighbour"], Channel.CONTENT))


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.anyio
async def test_a_refused_form_leaves_the_child_and_the_others_alone() -> None:
    process = EngineProcess(EngineConfig(model_path=bundled_model()))
    await process.start()
    pid = process.pid

    async def answer(request_id: str, grammar: Grammar) -> list[Event]:
        return [event async for event in process.generate(shaped(request_id, grammar, seed=1))]

    try:
        endless = asyncio.create_task(answer("endless", ENDLESS))
        # the first grammar reads the vocabulary, and this one needs no trial
        free = request("plain", "What is 12 + 30?", max_tokens=20)
        plain: list[Event] = [event async for event in process.generate(free)]
        assert finish_of(plain).usage.completion_tokens
        assert not endless.done(), "a request without a form does not wait for forms"
        with pytest.raises(InvalidRequestError, match="too long") as caught:
            await endless
        assert caught.value.param == "response_format"
        with pytest.raises(InvalidRequestError, match="fits no text"):
            await answer("empty", Grammar("regex", ""))
        assert is_valid(text_of(await answer("good", JSON), Channel.CONTENT))
        assert (process.pid, process.restarts) == (pid, 0)
    finally:
        await process.stop()


def test_a_model_that_opens_its_thought_itself_thinks_before_an_answer_of_a_given_form() -> None:
    def said(script: str, **params: Any) -> tuple[str, str]:
        engine = Engine(ScriptedRunner(scripted_config(script=script)))
        ask = shaped("f", Grammar("regex", "[0-9]+"), **params)
        ask = msgspec.structs.replace(ask, prompt=(Segment("Say it", False),), reasoning_open=False)
        events = run(engine, [ask])["f"]
        return text_of(events, Channel.REASONING), text_of(events, Channel.CONTENT)

    assert said("<think>Hm. 7 is well</think>42") == ("Hm. 7 is well", "42")
    assert said("42") == ("", "42")
    assert said("<think>Hm.</think>42", reasoning_budget=0)[0] == ""


@pytest.mark.anyio
async def test_a_request_that_is_aborted_while_its_form_is_tried_ends() -> None:
    process = EngineProcess(scripted_config())
    await process.start()
    try:
        asked = [
            asyncio.create_task(collect(process, shaped(name, form)))
            for name, form in (("slow", ENDLESS), ("behind it", Grammar("lark", 'start: "no"')))
        ]
        await asyncio.sleep(0.2)
        process.abort("behind it")
        async with asyncio.timeout(30):
            assert finish_of(await asked[1]).reason is FinishReason.ABORT
        asked[0].cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    finally:
        await process.stop()


async def collect(process: EngineProcess, request: GenerateRequest) -> list[Event]:
    return [event async for event in process.generate(request)]


@pytest.mark.slow
@pytest.mark.anyio
async def test_a_request_whose_owner_leaves_while_its_form_is_tried_never_runs() -> None:
    process = EngineProcess(scripted_config())
    await process.start()
    try:
        abandoned = asyncio.create_task(anext(process.generate(shaped("abandoned", ENDLESS))))
        waiting = asyncio.create_task(anext(process.generate(shaped("behind it", CHOICE))))
        await asyncio.sleep(0.2)
        for task in (abandoned, waiting):
            task.cancel()
        await asyncio.gather(abandoned, waiting, return_exceptions=True)
        last = shaped("last", Grammar("lark", 'start: "ok"'), reasoning_budget=0)
        events: list[Event] = [event async for event in process.generate(last)]
        assert text_of(events, Channel.CONTENT) == "ok"
        assert process.stats()["predicted_tokens_total"] == finish_of(events).usage.completion_tokens
    finally:
        await process.stop()
