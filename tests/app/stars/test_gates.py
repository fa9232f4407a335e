"""What lets a starred turn into the set and what does not, each with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from r1chat.app.conversations.records import Group, Settings
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.stars.records import Gate, Star
from r1chat.app.stars.star_set import StarSet

from .conftest import OWNER, THOUGHT, Say


def gate(star: Star, name: str) -> Gate:
    return next(gate for gate in star.gates if gate.name == name)


def starred(stars: StarSet, say: Say, *args: Any, **fields: Any) -> Star:
    star = stars.star(OWNER, say(*args, **fields).id)
    assert star is not None
    return star


def test_a_whole_turn_waits_for_a_check_and_is_accepted_with_one(stars: StarSet, say: Say) -> None:
    star = starred(stars, say)
    assert star.state == "waiting"
    assert [each.name for each in star.gates if each.state != "passed"] == ["answer"]
    assert gate(star, "answer").reason == "unchecked"
    star = stars.change(OWNER, star.id, {}, checked=True)
    assert (star.state, gate(star, "answer").reason) == ("accepted", "person")


@pytest.mark.parametrize(
    ("fields", "name", "reason"),
    [
        ({"reasoning_end": "budget"}, "ended", "thought_budget"),
        ({"reasoning_end": "loop"}, "ended", "thought_loop"),
        ({"reasoning_end": "user"}, "ended", "thought_user"),
        ({"reasoning_end": "soft_landing"}, "ended", "thought_soft_landing"),
        ({"reasoning_end": "length", "finish_reason": "length"}, "ended", "thought_length"),
        ({"finish_reason": "length"}, "ended", "answer_cut"),
        ({"state": "stopped"}, "ended", "stopped"),
        ({"state": "interrupted"}, "ended", "interrupted"),
        ({"state": "failed"}, "ended", "failed"),
        ({"reasoning": ""}, "shape", "no_thought"),
        ({"reasoning": " \n"}, "shape", "empty_thought"),
        ({"reasoning": THOUGHT + " </think> and more"}, "shape", "stray_tag"),
        ({"answer": "  "}, "shape", "empty_answer"),
        ({"reasoning": "Wait, let me check that once more. " * 30}, "loop", "repeated_words"),
        ({"reasoning": "It is 36."}, "length", "short"),
        ({"reasoning": "先算百分之十，再算百分之五，然后加起来。" * 4}, "language", "language"),
        ({"reasoning_tokens": 8000, "answer_tokens": 193}, "length", "long"),
    ],
)
def test_a_turn_that_a_student_should_not_see_is_refused(
    stars: StarSet, say: Say, fields: dict[str, Any], name: str, reason: str
) -> None:
    star = starred(stars, say, **fields)
    assert (star.state, gate(star, name).state, gate(star, name).reason) == ("refused", "failed", reason)
    # nobody's word helps against it
    assert stars.change(OWNER, star.id, {}, checked=True).state == "refused"


def test_the_system_prompt_of_an_imported_chat_is_context_too(
    store: ConversationStore, stars: StarSet, say: Say
) -> None:
    message = say(settings=None)
    store.update(OWNER, message.conversation, settings=Settings(system="Answer in rhymes."))
    star = stars.star(OWNER, message.id)
    assert star is not None and gate(star, "context").reason == "system"


def test_a_known_answer_decides_by_mathematics(stars: StarSet, say: Say) -> None:
    pytest.importorskip("math_verify", reason="needs the extra `distill`")
    star = starred(stars, say, "What is a half of x?", "It is \\boxed{\\frac{x}{2}}.")
    same = stars.change(OWNER, star.id, {}, gold="0.5x")
    assert same.judged is not None
    assert (same.state, same.judged.by, same.judged.gold) == ("accepted", "gold", "0.5x")
    other = stars.change(OWNER, star.id, {}, gold="2x")
    assert (other.state, gate(other, "answer").reason) == ("refused", "against_gold")
    assert stars.change(OWNER, star.id, {}, gold="").state == "waiting"


def test_a_known_answer_that_is_a_word_is_found_in_plain_text(stars: StarSet, say: Say) -> None:
    star = starred(stars, say, "Which day follows Sunday?", "The answer is Monday.")
    assert stars.change(OWNER, star.id, {}, gold="Monday").state == "accepted"
    assert stars.change(OWNER, star.id, {}, gold="Tuesday").state == "refused"


def test_the_gold_of_a_vote_is_the_known_answer(stars: StarSet, say: Say) -> None:
    group = Group(id="g", conversation="", kind="compare", gold="37")
    assert gate(starred(stars, say, group=group), "answer").reason == "against_gold"


def report(*votes: tuple[str, list[int]]) -> dict[str, Any]:
    tally = [{"answer": answer, "votes": len(choices), "choices": choices} for answer, choices in votes]
    n = sum(map(len, dict(votes).values()))
    return {"answer": votes[0][0], "votes": len(votes[0][1]), "n": n, "tally": tally, "over": True}


@pytest.mark.parametrize(
    ("votes", "state", "reason"),
    [
        ([("36", [0, 1, 2]), ("37", [3])], "accepted", "vote"),
        ([("37", [1, 2, 3]), ("36", [0])], "refused", "against_vote"),
        ([("36", [0, 1]), ("37", [2, 3])], "waiting", "no_majority"),
        ([("36", [0, 1])], "waiting", "no_majority"),
        ([("36", [0, 1]), ("37", [2]), ("38", [3]), ("39", [4])], "waiting", "no_majority"),
    ],
    ids=["most agree", "most say another", "a tie", "two are few", "less than half"],
)
def test_a_vote_speaks_where_it_has_a_clear_majority(
    stars: StarSet, say: Say, votes: list[tuple[str, list[int]]], state: str, reason: str
) -> None:
    group = Group(id="g", conversation="", kind="vote", report=report(*votes))
    star = starred(stars, say, group=group, choice=0)
    assert (star.state, gate(star, "answer").reason) == (state, reason)
    # who looked knows better
    assert stars.change(OWNER, star.id, {}, checked=True).state == "accepted"


def test_a_vote_that_goes_on_speaks_not_yet(stars: StarSet, say: Say) -> None:
    running = {**report(("36", [0, 1, 2]), ("37", [3])), "over": False}
    star = starred(stars, say, group=Group(id="g", conversation="", kind="vote", report=running), choice=0)
    assert gate(star, "answer").reason == "unchecked"


def test_a_later_question_waits_until_somebody_says_that_it_stands_alone(stars: StarSet, say: Say) -> None:
    first = say()
    star = starred(stars, say, "And of 480?", conversation=first.conversation, parent=first.id)
    star = stars.change(OWNER, star.id, {}, checked=True)
    assert (star.state, gate(star, "context").reason, gate(star, "context").detail) == (
        "waiting",
        "later",
        {"before": 2},
    )
    assert stars.change(OWNER, star.id, {}, alone=True).state == "accepted"


def test_a_system_prompt_is_context_too(stars: StarSet, say: Say) -> None:
    star = starred(stars, say, settings=Settings(system="Answer in rhymes."))
    assert (gate(star, "context").state, gate(star, "context").reason) == ("open", "system")


def test_a_checked_answer_that_no_run_could_find_is_refused(stars: StarSet, say: Say) -> None:
    star = starred(stars, say, answer="It is \\boxed{36")
    assert gate(stars.change(OWNER, star.id, {}, checked=True), "answer").reason == "unreadable"
