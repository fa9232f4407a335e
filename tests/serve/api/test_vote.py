"""Votes: the outcome never depends on what was stopped, only on the thoughts; what it costs is told in full."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from r1chat.serve.answers import math_judge, math_process
from r1chat.serve.answers.ballot import Ballot, ThoughtReport, VoteReport
from r1chat.serve.answers.math_judge import MathJudge
from r1chat.serve.api.ask import Ask
from r1chat.serve.api.generation import Generations
from r1chat.serve.api.kept import KeptReplies
from r1chat.serve.api.metrics import Metrics
from r1chat.serve.api.outputs import Output, Outputs, collect
from r1chat.serve.api.prompt.chat_template import Turn
from r1chat.serve.api.voting.shown import VoteThought
from r1chat.serve.api.voting.vote import Vote, _Voting, vote
from r1chat.serve.engine.process import EngineConfig, EngineProcess
from r1chat.serve.engine.request import (
    Accepted,
    Channel,
    Finished,
    FinishReason,
    SamplingParams,
    Timings,
    TokenOutput,
    Usage,
)
from r1chat.serve.errors import InvalidRequestError
from r1chat.serve.models.catalog import BUNDLED

APPLES = "Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?"


def cast(ballot: Ballot, thought: int, answer: str | None) -> None:
    if answer is None:
        ballot.abstain(thought)
    else:
        ballot.vote(thought, answer, next((o for o in ballot.options if o.answer == answer), None))


def leader(ballot: Ballot) -> str | None:
    return ballot.ranked[0].answer if ballot.options else None


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_a_decided_vote_stays_decided_whatever_else_comes_in_whatever_order(n: int) -> None:
    for answers in itertools.product(["a", "b", "c", None], repeat=n):
        outcomes = set()
        for order in itertools.permutations(range(n)):
            ballot, decided = Ballot(n), None
            for thought in order:
                cast(ballot, thought, answers[thought])
                if ballot.decided and decided is None:
                    decided = (leader(ballot),)
            assert decided == (leader(ballot),)
            outcomes.add(leader(ballot))
        assert len(outcomes) == 1, "the order in which thoughts finish decides nothing"


def test_a_vote_is_decided_as_soon_as_it_can_be() -> None:
    ballot = Ballot(8)
    for thought in (0, 1, 2):
        cast(ballot, thought, "a")
    assert not ballot.decided, "five others could agree on something else"
    cast(ballot, 3, "a")
    assert ballot.decided, "four others would be as many, but later ones"
    ballot = Ballot(8)
    for thought in (4, 5, 6, 7):
        cast(ballot, thought, "a")
    assert not ballot.decided, "four others would be as many, and come first"


def replies(*said: tuple[str, FinishReason]) -> Outputs:
    """Outputs of thoughts that say this, one after the other, as the engine would send them."""

    async def outputs() -> AsyncIterator[Output]:
        for i, (content, reason) in enumerate(said):
            yield Output(i, Accepted(str(i), 20))
            yield Output(i, TokenOutput(str(i), Channel.REASONING, f"thought {i}", 2))
            yield Output(i, TokenOutput(str(i), Channel.CONTENT, content, 3))
            usage = Usage(prompt_tokens=20, cached_tokens=19 if i else 0, completion_tokens=6, reasoning_tokens=2)
            yield Output(i, Finished(str(i), reason, usage, Timings()))

    return outputs()  # type: ignore[return-value]


async def held(outputs: Outputs, how: Vote) -> list[Output]:
    return [output async for output in _Voting(how, lambda: None).follow(outputs, MathJudge())]


STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge's child gives way to all others: on a busy machine it takes its time."""
    monkeypatch.setattr(math_judge, "_LONGEST_S", 60.0)


@pytest.mark.anyio
async def test_the_winner_is_passed_on_as_it_came_and_the_usage_is_that_of_all() -> None:
    said = replies(("\\boxed{1}", STOP), ("\\boxed{2}", STOP), ("so \\boxed{2.0}", STOP))
    [reply] = await collect(_Voting(Vote(n=3), lambda: None).follow(said, MathJudge()))
    assert (reply.reasoning, reply.content) == ("thought 1", "\\boxed{2}")
    report = reply.vote
    assert report and (report.answer, report.votes, report.choice, report.n_stopped) == ("2", 2, 1, 0)
    assert [(t.answer, t.votes, t.choices) for t in report.tally] == [("2", 2, [1, 2]), ("1", 1, [0])]
    assert [thought.content for thought in report.thoughts] == ["\\boxed{1}", "\\boxed{2}", "so \\boxed{2.0}"]
    usage = reply.finished.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens) == (20, 0, 18, 6)


@pytest.mark.anyio
async def test_a_reply_that_was_cut_off_or_has_no_answer_does_not_vote() -> None:
    said = replies(("\\boxed{1}", LENGTH), ("\\boxed{1}", LENGTH), ("perhaps", STOP), ("\\boxed{2}", STOP))
    *_, report, finished = await held(said, Vote(n=4))
    assert isinstance(report.event, VoteReport) and isinstance(finished.event, Finished)
    assert (report.event.answer, report.event.choice, report.event.n_finished) == ("2", 3, 4)
    assert [t.finish_reason for t in report.event.thoughts] == ["length", "length", "stop", "stop"]


@pytest.mark.anyio
async def test_without_any_answer_the_first_reply_is_returned() -> None:
    [reply] = await collect(_Voting(Vote(n=2), lambda: None).follow(replies(("a", STOP), ("b", STOP)), MathJudge()))
    assert reply.content == "a"
    assert reply.vote and (reply.vote.answer, reply.vote.votes, reply.vote.tally) == (None, 0, [])


@pytest.mark.anyio
async def test_progress_is_told_until_the_outcome_is_certain_and_then_the_rest_is_stopped() -> None:
    stopped: list[int] = []
    said = replies(*[("\\boxed{2}", STOP)] * 4)
    voting = _Voting(Vote(n=4), lambda: stopped.append(1))
    kinds = []
    async for output in voting.follow(said, MathJudge()):
        if isinstance(output.event, VoteReport) and output.event.choice is None:
            kinds.append((output.event.n_finished, output.event.votes, len(stopped)))
    assert kinds == [(1, 1, 0), (2, 2, 1)]
    assert len(stopped) == 1


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.usefixtures("patient")
async def test_mathematics_that_is_the_same_is_one_answer() -> None:
    pytest.importorskip("math_verify")
    said = replies(("\\boxed{5}", STOP), ("\\boxed{2\\sqrt{2}}", STOP), ("\\boxed{\\sqrt{8}}", STOP))
    *_, report, _ = await held(said, Vote(n=3))
    assert isinstance(report.event, VoteReport)
    assert report.event.tally[0].choices == [1, 2]


@pytest.mark.anyio
@pytest.mark.usefixtures("patient")
async def test_an_answer_that_cannot_be_computed_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("math_verify")
    judge = MathJudge()
    async with judge.session() as session:
        assert await session.equal("x + 1", "1 + x")
        began = time.monotonic()
        with monkeypatch.context() as impatient:
            impatient.setattr(math_judge, "_LONGEST_S", 0.5)
            assert not await session.equal("9^{9^{9^{9^9}}}", "1^{9^{9^9}}")
        assert time.monotonic() - began < 30
        assert await session.equal("x + 2", "2 + x"), "a new child takes over"
        child = judge._process._child
        assert child and child.poll() is None
    assert child.returncode is not None, "it ends with the last vote"


@pytest.mark.anyio
async def test_a_vote_does_not_pay_for_the_mathematics_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("math_verify")
    judge = MathJudge()
    monkeypatch.setattr(judge._process, "ask", lambda question, timeout_s: True)
    async with judge.session(budget_s=0.1) as session:
        async with judge._lock:
            waiting = asyncio.create_task(session.equal("x + 1", "1 + x"))
            await asyncio.sleep(0.3)
        assert await waiting
        assert await session.equal("x + 2", "2 + x"), "there is time left"


@pytest.mark.anyio
async def test_while_two_answers_are_compared_the_other_thoughts_are_told_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, known = MathJudge(), asyncio.Event()

    async def compare(one: str, other: str) -> tuple[bool, float]:
        await known.wait()
        return "7" not in (one, other), 0.0

    monkeypatch.setattr(judge, "compare", compare)
    said = replies(("\\boxed{x+1}", STOP), ("\\boxed{1+x}", STOP), ("\\boxed{7}", STOP))
    seen: list[Any] = []
    async with asyncio.timeout(20):
        async for output in _Voting(Vote(n=3), lambda: None, shows=True).follow(said, judge):
            seen.append(output.event)
            if isinstance(output.event, VoteThought) and output.event.index == 2:
                known.set()
    ends = [event.index for event in seen if isinstance(event, VoteThought) and isinstance(event.event, ThoughtReport)]
    assert ends == [0, 1, 2], "they are counted in the order in which they ended"
    assert isinstance(seen[-2], VoteReport) and seen[-2].tally[0].choices == [0, 1]


@pytest.mark.anyio
async def test_each_thought_is_told_of_when_it_is_counted_also_behind_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, may_compare = MathJudge(), asyncio.Semaphore(0)

    async def compare(one: str, other: str) -> tuple[bool, float]:
        await may_compare.acquire()
        return True, 0.0

    monkeypatch.setattr(judge, "compare", compare)
    said = replies(("\\boxed{x+1}", STOP), ("\\boxed{1+x}", STOP), ("\\boxed{x+2-1}", STOP))
    async with asyncio.timeout(20):
        async for output in _Voting(Vote(n=3), lambda: None, shows=True).follow(said, judge):
            if isinstance(output.event, VoteThought) and isinstance(output.event.event, ThoughtReport):
                # not before the last thought has ended
                asyncio.get_running_loop().call_later(0.1, may_compare.release)


@pytest.mark.anyio
async def test_without_the_library_answers_are_compared_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_process.importlib.util, "find_spec", lambda name: None)
    judge = MathJudge()
    async with judge.session() as session:
        assert not await session.equal("2\\sqrt{2}", "\\sqrt{8}")
        assert judge._process.pid is None


@pytest.fixture(scope="module")
async def demo(anyio_backend: str) -> AsyncIterator[Generations]:
    engine = EngineProcess(EngineConfig(model_path=BUNDLED, n_ctx=2048, n_threads=1))
    await engine.start()
    yield Generations(engine, "demo", Metrics(engine.stats), KeptReplies(), scope_by_key=False)
    await engine.stop()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def asked(question: str, **params: Any) -> Ask:
    return Ask(turns=(Turn("user", question),), params=SamplingParams(max_tokens=400, seed=3, **params))


@pytest.mark.model
@pytest.mark.anyio
async def test_a_vote_computes_the_prompt_once_and_counts_what_its_thoughts_took(demo: Generations) -> None:
    [reply] = await collect(await vote(demo, asked(APPLES), "vote", Vote(), MathJudge(), streamed=False))
    report = reply.vote
    assert report and report.answer == "3" and "\\boxed{3}" in reply.content
    assert report.n_finished + report.n_stopped == 8
    first, *others = sorted(thought.cached_tokens for thought in report.thoughts)
    n_prompt = reply.finished.usage.prompt_tokens
    assert first < n_prompt - 1 and others == [n_prompt - 1] * 7
    assert reply.finished.usage.completion_tokens == sum(t.completion_tokens for t in report.thoughts)
    assert all(t.completion_tokens > 0 and t.reasoning for t in report.thoughts), "of those stopped, too"


@pytest.mark.model
@pytest.mark.anyio
async def test_a_question_of_a_few_tokens_is_computed_once_too(demo: Generations) -> None:
    question = asked("What is 347 + 589?")
    [reply] = await collect(await vote(demo, question, "short", Vote(n=4), MathJudge(), streamed=False))
    assert reply.vote and reply.vote.answer == "936"
    n_prompt = reply.finished.usage.prompt_tokens
    assert n_prompt < 32
    assert sum(n_prompt - thought.cached_tokens for thought in reply.vote.thoughts) <= n_prompt + 3


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.usefixtures("patient")
@pytest.mark.anyio
async def test_the_same_seed_gives_the_same_answer_and_each_thought_its_own(demo: Generations) -> None:
    ask = asked("A shop sells 7 pens for $21. How much is one pen?", temperature=1.5)
    one, other = [
        (await collect(await vote(demo, ask, f"seed-{i}", Vote(n=4), MathJudge(), streamed=False)))[0].vote
        for i in range(2)
    ]
    assert one and other and one.answer == other.answer
    assert len({thought.reasoning for thought in one.thoughts}) > 1


@pytest.mark.model
@pytest.mark.anyio
async def test_leaving_a_vote_ends_all_its_thoughts(demo: Generations) -> None:
    outputs = await vote(demo, asked(APPLES), "left", Vote(), MathJudge(), streamed=True)
    await anext(outputs)
    await outputs.aclose()
    for _ in range(3000):
        if not demo.engine.stats()["running"] + demo.engine.stats()["waiting"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(demo.engine.stats())


@pytest.mark.model
@pytest.mark.anyio
async def test_a_vote_that_makes_no_sense_is_refused(demo: Generations) -> None:
    with pytest.raises(InvalidRequestError, match="temperature"):
        await vote(demo, asked(APPLES, temperature=0.0), "cold", Vote(), MathJudge(), streamed=False)
