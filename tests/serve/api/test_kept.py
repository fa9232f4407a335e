"""Finished replies are kept for their owners, within bounds, and for a while only."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator

import pytest

from r1chat.serve.api.ask import Ask
from r1chat.serve.api.forms.tools import Tool
from r1chat.serve.api.kept import KeptReplies, KeptReply
from r1chat.serve.api.prompt.chat_template import Turn, TurnCall
from r1chat.serve.engine.request import (
    Accepted,
    Begun,
    Channel,
    Event,
    Finished,
    FinishReason,
    Grammar,
    Segment,
    Timings,
    TokenOutput,
    Usage,
)
from r1chat.serve.errors import NotFoundError


def reply(owner: str = "ann", n_tokens: int = 10, said: str = "") -> KeptReply:
    return KeptReply("demo", Ask(turns=(Turn("user", said),), owner=owner), array("i", range(n_tokens)))


def test_only_the_owner_has_a_reply_back() -> None:
    kept = KeptReplies()
    kept.put("a", 0, reply("ann"))
    assert kept.get("a", 0, "ann").tokens == array("i", range(10))
    errors = []
    for name, choice, owner in (("a", 0, "bob"), ("a", 0, ""), ("b", 0, "ann"), ("a", 1, "ann")):
        with pytest.raises(NotFoundError) as caught:
            kept.get(name, choice, owner)
        errors.append(str(caught.value).replace(f"'{name}'", "'a'").replace("choice 1", "choice 0"))
    assert len(set(errors)) == 1, "nobody learns whether somebody else's exists"


def test_tools_forms_and_earlier_calls_count_too() -> None:
    call = TurnCall("1", "write", "x" * 900)
    tool = Tool.model_validate({"type": "function", "function": {"name": "f", "description": "x" * 200}})
    for ask in (
        Ask(turns=(Turn("assistant", "", tool_calls=(call,)),)),
        Ask(tools=(tool,)),
        Ask(grammar=Grammar("regex", "x" * 900)),
    ):
        kept = KeptReplies(max_bytes=1000)
        for name in "ab":
            kept.put(name, 0, KeptReply("demo", ask, array("i", [])))
        with pytest.raises(NotFoundError):
            kept.get("a", 0, "")
        assert kept.get("b", 0, "").ask is ask


def test_without_a_choice_the_shown_one_is_meant() -> None:
    kept = KeptReplies()
    for choice in range(3):
        kept.put("a", choice, reply(n_tokens=choice))
    assert len(kept.get("a", None, "ann").tokens) == 0
    kept.show("a", 2)
    kept.show("never was", 2)
    assert len(kept.get("a", None, "ann").tokens) == 2


def test_the_oldest_go_when_there_are_too_many() -> None:
    kept = KeptReplies(max_count=2)
    for name in "abc":
        kept.put(name, 0, reply())
    assert found(kept, "abc") == ["b", "c"]


def test_the_oldest_go_when_they_are_too_large() -> None:
    kept = KeptReplies(max_bytes=1000)
    kept.put("a", 0, reply(n_tokens=100))
    kept.put("b", 0, reply(said="x" * 500))
    assert found(kept, "ab") == ["a", "b"]
    kept.put("c", 0, reply(n_tokens=100))
    assert found(kept, "abc") == ["b", "c"]
    kept.put("d", 0, reply(n_tokens=1000))
    assert found(kept, "abcd") == [], "one that is larger than all there is room for is not kept"
    kept.put("e", 0, reply(n_tokens=100))
    assert found(kept, "e") == ["e"], "and what left is not counted any more"


def test_they_are_forgotten_after_a_while() -> None:
    now = [0.0]
    kept = KeptReplies(max_age_s=10, clock=lambda: now[0])
    kept.put("a", 0, reply())
    now[0] = 8
    kept.put("b", 0, reply())
    now[0] = 11
    assert found(kept, "ab") == ["b"]


@pytest.mark.anyio
async def test_what_follows_a_reply_keeps_it_when_it_ends_and_changes_nothing() -> None:
    thought: list[Event] = [
        Accepted("a", 3),
        TokenOutput("a", Channel.REASONING, "Hm, né", 2),
        TokenOutput("a", Channel.CONTENT, "so 9", 2),
    ]
    end = Finished("a", FinishReason.STOP, Usage(), Timings(), "natural", tokens=(4, 5, 6))

    async def events(*items: Event) -> AsyncGenerator[Event, None]:
        for item in items:
            yield item

    kept = KeptReplies()
    seen = [event async for event in kept.follow(events(*thought, end), "demo", Ask(owner="ann"), "a", 0)]
    assert seen == [*thought, end]
    assert kept.get("a", 0, "ann").tokens == array("i", [4, 5, 6])

    forked = Ask(owner="ann", begun=Begun(tokens=(4, 5), segments=(Segment("x" * 9000, False),)))
    async for _ in kept.follow(events(*thought, end), "demo", forked, "fork", 0):
        pass
    assert kept.get("fork", 0, "ann").ask == Ask(owner="ann"), "its tokens have what it began with"

    async for _ in kept.follow(events(*thought), "demo", Ask(owner="ann"), "left", 0):
        pass
    with pytest.raises(NotFoundError):
        kept.get("left", 0, "ann")


def found(kept: KeptReplies, names: str) -> list[str]:
    present = []
    for name in names:
        try:
            kept.get(name, 0, "ann")
        except NotFoundError:
            continue
        present.append(name)
    return present
