"""Conversations as the rest of the app keeps and finds them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from r1chat.app.conversations.records import Conversation, Group, Message, Settings
from r1chat.app.conversations.store import ConversationStore, new_id
from r1chat.serve.errors import InvalidRequestError, NotFoundError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "conversations.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ConversationStore]:
    store = ConversationStore(path)
    yield store
    store.close()


def said(conversation: Conversation, parent: str | None, content: str = "", **fields: Any) -> Message:
    """A message that is not in the store yet."""
    role = "assistant" if "reasoning" in fields or fields.get("state") else "user"
    fields = {"role": role, **fields}
    return Message(id=new_id(), conversation=conversation.id, parent=parent, content=content, **fields)


def test_what_is_added_comes_back_as_it_was(store: ConversationStore, path: Path) -> None:
    conversation = store.create("anna", Settings(temperature=0.2, system="Be brief."))
    question = store.add(said(conversation, None, "What is 2 + 2?\n\tshow it\r\n"))
    reply = said(
        conversation,
        question.id,
        "4 \U0001f600 \0 end",
        reasoning="Two and two.\n",
        model="demo",
        usage={"total_tokens": 9},
        settings=conversation.settings,
        group="g",
    )
    store.add(reply)
    store.close()
    again = ConversationStore(path)
    assert again.path("anna", conversation.id) == [question, reply]
    kept = again.get("anna", conversation.id)
    assert (kept.settings, kept.head, kept.title) == (conversation.settings, reply.id, "What is 2 + 2?")
    again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_owner_finds_nothing(store: ConversationStore) -> None:
    conversation = store.create("anna")
    message = store.add(said(conversation, None, "secret plans"))
    group = store.add_group(Group(id=new_id(), conversation=conversation.id, kind="vote"))
    for look in (
        lambda: store.get("bert", conversation.id),
        lambda: store.update("bert", conversation.id, title="mine"),
        lambda: store.delete("bert", conversation.id),
        lambda: store.restore("bert", conversation.id),
        lambda: store.message("bert", message.id),
        lambda: store.path("bert", conversation.id),
        lambda: store.path("bert", conversation.id, message.id),
        lambda: store.messages("bert", conversation.id),
        lambda: store.group("bert", group.id),
        lambda: store.groups("bert", conversation.id),
    ):
        with pytest.raises(NotFoundError):
            look()
    assert store.list("bert") == []
    assert store.search("bert", "secret") == []


def test_the_title_is_the_first_line_that_is_not_empty_and_stays(store: ConversationStore) -> None:
    conversation = store.create("")
    store.add(said(conversation, None, f"\n  \n  {'long words ' * 20}\nsecond line"))
    title = store.get("", conversation.id).title
    assert title.startswith("long words long") and title.endswith("…") and len(title) <= 80
    store.update("", conversation.id, title=" Mine\nnow ")
    store.add(said(conversation, None, "other"))
    assert store.get("", conversation.id).title == "Mine now"


def test_pieces_of_a_live_reply_are_there_at_once_and_the_finished_record_replaces_them(
    store: ConversationStore,
) -> None:
    conversation = store.create("")
    question = store.add(said(conversation, None, "Q?"))
    reply = store.add(said(conversation, question.id, state="live"))
    for number in range(5):
        store.append(reply.id, f"t{number} ", "")
    store.append(reply.id, "", "ans")
    live = store.message("", reply.id)
    assert (live.state, live.reasoning, live.content) == ("live", "t0 t1 t2 t3 t4 ", "ans")
    store.finish(msgspec.structs.replace(live, state="stopped", content="answer", finish_reason="stop"))
    done = store.message("", reply.id)
    assert (done.state, done.reasoning, done.content) == ("stopped", live.reasoning, "answer")
    store.reopen(reply.id)
    store.append(reply.id, "", " more")
    with pytest.raises(InvalidRequestError):
        store.reopen(reply.id)
    assert store.message("", reply.id).content == "answer more"
    with pytest.raises(NotFoundError):
        store.append("nobody", "", "x")


def test_replies_of_an_ended_process_are_interrupted_and_those_of_a_running_one_are_not(
    store: ConversationStore, path: Path
) -> None:
    conversation = store.create("")
    question = store.add(said(conversation, None, "Q?"))
    reply = store.add(said(conversation, question.id, state="live"))
    store.append(reply.id, "half a ", "")
    store.append(reply.id, "thought", "")
    beside = ConversationStore(path)
    beside.settle()
    beside.settle(reply.id)
    store.settle()
    assert beside.message("", reply.id).state == "live"
    store.close()
    beside.settle()
    left = beside.message("", reply.id)
    assert (left.state, left.reasoning) == ("interrupted", "half a thought")
    beside.reopen(reply.id)
    after = ConversationStore(path)
    assert after.message("", reply.id).state == "live"
    # One of its own that nobody writes, for its end could not be saved.
    beside.settle(reply.id)
    assert after.message("", reply.id).state == "interrupted"
    beside.reopen(reply.id)
    beside.close()
    again = ConversationStore(path)
    assert again.message("", reply.id).state == "interrupted"
    again.close()
    after.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_a_tree_has_paths_siblings_and_newest_leaves(store: ConversationStore) -> None:
    conversation = store.create("")
    root = store.add(said(conversation, None, "Q?"))
    first = store.add(said(conversation, root.id, "a", reasoning="r"))
    second = store.add(said(conversation, root.id, "b", reasoning="r"))
    follow = store.add(said(conversation, first.id, "and?"))
    last = store.add(said(conversation, follow.id, "c", reasoning="r"))
    edited = store.add(said(conversation, None, "Q2?"))
    store.update("", conversation.id, head=last.id)
    assert [m.id for m in store.path("", conversation.id)] == [root.id, first.id, follow.id, last.id]
    assert [m.id for m in store.path("", conversation.id, second.id)] == [root.id, second.id]
    assert store.siblings(second) == [first.id, second.id]
    assert store.siblings(root) == [root.id, edited.id]
    assert [store.leaf_below(m.id) for m in (root, first, second)] == [last.id, last.id, second.id]
    assert [m.id for m in store.messages("", conversation.id)][-1] == edited.id


def test_a_message_of_another_conversation_is_neither_parent_nor_head(store: ConversationStore) -> None:
    here, there = store.create(""), store.create("")
    stray = store.add(said(there, None, "Q?"))
    with pytest.raises(NotFoundError):
        store.add(said(here, stray.id, "and?"))
    with pytest.raises(NotFoundError):
        store.update("", here.id, head=stray.id)
    with pytest.raises(NotFoundError):
        store.path("", here.id, stray.id)
    with pytest.raises(InvalidRequestError, match="created cannot be changed"):
        store.update("", here.id, created=1.0)
    assert store.messages("", here.id) == []


def test_the_list_has_the_pinned_first_then_the_newest_and_pages_lose_none(store: ConversationStore) -> None:
    made = [store.create("") for _ in range(5)]
    store.update("", made[1].id, pinned=True)
    store.add(said(made[0], None, "Q?"))
    newest_first = [made[0].id, made[4].id, made[3].id, made[2].id]
    assert [c.id for c in store.list("")] == [made[1].id, *newest_first]
    page = store.list("", limit=2)
    assert [c.id for c in page] == [made[1].id, *newest_first[:2]]
    assert [c.id for c in store.list("", limit=2, before=page[-1].updated)] == newest_first[2:]


def test_imported_at_one_instant_they_come_on_one_page(store: ConversationStore) -> None:
    for _ in range(4):
        store.add_all([(Conversation(id=new_id(), updated=5.0), [], [])])
    assert len(store.list("", limit=2)) == 4


def test_a_delete_is_undone_until_it_is_purged(
    store: ConversationStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = store.create("")
    store.add(said(conversation, None, "findable"))
    store.delete("", conversation.id)
    assert (store.list(""), store.search("", "findable")) == ([], [])
    with pytest.raises(NotFoundError):
        store.get("", conversation.id)
    assert store.restore("", conversation.id).title == "findable"
    assert len(store.search("", "findable")) == 2
    store.delete("", conversation.id)
    monkeypatch.setattr("r1chat.app.conversations.store.UNDO_S", -1.0)
    ConversationStore(path).close()
    with pytest.raises(NotFoundError):
        store.restore("", conversation.id)


def test_of_what_was_deleted_for_good_no_word_stays_in_the_file(
    store: ConversationStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = store.create(""), store.create("")
    store.add(said(kept, None, "a word that stays: juniper"))
    for number in range(50):  # over several pages, which are let go
        store.add(said(gone, None, f"xylophone{number} zanzibar " * 200))
    store.delete("", gone.id)
    monkeypatch.setattr("r1chat.app.conversations.store.UNDO_S", -1.0)
    again = ConversationStore(path)
    left = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert len(again.search("", "juniper")) == 2
    again.close()
    assert b"juniper" in left
    assert b"xylophone" not in left and b"zanzibar" not in left


def test_what_can_be_had_back_is_its_owners_and_the_last_deleted_comes_first(store: ConversationStore) -> None:
    first, second, stays = (store.create("anna") for _ in range(3))
    for conversation in (second, first):
        store.delete("anna", conversation.id)
    assert [one.id for one in store.deleted("anna")] == [first.id, second.id]
    assert [one.id for one in store.deleted("anna", 1)] == [first.id]
    assert store.deleted("bert") == []
    store.restore("anna", first.id)
    assert [one.id for one in store.deleted("anna")] == [second.id]
    assert {one.id for one in store.list("anna")} == {first.id, stays.id}


def test_a_group_is_kept_with_its_report(store: ConversationStore) -> None:
    conversation = store.create("")
    group = store.add_group(Group(id=new_id(), conversation=conversation.id, kind="vote", gold="4"))
    store.update_group(group.id, report={"winner": "4"})
    assert store.group("", group.id) == msgspec.structs.replace(group, report={"winner": "4"})
    assert store.groups("", conversation.id) == [store.group("", group.id)]
    with pytest.raises(NotFoundError):
        store.update_group("nobody", gold="5")


def test_an_import_is_whole_or_nothing(store: ConversationStore) -> None:
    conversation = Conversation(id=new_id(), title="brought", created=1.0, updated=2.0)
    root = said(conversation, None, "Q?")
    reply = said(conversation, root.id, "A", reasoning="r", created=1.5)
    imported = msgspec.structs.replace(conversation, head=reply.id)
    store.add_all([(imported, [root, reply], [])])
    assert store.get("", conversation.id) == imported
    assert store.path("", conversation.id) == [root, reply]
    other = Conversation(id=new_id())
    with pytest.raises(NotFoundError):
        store.add_all([(other, [said(other, "missing", "x"), said(other, None, "y")], [])])
    with pytest.raises(InvalidRequestError):
        store.add_all([(conversation, [], [])])
    assert [c.id for c in store.list("")] == [conversation.id]
