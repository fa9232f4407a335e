"""Answers in a given form: grammars alone, through the engine on the bundled model, and through a child."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Thread

import msgspec
import numpy as np
import pytest
from engine_tools import bundled_model, finish_of, request, run, scripted_config, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from r1chat.serve.engine.bench_loop import clear
from r1chat.serve.engine.closing_run import read_closing_run
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.constraint import Constraint, Grammars
from r1chat.serve.engine.detokenizer import Detokenizer
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.governor import Force, Governor, ReasoningPlan
from r1chat.serve.engine.intake import SpeculatorFactory
from r1chat.serve.engine.llama_runner import LlamaModelRunner
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
from r1chat.serve.engine.row_costs import RowCosts
from r1chat.serve.engine.speculation import PromptLookup, Speculator
from r1chat.serve.errors import InvalidRequestError

SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "integer", "minimum": 0, "maximum": 99999},
        "unit": {"enum": ["sheep", "apples", "none"]},
        "note": {"type": "string", "maxLength": 16},
        "steps": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3},
    },
    "required": ["answer", "unit", "note", "steps"],
    "additionalProperties": False,
}
JSON = Grammar("json_schema", json.dumps(SCHEMA))
DIGITS = Grammar("regex", "[0-9]{1,4} (sheep|apples)")
CHOICE = Grammar("lark", 'start: "yes" | "no" | "maybe so"')
SHAPES = [
    JSON,
    DIGITS,
    CHOICE,
    Grammar("regex", r"(\w+ ){1,4}end"),
    Grammar("lark", 'start: "<a>" x "</a>"\nx: /[^<]*/'),
]
# It is noticed only after some tokens.
GROWS = Grammar("regex", "((((.{1,50}){1,50}){1,50}){1,50})")
# It would be tried for hours.
ENDLESS = Grammar("json_schema", json.dumps({"allOf": [{"pattern": f".*{chr(97 + i)}.{{{i}}}"} for i in range(25)]}))


@pytest.fixture(scope="module")
def runner() -> Iterator[LlamaModelRunner]:
    runner = LlamaModelRunner(EngineConfig(model_path=bundled_model(), n_threads=1, n_cells=4096, n_seq_max=8))
    yield runner
    runner.close()


MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine(runner: LlamaModelRunner) -> MakeEngine:
    def make(*, drafts: bool = False) -> Engine:
        clear(runner)
        return Engine(runner, make_speculator=(lambda _: Speculator(PromptLookup())) if drafts else None)

    return make


@pytest.fixture(scope="module")
def grammars(runner: LlamaModelRunner) -> Grammars:
    return Grammars(runner)


def shaped(request_id: str, grammar: Grammar, text: str = "What is 12 + 30?", **params: object) -> GenerateRequest:
    return msgspec.structs.replace(request(request_id, text, **{"max_tokens": 500, **params}), grammar=grammar)


def begun(grammars: Grammars, grammar: Grammar) -> Constraint:
    constraint = grammars.constraint(grammar)
    constraint.bind()
    return constraint


def is_valid(text: str) -> bool:
    value = json.loads(text)
    return (
        list(value) == ["answer", "unit", "note", "steps"]
        and isinstance(value["answer"], int)
        and 0 <= value["answer"] <= 99999
        and value["unit"] in ("sheep", "apples", "none")
        and isinstance(value["note"], str)
        and len(value["note"]) <= 16
        and len(value["steps"]) <= 3
        and all(isinstance(step, bool) for step in value["steps"])
    )


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SHAPES), st.randoms(use_true_random=False))
def test_tokens_that_are_forced_are_those_that_alone_are_allowed(
    grammars: Grammars, grammar: Grammar, chance: random.Random
) -> None:
    """So that it makes no difference whether they are drawn or put there."""
    constraint, twin = begun(grammars, grammar), begun(grammars, grammar)
    for _ in range(60):
        if twin.done:
            break
        allowed = twin.allowed()
        forced = constraint.forced(100)
        if forced:
            for token in forced:
                assert twin.allowed().tolist() == [token]
                twin.accept(token)
                constraint.accept(token)
        else:
            token = int(chance.choice(allowed.tolist()))
            twin.accept(token)
            constraint.accept(token)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_whatever_is_chosen_of_what_is_allowed_fits_in_the_end(
    runner: LlamaModelRunner, grammars: Grammars, chance: random.Random
) -> None:
    constraint, text = begun(grammars, JSON), b""
    while not constraint.done:
        allowed = constraint.allowed().tolist()
        assert not any(map(runner.is_end, allowed)), "a schema's text is complete before it may end"
        token = chance.choice(allowed)
        text += runner.piece(token)
        constraint.accept(token)
    assert is_valid(text.decode())


def test_the_end_is_allowed_where_the_text_may_end(runner: LlamaModelRunner, grammars: Grammars) -> None:
    constraint = begun(grammars, Grammar("regex", "[0-9]+"))
    assert not any(map(runner.is_end, constraint.allowed()))
    (seven,) = runner.tokenize("7", special=False)
    constraint.accept(seven)
    assert any(map(runner.is_end, constraint.allowed()))
    assert not constraint.done


def test_no_tag_gets_into_the_answer(runner: LlamaModelRunner, grammars: Grammars) -> None:
    tags = {token for tag in ("<think>", "</think>") for token in runner.tokenize(tag, special=True)}
    allowed = begun(grammars, Grammar("regex", r"(?s:.*)")).allowed()
    assert len(allowed) > 800
    assert not tags & set(allowed.tolist())


def test_requests_of_one_grammar_do_not_meet(runner: LlamaModelRunner, grammars: Grammars) -> None:
    first, second = begun(grammars, CHOICE), begun(grammars, CHOICE)
    before = second.allowed().tolist()
    first.accept(int(first.allowed()[0]))
    assert second.allowed().tolist() == before


def test_an_answer_goes_on_from_what_there_is_of_it(runner: LlamaModelRunner, grammars: Grammars) -> None:
    constraint = grammars.constraint(CHOICE)
    constraint.bind(runner.tokenize("maybe", special=False))
    assert runner.tokenize(" so", special=False)[0] in constraint.allowed()
    with pytest.raises(InvalidRequestError):
        grammars.constraint(CHOICE).bind(runner.tokenize("perhaps", special=False))


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (Grammar("json_schema", "{nope"), "property name"),
        (Grammar("json_schema", "[1]"), "object"),
        (Grammar("json_schema", '{"items":' * 5000 + "{}" + "}" * 5000), "recursion"),
        (Grammar("json_schema", '{"$ref": "#"}'), "fits no text"),
        (Grammar("json_schema", '{"$ref": "#/$defs/a"}'), "does not exist"),
        (Grammar("json_schema", '{"$ref": "http://localhost/a"}'), "not present"),
        (Grammar("json_schema", '{"if": {}, "then": {}}'), "Unimplemented"),
        (Grammar("json_schema", '{"type": "string", "pattern": "(["}'), "regex parse error"),
        (Grammar("json_schema", '{"type": "integer", "multipleOf": 999983}'), "least common multiple"),
        (Grammar("json_schema", '{"type": "integer", "multiple\\u004ff": 999983}'), "least common multiple"),
        (Grammar("json_schema", '{"allOf": [{"multipleOf": 0}, {"multipleOf": 999983}]}'), "nothing is a multiple"),
        (Grammar("lark", 'start: %json {"multipleOf": ' + "9" * 5000 + "}"), "out of range"),
        (
            Grammar("json_schema", json.dumps({"allOf": [{"multipleOf": n} for n in (97, 89, 83)]})),
            "least common multiple",
        ),
        (Grammar("json_schema", json.dumps({"allOf": [{"properties": {f"k{i}": {}}} for i in range(900)]})), "large"),
        (ENDLESS, "too long"),
        (Grammar("json_schema", ENDLESS.text.replace("pattern", "p\\u0061ttern"), field="tools"), "too long"),
        (Grammar("regex", "(["), "regex parse error"),
        (Grammar("regex", r"(?<!a)b"), "look-around"),
        (Grammar("regex", r"(a)\1"), "backreferences"),
        (Grammar("regex", "(" * 5000 + "a" + ")" * 5000), "invalid regex"),
        (Grammar("regex", "a{1000000}"), "too many expressions"),
        (Grammar("regex", r"[^\s\S]"), "fits no text"),
        (Grammar("regex", ""), "fits no text"),
        (Grammar("regex", "a" * 300_000), "characters"),
        (Grammar("lark", "start: missing"), "unknown name"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind} {value.text[:24]}",
)
def test_what_cannot_be_kept_to_is_refused(grammars: Grammars, grammar: Grammar, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        grammars.compile(grammar)
    assert caught.value.param == grammar.field
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_nobody_waits_for_the_grammar_of_another(runner: LlamaModelRunner) -> None:
    grammars = Grammars(runner)
    grammars.compile(CHOICE)

    def compile_endless() -> None:
        with pytest.raises(InvalidRequestError):
            grammars.compile(ENDLESS)

    thread = Thread(target=compile_endless)
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    grammars.constraint(CHOICE)
    waited_s, was_busy = time.monotonic() - began, thread.is_alive()
    thread.join()
    assert was_busy
    assert waited_s < 0.5


def test_what_runs_on_behind_the_tag_is_replaced_by_the_closing_run(runner: LlamaModelRunner) -> None:
    for closes_cleanly in (True, False):
        closing_run = read_closing_run(runner)
        plan = ReasoningPlan(max_new=100, closes_cleanly=closes_cleanly)
        governor = Governor(plan, closing_run, Detokenizer(reasoning_open=True))
        for piece in (b"</think>", b"</think>{", b"</think>\n\n", b".</think> so"):
            force = governor.review(piece, is_end=False, n_left=50)
            assert force == (Force(closing_run.tag) if closes_cleanly else None)
        assert governor.review(b"thinking", is_end=False, n_left=50) is None


@pytest.mark.model
@pytest.mark.parametrize(
    ("n", "thought", "budget", "ends"),
    [
        (200, "as long as it is", {}, {"natural", "loop", "reserve", "eos_in_think"}),
        (200, "closed", {"reasoning_budget": 6, "reasoning_grace": 0}, {"budget", "soft_landing", "natural"}),
        (40, "closed with grace", {"reasoning_budget": 12}, {"budget", "soft_landing", "natural"}),
        (40, "none", {"reasoning_budget": 0}, {None}),
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


@pytest.mark.model
def test_each_kind_of_form_is_kept_to_without_a_thought_too(make_engine: MakeEngine) -> None:
    engine = make_engine()
    forms = {"json": JSON, "digits": DIGITS, "choice": CHOICE}
    asked = [shaped(f"{name}{i}", form, seed=i) for i in range(10) for name, form in forms.items()]
    asked += [
        msgspec.structs.replace(each, request_id=f"{each.request_id} at once", reasoning_open=False) for each in asked
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

    def draft(self, tokens: list[int], n_rows: int, costs: RowCosts, limit: int) -> list[int]:
        places = range(len(tokens), min(len(self._text), len(tokens) + min(limit, 4)))
        return [0 if place % 5 == 0 else self._text[place] for place in places]


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
        free = request("plain", "What is 12 + 30?", max_tokens=300)
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


def test_allowed_tokens_are_ids_in_order(grammars: Grammars) -> None:
    allowed = begun(grammars, JSON).allowed()
    assert allowed.dtype.kind == "i"
    np.testing.assert_array_equal(allowed, np.unique(allowed))
