"""Log probabilities: against exact sums, and with the text and on the channel to which they belong."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from engine_tools import bundled_model, finish_of, request, run, scripted_engine, text_of
from recording_runner import RecordingRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.llama.bench_loop import clear
from r1chat.serve.engine.logprobs import LogprobQueue, Ranking, rank
from r1chat.serve.engine.request import Channel, Event, SamplingParams, TokenLogprob, TokenOutput
from r1chat.serve.errors import InvalidRequestError

REASONING, CONTENT = Channel.REASONING, Channel.CONTENT


@pytest.fixture(scope="module")
def runner() -> Iterator[RecordingRunner]:
    runner = RecordingRunner(EngineConfig(model_path=bundled_model(), n_threads=1, n_cells=4096))
    yield runner
    runner.close()


@pytest.fixture
def engine(runner: RecordingRunner) -> Engine:
    clear(runner)
    return Engine(runner)


def entry(token: int, piece: bytes = b"") -> TokenLogprob:
    return TokenLogprob(token, piece, -0.5)


def entries_of(events: list[Event], channel: Channel) -> list[TokenLogprob]:
    return [
        each
        for event in events
        if isinstance(event, TokenOutput) and event.channel is channel
        for each in event.logprobs
    ]


@pytest.mark.parametrize("deviation", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("n_vocab", [30, 152_000])
def test_log_probabilities_are_exact(deviation: float, n_vocab: int) -> None:
    random = np.random.default_rng(3)
    row = (random.standard_normal(n_vocab) * deviation).astype(np.float32)
    row[random.integers(n_vocab, size=5)] = -np.inf
    row[[7, 11]] = row.max()
    exact = row.astype(np.float64)
    exact -= exact.max() + math.log(np.exp(exact - exact.max()).sum())
    best = np.argsort(-exact, kind="stable")
    for n_top in (0, 1, 20):
        token = int(random.choice(np.flatnonzero(row > -np.inf)))
        ranking = rank(row, token, n_top, np.empty_like(row))
        assert ranking.logprob == pytest.approx(exact[token], rel=1e-6, abs=1e-5)
        assert [each for each, _ in ranking.top] == best[:n_top].tolist()
        np.testing.assert_allclose([value for _, value in ranking.top], exact[best[:n_top]], rtol=1e-6, atol=1e-5)


def test_entries_go_out_with_the_first_of_their_text() -> None:
    queue = LogprobQueue(0, in_thought=False)
    for token, text in enumerate(["One", " two", " thr", "ee"]):
        queue.feed(text, entry(token))
    assert [each.token for each in queue.take(CONTENT, "One t")] == [0, 1]
    assert queue.take(CONTENT, "wo") == ()
    assert [each.token for each in queue.take(CONTENT, " three")] == [2, 3]


def test_parts_of_a_character_go_out_with_it() -> None:
    queue = LogprobQueue(0, in_thought=False)
    for token, text in enumerate(["", "", "\N{SHEEP}", "!"]):
        queue.feed(text, entry(token))
    assert [each.token for each in queue.take(CONTENT, "\N{SHEEP}")] == [0, 1, 2]
    assert [each.token for each in queue.take(CONTENT, "!")] == [3]


def test_a_tag_in_several_tokens_takes_its_entries_with_it() -> None:
    queue = LogprobQueue(0, in_thought=True)
    for token, text in enumerate(["the end", "\n", "</", "think", ">\n\n", "think", " on"]):
        queue.feed(text, entry(token))
    assert [each.token for each in queue.take(REASONING, "the end")] == [0]
    assert [each.token for each in queue.take(CONTENT, "think on")] == [5, 6]


def test_tokens_taken_back_and_tokens_that_nobody_drew_have_none() -> None:
    queue = LogprobQueue(0, in_thought=True)
    queue.feed("so", entry(0))
    queue.feed("</", entry(1))
    queue.feed("thi", entry(2))
    queue.drop(2)
    queue.feed("\nWait", None)
    queue.feed(",", entry(3))
    assert [each.token for each in queue.take(REASONING, "so\nWait,")] == [0, 3]


@pytest.mark.model
@pytest.mark.parametrize("stop", [(), ("boxed",)])
def test_each_token_of_thought_and_answer_has_its_own(
    engine: Engine, runner: RecordingRunner, stop: tuple[str]
) -> None:
    asked = request("r", "What is 12 + 30?", max_tokens=400, seed=1, top_logprobs=3, stop=stop)
    (events,) = run(engine, [asked]).values()
    tokens = finish_of(events).tokens
    for channel in Channel:
        entries = entries_of(events, channel)
        text = b"".join(each.piece for each in entries).decode()
        # blank lines beside the tags are nobody's text; a stop string's first token may hold some
        assert text.strip("\n").startswith(text_of(events, channel))
        assert len(text) - len(text_of(events, channel)) <= (6 if stop and channel is CONTENT else 2)
        for each in entries:
            assert each.token in tokens
            assert [top.logprob for top in each.top] == sorted((top.logprob for top in each.top), reverse=True)
            assert each.logprob <= each.top[0].logprob + 1e-9 <= 1e-6
            assert each.piece == runner.piece(each.token)
            for top in each.top:
                assert top.top == ()
                if top.token == each.token:
                    assert top.logprob == each.logprob


@pytest.mark.model
def test_they_are_the_models_own_whatever_changes_the_draw(engine: Engine) -> None:
    """Of the same text, by greedy choice with nothing changed, and forced by a bias and a temperature."""
    plain = request("plain", "What is 12 + 30?", max_tokens=1, temperature=0.0, top_logprobs=5, reasoning_budget=0)
    (events,) = run(engine, [plain]).values()
    ((first,),) = [each.logprobs for each in events if isinstance(each, TokenOutput)]
    fourth = first.top[3]
    changed = request(
        "changed",
        "What is 12 + 30?",
        max_tokens=1,
        temperature=2.0,
        top_k=1,
        repetition_penalty=1.3,
        logit_bias={fourth.token: 100.0},
        top_logprobs=5,
        reasoning_budget=0,
    )
    (events,) = run(engine, [changed]).values()
    ((other,),) = [each.logprobs for each in events if isinstance(each, TokenOutput)]
    assert other.token == fourth.token
    assert other.logprob == pytest.approx(fourth.logprob, abs=1e-3)
    assert [each.token for each in other.top] == [each.token for each in first.top]


@pytest.mark.model
def test_a_closing_run_that_nobody_drew_has_none(engine: Engine) -> None:
    asked = request("r", "What is 12 + 30?", seed=1, top_logprobs=0, reasoning_budget=4, reasoning_grace=0)
    (events,) = run(engine, [asked]).values()
    finished = finish_of(events)
    assert finished.reasoning_end == "budget"
    assert len(entries_of(events, REASONING)) <= finished.usage.reasoning_tokens
    answer = entries_of(events, CONTENT)
    assert b"".join(each.piece for each in answer).decode() == text_of(events, CONTENT)
    assert [each.token for each in answer] == list(finished.tokens[-len(answer) :])


def test_what_is_not_asked_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, runner = scripted_engine()
    ranked: list[int] = []
    sampler = type(runner.make_sampler(SamplingParams(), []))

    def rank_and_note(_: object, row: int, token: int, n_top: int) -> Ranking:
        ranked.append(token)
        return Ranking(0.0, [])

    monkeypatch.setattr(sampler, "rank", rank_and_note)
    (events,) = run(engine, [request("r")]).values()
    assert not entries_of(events, REASONING) + entries_of(events, CONTENT) + ranked
    (events,) = run(engine, [request("asked", top_logprobs=0)]).values()
    assert len(ranked) == len(finish_of(events).tokens) + 1  # with the end


def test_more_than_twenty_are_refused() -> None:
    engine, _ = scripted_engine()
    for n in (-1, 21):
        with pytest.raises(InvalidRequestError, match="top_logprobs") as caught:
            engine.add_request(request("r", top_logprobs=n))
        assert caught.value.param == "top_logprobs"
