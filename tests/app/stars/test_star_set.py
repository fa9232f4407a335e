"""Starring, editing, doubles, owners, and that a star outlives its chat and its server."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from r1chat.app.conversations.records import Message, Settings
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.stars.star_set import StarSet
from r1chat.app.stars.store import StarStore
from r1chat.serve.errors import InvalidRequestError, NotFoundError

from .conftest import OWNER, THOUGHT, Say


def test_a_chat_that_does_not_collect_asks_once(store: ConversationStore, stars: StarSet, say: Say) -> None:
    reply = say()
    store.update(OWNER, reply.conversation, collects=False)
    assert stars.star(OWNER, reply.id) is None
    assert stars.list(OWNER) == []
    assert stars.star(OWNER, reply.id, agreed=True) is not None
    assert store.get(OWNER, reply.conversation).collects
    second = say("And of 480?", "It is \\boxed{72}.", conversation=reply.conversation, parent=reply.id)
    assert stars.star(OWNER, second.id) is not None


def test_starring_twice_keeps_one(stars: StarSet, say: Say) -> None:
    reply = say()
    first = stars.star(OWNER, reply.id)
    assert stars.star(OWNER, reply.id) == first
    assert stars.counts(OWNER) == {"accepted": 0, "waiting": 1, "refused": 0}


def test_two_tabs_at_once_keep_one(stars: StarSet, say: Say) -> None:
    reply = say()
    threads = [threading.Thread(target=stars.star, args=(OWNER, reply.id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stars.list(OWNER)) == 1


def test_what_made_the_turn_is_kept_with_it(stars: StarSet, say: Say) -> None:
    settings = Settings(temperature=0.7, seed=11)
    star = stars.star(OWNER, say(reply_id="chatcmpl-1", choice=2, settings=settings, kept_chars=9, origin="fork").id)
    assert star is not None
    source = star.source
    assert (source.model, source.reply_id, source.choice, source.kept_chars) == ("demo", "chatcmpl-1", 2, 9)
    assert (source.sampling, source.origin) == ({"temperature": 0.7, "seed": 11}, "fork")


def test_questions_and_live_replies_are_not_starred(store: ConversationStore, stars: StarSet, say: Say) -> None:
    reply = say()
    assert reply.parent is not None
    live = store.add(
        Message(id="live", conversation=reply.conversation, parent=reply.parent, role="assistant", state="live")
    )
    for message in (reply.parent, live.id):
        with pytest.raises(InvalidRequestError):
            stars.star(OWNER, message)


def test_the_same_text_again_is_refused_until_the_first_is_gone(stars: StarSet, say: Say) -> None:
    first = stars.star(OWNER, say().id)
    again = stars.star(OWNER, say("what is  15% of 240", reasoning=THOUGHT.upper(), answer="it is \\boxed{36}.").id)
    assert first is not None
    assert again is not None
    assert (again.state, again.gates[-1].reason, again.gates[-1].detail) == ("refused", "duplicate", {"of": first.id})
    stars.remove(OWNER, first.id)
    assert stars.get(OWNER, again.id)[0].state == "waiting"


def test_another_thought_on_the_same_question_is_no_double_and_is_shown(stars: StarSet, say: Say) -> None:
    first = stars.star(OWNER, say().id)
    other = stars.star(OWNER, say(reasoning=THOUGHT.replace("half of that", "half of 24")).id)
    assert first is not None
    assert other is not None
    assert other.state == "waiting"
    similar = stars.get(OWNER, other.id)[1]
    assert [(each.id, each.share) for each in similar] == [(first.id, 1.0)]


def test_a_double_of_what_is_refused_by_itself_may_stay(stars: StarSet, say: Say) -> None:
    cut = stars.star(OWNER, say(reasoning_end="budget").id)
    whole = stars.star(OWNER, say().id)
    assert cut is not None
    assert whole is not None
    assert (cut.state, whole.state) == ("refused", "waiting")


def test_an_edit_is_marked_and_takes_the_check_back(stars: StarSet, say: Say) -> None:
    star = stars.star(OWNER, say().id)
    assert star is not None
    stars.change(OWNER, star.id, {}, checked=True)
    edited = stars.change(OWNER, star.id, {"thought": THOUGHT + " That is right."})
    assert (edited.edited, edited.checked, edited.state) == (("thought",), False, "waiting")
    assert edited.original.thought == THOUGHT
    assert stars.change(OWNER, star.id, {"thought": THOUGHT}).edited == ()


def test_an_edit_can_mend_an_end_and_a_question(stars: StarSet, say: Say) -> None:
    first = say()
    cut = say("And of 480?", conversation=first.conversation, parent=first.id, reasoning_end="budget")
    star = stars.star(OWNER, cut.id)
    assert star is not None
    turn = {"question": "What is 15% of 480?", "thought": THOUGHT + " Twice that is 72.", "answer": "\\boxed{72}"}
    mended = stars.change(OWNER, star.id, turn, checked=True)
    assert (mended.state, mended.edited) == ("accepted", ("question", "thought", "answer"))


def test_an_edited_answer_is_not_what_was_voted_on(stars: StarSet, say: Say) -> None:
    from r1chat.app.conversations.records import Group

    tally = [{"answer": "36", "votes": 3, "choices": [0, 1, 2]}]
    report = {"answer": "36", "votes": 3, "n": 3, "tally": tally, "over": True}
    group = Group(id="g", conversation="", kind="vote", report=report)
    star = stars.star(OWNER, say(group=group).id)
    assert star is not None
    assert star.state == "accepted"
    assert stars.change(OWNER, star.id, {"answer": "It is \\boxed{37}."}).state == "waiting"


def test_a_star_outlives_its_chat_and_the_server(
    tmp_path: Path, store: ConversationStore, stars: StarSet, say: Say
) -> None:
    reply = say()
    star = stars.star(OWNER, reply.id)
    store.delete(OWNER, reply.conversation)
    assert stars.list(OWNER) == [star]
    later = ConversationStore(tmp_path / "conversations.sqlite")
    try:
        assert StarSet(later, StarStore(later.database)).list(OWNER) == [star]
    finally:
        later.close()


def test_nobody_sees_or_touches_what_another_starred(stars: StarSet, say: Say) -> None:
    star = stars.star(OWNER, say().id)
    assert star is not None
    assert stars.list("other") == []
    assert stars.marks("other", star.source.conversation) == {}
    for act in (stars.get, stars.remove):
        with pytest.raises(NotFoundError):
            act("other", star.id)
    with pytest.raises(NotFoundError):
        stars.change("other", star.id, {}, checked=True)
    with pytest.raises(NotFoundError):
        stars.star("other", star.source.message)
    assert stars.marks(OWNER, star.source.conversation) == {star.source.message: (star.id, "waiting")}
