"""Grammars by themselves: what they allow, what they force, and what is refused."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from threading import Thread

import numpy as np
import pytest
from engine_tools import bundled_model
from forms import CHOICE, DIGITS, ENDLESS, JSON, is_valid
from hypothesis import given, settings
from hypothesis import strategies as st

from r1chat.serve.engine import grammar_check
from r1chat.serve.engine.closing_run import read_closing_run
from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.constraint import Constraint, Grammars
from r1chat.serve.engine.detokenizer import Detokenizer
from r1chat.serve.engine.governor import Force, Governor, ReasoningPlan
from r1chat.serve.engine.llama.runner import LlamaModelRunner
from r1chat.serve.engine.request import (
    Grammar,
)
from r1chat.serve.errors import EngineError, InvalidRequestError

SHAPES = [
    JSON,
    DIGITS,
    CHOICE,
    Grammar("regex", r"(\w+ ){1,4}end"),
    Grammar("lark", 'start: "<a>" x "</a>"\nx: /[^<]*/'),
]


@pytest.fixture(scope="module")
def runner() -> Iterator[LlamaModelRunner]:
    runner = LlamaModelRunner(EngineConfig(model_path=bundled_model(), n_threads=1, n_cells=4096, n_seq_max=8))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def grammars(runner: LlamaModelRunner) -> Grammars:
    return Grammars(runner)


def begun(grammars: Grammars, grammar: Grammar) -> Constraint:
    constraint = grammars.constraint(grammar)
    constraint.bind()
    return constraint


@settings(max_examples=60)
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


@settings(max_examples=60)
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


@pytest.mark.slow
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
        grammars.constraint(grammar)
    assert caught.value.param == grammar.field
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.slow
def test_nobody_waits_for_the_grammar_of_another(runner: LlamaModelRunner) -> None:
    grammars = Grammars(runner)
    grammars.constraint(CHOICE)

    def compile_endless() -> None:
        with pytest.raises(InvalidRequestError):
            grammars.constraint(ENDLESS)

    thread = Thread(target=compile_endless)
    thread.start()
    time.sleep(0.1)
    grammars.constraint(CHOICE)
    was_busy = thread.is_alive()
    thread.join()
    assert was_busy


def test_what_runs_on_behind_the_tag_is_replaced_by_the_closing_run(runner: LlamaModelRunner) -> None:
    for closes_cleanly in (True, False):
        closing_run = read_closing_run(runner)
        plan = ReasoningPlan(max_new=100, closes_cleanly=closes_cleanly)
        governor = Governor(plan, closing_run, Detokenizer(reasoning_open=True))
        for piece in (b"</think>", b"</think>{", b"</think>\n\n", b".</think> so"):
            force = governor.review(piece, is_end=False, n_left=50)
            assert force == (Force(closing_run.tag) if closes_cleanly else None)
        assert governor.review(b"thinking", is_end=False, n_left=50) is None


def test_allowed_tokens_are_ids_in_order(grammars: Grammars) -> None:
    allowed = begun(grammars, JSON).allowed()
    assert allowed.dtype.kind == "i"
    np.testing.assert_array_equal(allowed, np.unique(allowed))


def test_where_no_process_can_be_started_the_form_is_refused_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "run", full)
    with pytest.raises(EngineError, match="cannot be tried now"):
        grammar_check.refusal("start: 'a'")
