"""What a person types into the search field finds what it should, and nothing that is typed is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1chat.app.conversations.records import Message
from r1chat.app.conversations.store import ConversationStore, new_id


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConversationStore]:
    """One conversation: a question, and an answer with its thought."""
    store = ConversationStore(tmp_path_factory.mktemp("data") / "conversations.sqlite")
    conversation = store.create("")
    question = Message(
        id="q", conversation=conversation.id, parent=None, role="user", content="Which café, in C++ or C#?"
    )
    reply = Message(
        id="a",
        conversation=conversation.id,
        parent="q",
        role="assistant",
        state="live",
        content="",
    )
    store.add(question)
    store.add(reply)
    store.append("a", "Wait, let me verify the hypotenuse.", "The Answer is 36.")
    whole = store.message("", "a")
    store.finish(msgspec.structs.replace(whole, state="done"))
    yield store
    store.close()


def found(store: ConversationStore, text: str, where: str = "answers") -> list[str | None]:
    return [hit.message for hit in store.search("", text, where)]  # type: ignore[arg-type]


def test_answers_and_thoughts_are_searched_apart(store: ConversationStore) -> None:
    assert found(store, "answer") == ["a"]
    assert found(store, "answer", "thoughts") == []
    assert found(store, "hypotenuse") == []
    assert found(store, "hypotenuse", "thoughts") == ["a"]


def test_the_last_word_may_be_half_and_all_words_must_be_there(store: ConversationStore) -> None:
    assert found(store, "verify hypot", "thoughts") == ["a"]
    assert found(store, "hypot verify", "thoughts") == []
    assert found(store, "verify nothing", "thoughts") == []


def test_accents_case_and_signs_do_not_matter(store: ConversationStore) -> None:
    for text in ("CAFE", "café", "C++", 'c# "C', "cafe, (c"):
        assert found(store, text) == [None, "q"], text


def test_the_title_is_found_with_the_answers_and_names_no_message(store: ConversationStore) -> None:
    title, question = store.search("", "which")
    assert (title.message, title.role, title.title) == (None, None, "Which café, in C++ or C#?")
    assert (question.message, question.role) == ("q", "user")


def test_the_snippet_marks_what_was_found(store: ConversationStore) -> None:
    (hit,) = store.search("", "let verify", "thoughts")
    assert hit.snippet == [
        ("Wait, ", False), ("let", True), (" me ", False), ("verify", True), (" the hypotenuse.", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ['"', '""', "'", "*", "a*", "(", ")", "NOT", "a AND", "OR b", "NEAR(a b)", "col:a", "content: x", "-a", "^a", "+",
     "a\0b", "\ud800", "_", "²", "\U000323af", "{a b}:c", "; DROP TABLE messages", "a" * 100_000, "w " * 5000,
     "世" * 100_000, "世 " * 5000, "世\\", "世\0_%"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["answers", "thoughts"])
def test_nothing_typed_is_an_error(store: ConversationStore, text: str, where: str) -> None:
    found(store, text, where)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.text(max_size=40))
def test_no_text_at_all_is_an_error(store: ConversationStore, text: str) -> None:
    found(store, text)


def test_scripts_without_spaces_are_found_within_a_line(tmp_path: Path) -> None:
    store = ConversationStore(tmp_path / "c.sqlite")
    conversation = store.create("")
    store.add(Message(id="q", conversation=conversation.id, parent=None, role="user", content="你好世界，100%对吗？"))
    thought = Message(
        id="a", conversation=conversation.id, parent="q", role="assistant", content="はい OK", reasoning="让我想想" * 30
    )
    store.add(thought)
    assert found(store, "世界") == [None, "q"]
    assert found(store, "世界 100% 对吗") == [None, "q"]
    assert found(store, "世界 200") == found(store, "%世%") == []
    assert found(store, "ok はい") == ["a"]
    (hit,) = store.search("", "想想", "thoughts")
    assert hit.snippet[:3] == [("让我", False), ("想想", True), ("让我", False)]
    assert sum(len(text) for text, _ in hit.snippet) <= 121
    assert store.search("bert", "世界") == []
    store.close()


def test_no_more_than_the_limit_the_newest_first(tmp_path: Path) -> None:
    store = ConversationStore(tmp_path / "c.sqlite")
    conversation = store.create("")
    for number in range(9):
        store.add(
            Message(
                id=str(number), conversation=conversation.id, parent=None, role="user", content=f"same word {new_id()}"
            )
        )
    assert [hit.message for hit in store.search("", "word", limit=4)] == [None, "8", "7", "6"]
    store.close()
