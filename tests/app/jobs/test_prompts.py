"""What of a branch is sent: roles alternate whatever became of it, and old thoughts stay behind unless wanted."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from r1chat.app.conversations.records import Message, Settings
from r1chat.app.jobs.prompts import params, prompt

NUMBERS = count()
SAID = Message(id="q", conversation="c", parent=None, role="user", content="So?")


def user(text: str) -> Message:
    return Message(id=f"m{next(NUMBERS)}", conversation="c", parent=None, role="user", content=text)


def reply(text: str, thought: str = "") -> Message:
    return Message(
        id=f"m{next(NUMBERS)}", conversation="c", parent=None, role="assistant", content=text, reasoning=thought
    )


messages = st.builds(
    lambda is_user, text: user(text) if is_user else reply(text, "thought"),
    st.booleans(),
    st.sampled_from(["", " \n", "words"]),
)


@given(st.lists(messages, max_size=8), st.sampled_from(["", "Be brief."]))
def test_no_two_equal_roles_follow_each_other(before: list[Message], system: str) -> None:
    roles = [message["role"] for message in prompt([*before, SAID], Settings(system=system))]
    if system:
        assert roles.pop(0) == "system"
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_a_question_without_an_answer_is_left_out() -> None:
    branch = [user("one"), reply("", "cut off"), user("two"), user("three"), reply("3"), SAID]
    assert [message["content"] for message in prompt(branch, Settings())] == ["three", "3", "So?"]


def test_thoughts_of_earlier_turns_go_along_only_where_they_are_kept() -> None:
    branch = [user("one"), reply("1", "thought"), SAID]
    assert "reasoning_content" not in prompt(branch, Settings())[1]
    assert prompt(branch, Settings(keep_thoughts=True))[1]["reasoning_content"] == "thought"
    assert params(Settings(keep_thoughts=True)) == {"preserve_thinking": True}


def test_what_is_not_set_is_left_to_the_server() -> None:
    assert params(Settings()) == {}
    assert params(Settings(thinking="off")) == {"reasoning_budget_tokens": 0}
    assert params(Settings(thinking="budget", budget=64)) == {"reasoning_budget_tokens": 64}
    assert params(Settings(temperature=0.0, seed=0, max_tokens=9)) == {
        "temperature": 0.0,
        "seed": 0,
        "max_completion_tokens": 9,
    }
