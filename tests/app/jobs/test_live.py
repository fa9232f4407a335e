"""A live reply counts and times what comes, and leaves the server's numbers where it has them."""

from __future__ import annotations

from typing import Any

from r1chat.app.conversations.records import Message
from r1chat.app.jobs.live import LiveReply
from r1chat.serve.client import ContentDelta, Done, ReasoningDelta

USAGE = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def live(**fields: Any) -> tuple[LiveReply, Clock]:
    clock = Clock()
    message = Message(id="r", conversation="c", parent="q", role="assistant", state="live", **fields)
    return LiveReply(message, clock), clock


def test_thought_and_answer_are_counted_and_timed_apart() -> None:
    reply, clock = live()
    clock.now = 103.0
    assert (reply.phase, reply.thinking_s, reply.total_s) == ("waiting", 0, 3)
    reply.take(ReasoningDelta("Let", "id"))
    clock.now = 105.0
    assert (reply.phase, reply.thinking_s, reply.reply_id) == ("thinking", 2, "id")
    reply.take(ContentDelta("It", "id"))
    reply.take(ContentDelta(" is", "id"))
    clock.now = 110.0
    assert (reply.phase, reply.thinking_s, reply.total_s) == ("answering", 2, 10)
    assert (reply.reasoning_tokens, reply.answer_tokens) == (1, 2)
    ended = reply.ended("stopped")
    assert (ended.state, ended.reasoning, ended.content, ended.thinking_s) == ("stopped", "Let", "It is", 2)


def test_the_servers_count_goes_before_ours_and_what_was_there_is_added() -> None:
    reply, _ = live(reasoning="Kept. ", reasoning_tokens=4, thinking_s=1.5)
    reply.take(ReasoningDelta("More.", "id"))
    reply.take(Done("stop", USAGE, {"reasoning_ms": 500}, "id", "natural"))
    ended = reply.ended("done")
    assert ended.reasoning == "Kept. More."
    assert (ended.reasoning_tokens, ended.answer_tokens, ended.thinking_s) == (10, 3, 2)
    assert (ended.finish_reason, ended.reasoning_end, ended.usage) == ("stop", "natural", USAGE)


def test_why_the_thought_ended_is_remembered_where_only_the_answer_went_on() -> None:
    reply, _ = live(reasoning="Thought.", reasoning_end="budget")
    reply.take(ContentDelta("So.", "id"))
    reply.take(Done("stop", {}, {}, "id"))
    assert reply.ended("done").reasoning_end == "budget"


def test_why_the_thought_ended_is_known_of_a_reply_that_was_stopped_behind_it() -> None:
    reply, _ = live()
    reply.take(ReasoningDelta("I think and", "id"))
    reply.take(ContentDelta("It is ", "id", "user"))
    stopped = reply.ended("stopped")
    assert stopped.reasoning_end == "user"
    rest = LiveReply(stopped)
    rest.take(ContentDelta("nine.", "id"))
    rest.take(Done("stop", {}, {}, "id"))
    assert rest.ended("done").reasoning_end == "user"


def test_speed_is_that_of_what_is_new() -> None:
    reply, clock = live(reasoning_tokens=5000, thinking_s=1.0)
    reply.take(ReasoningDelta("a", "id"))
    assert reply.tokens_per_s == 0
    clock.now += 2
    for _ in range(19):
        reply.take(ReasoningDelta("a", "id"))
    assert reply.tokens_per_s == 10
