"""What happens to the conversation file when something goes wrong with it: it is never made worse."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from r1chat.app.conversation_health import conversation_check
from r1chat.app.conversations import database, mending
from r1chat.app.conversations.database import Database, StoreError
from r1chat.app.conversations.defaults import default_settings, keep_default
from r1chat.app.conversations.records import Group, Message, Settings
from r1chat.app.conversations.schema import STEPS
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.conversations.transfer.reading import read
from r1chat.app.conversations.transfer.tree import tree_of
from r1chat.app.conversations.transfer.writing import FORMATS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversations.sqlite"


def filled(path: Path, n_conversations: int = 3, n_messages: int = 2) -> None:
    """A closed file of conversations c0, c1 ..., each a chain of messages c0-0, c0-1 ..."""
    store = ConversationStore(path)
    for c in range(n_conversations):
        conversation = store.create("")
        parent = None
        for m in range(n_messages):
            role, name = ("assistant" if m % 2 else "user"), f"c{c}-{m}"
            text = f"{name} {'text ' * 100}"
            store.add(Message(id=name, conversation=conversation.id, parent=parent, role=role, content=text))  # type: ignore[arg-type]
            parent = name
    store.close()


def schema_of(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_a_file_of_a_newer_version_is_refused_and_not_a_byte_of_it_changes(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="written by a newer r1chat and is left as it is"):
        ConversationStore(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_another_programs_database_is_refused_and_unchanged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"holds no conversations of r1chat\. Move it away: mv "):
        ConversationStore(path)
    assert path.read_bytes() == before


def test_an_older_file_is_brought_up_to_date_and_a_step_that_fails_leaves_it_as_it_was(path: Path) -> None:
    filled(path)
    good = (*STEPS, "ALTER TABLE conversations ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';")
    before = schema_of(path)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        Database(path, (*good, "CREATE TABLE half (x); UPDATE nowhere SET x = 1;"))
    assert schema_of(path) == before
    migrated = Database(path, good)
    with migrated.read() as connection:
        assert [row["colour"] for row in connection.execute("SELECT colour FROM conversations")] == ["blue"] * 3
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(good)
    migrated.close()


def test_what_is_no_database_is_one_line_with_the_command_that_mends_it(path: Path) -> None:
    path.write_bytes(b"not a database at all, though long enough to look at" * 50)
    before = path.read_bytes()
    with pytest.raises(StoreError) as failed:
        ConversationStore(path)
    assert str(failed.value).endswith(
        f"is damaged. Save what can be read of it: r1chat doctor --mend --data {path.parent}"
    )
    assert "\n" not in str(failed.value)
    assert path.read_bytes() == before


def damage(path: Path, at: int) -> None:
    """The page that holds this byte becomes noise."""
    with path.open("r+b") as file:
        file.seek(at // 4096 * 4096)
        file.write(os.urandom(4096))


def test_of_a_damaged_file_all_but_the_damaged_pages_is_saved_and_the_old_one_kept(path: Path) -> None:
    filled(path, n_conversations=40, n_messages=4)
    kept = Database(path)
    keep_default(kept, "", Settings(model="mine"))
    kept.close()
    # The texts lie in the table; the full-text index holds words.
    damage(path, path.read_bytes().index(b"c20-1 text"))
    bytes_before = path.read_bytes()
    assert mending.look(path).problem
    saved, aside = mending.mend(path)
    assert aside.read_bytes() == bytes_before
    assert 160 - 30 < saved.messages < 160
    assert saved.conversations == 40
    whole = mending.look(path)
    assert (whole.problem, whole.messages) == ("", saved.messages)
    store = ConversationStore(path)
    assert all(store.path("", c.id) for c in store.list("") if c.head)
    assert store.search("", "c39-3")
    assert default_settings(store.database, "").model == "mine"
    store.close()


@pytest.mark.parametrize("lost", ["DELETE FROM groups", "DELETE FROM messages WHERE id = 'r1'"])
def test_a_mended_vote_that_lost_a_part_opens_and_goes_out_and_in_again(path: Path, lost: str) -> None:
    store = ConversationStore(path)
    name = store.create("").id
    store.add(Message(id="q", conversation=name, parent=None, role="user", content="?"))
    group = Group(id="g", conversation=name, kind="vote", report={"n": 2, "replies": ["r0", "r1"]})
    store.add_group(group, [
        Message(id=f"r{n}", conversation=name, parent="q", role="assistant", content="9", group="g", choice=n)
        for n in range(2)
    ])  # fmt: skip
    store.close()
    with closing(sqlite3.connect(path)) as damaged:
        damaged.execute("UPDATE messages SET details = '{broken' WHERE id = 'q'")
        damaged.execute(lost)
        damaged.commit()
    mending.mend(path)
    store = ConversationStore(path)
    tree = tree_of(store, "", name)
    assert not tree.groups and all(message.group is None for message in tree.messages)
    assert read("".join(FORMATS["json"].write([tree], thoughts=True)).encode())
    store.close()


def test_a_mending_that_is_stopped_leaves_the_damaged_file_where_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    damage(path, path.read_bytes().index(b"c1-1 text"))
    before = path.read_bytes()

    def stopped(old: sqlite3.Connection, new: sqlite3.Connection) -> mending.Contents:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(mending, "_copy", stopped)
        mending.mend(path)
    assert path.read_bytes() == before
    assert not [file for file in path.parent.iterdir() if "mending" in file.name or "damaged" in file.name]
    saved, _ = mending.mend(path)
    assert saved.conversations == 3


@pytest.mark.parametrize("n_done", range(3))
def test_a_mending_that_is_killed_between_two_renames_is_finished_by_the_next_start(
    path: Path, monkeypatch: pytest.MonkeyPatch, n_done: int
) -> None:
    filled(path)
    damage(path, path.read_bytes().index(b"c1-1 text"))
    beside = Path(f"{path}-wal")
    beside.write_bytes(b"of the damaged file")
    before = path.read_bytes()
    rename, left = Path.rename, iter(range(n_done))

    def killed(file: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return rename(file, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "rename", killed)
        mending.mend(path)
    is_set_aside = not path.exists()
    assert conversation_check(path).state == "broken"
    if not is_set_aside:
        mending.mend(path)
    store = ConversationStore(path)
    assert len(store.list("")) == 3 and store.search("", "c2-1")
    store.close()
    (aside,) = path.parent.glob("*.damaged-*[0-9]")
    assert (aside.read_bytes(), Path(f"{aside}-wal").read_bytes()) == (before, b"of the damaged file")
    assert is_set_aside == bool(n_done) and not list(path.parent.glob(".*"))


def test_a_row_with_a_spoiled_value_is_left_out_and_a_huge_row_number_takes_no_time(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as spoiled:
        spoiled.execute("PRAGMA writable_schema = ON")
        spoiled.execute("UPDATE sqlite_master SET sql = replace(sql, 'pinned INTEGER NOT NULL', 'pinned INTEGER')")
        spoiled.commit()
    with closing(sqlite3.connect(path)) as spoiled:
        spoiled.execute("UPDATE conversations SET pinned = NULL WHERE row = 1")
        spoiled.execute("UPDATE messages SET row = 9000000000000000000 WHERE id = 'c2-1'")
        spoiled.commit()
    saved, _ = mending.mend(path)
    # The messages of the one that was left out are found under another.
    assert (saved.conversations, saved.messages) == (3, 6)
    assert mending.look(path).problem == ""


def test_messages_whose_conversation_is_lost_are_shown_after_mending(path: Path) -> None:
    filled(path)
    with closing(sqlite3.connect(path)) as damaged:
        (name,) = damaged.execute("SELECT conversation FROM messages WHERE id = 'c1-1'").fetchone()
        damaged.execute("DELETE FROM conversations WHERE id = ?", (name,))
        damaged.commit()
    mending.mend(path)
    store = ConversationStore(path)
    assert [message.id for message in store.path("", name)] == ["c1-0", "c1-1"]
    store.close()


def test_a_file_that_may_not_be_read_is_not_called_damaged(path: Path) -> None:
    filled(path)
    Path(f"{path}-wal").mkdir()  # SQLite cannot open its own file beside it
    with pytest.raises(StoreError, match=r"cannot be written\. Make it yours: chmod"):
        mending.look(path)


def test_two_that_open_a_new_file_at_once_both_find_it_theirs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_version = database._version

    def overtaken(connection: sqlite3.Connection) -> int:
        version = read_version(connection)
        monkeypatch.setattr(database, "_version", read_version)
        with closing(sqlite3.connect(path, timeout=0)) as other, suppress(sqlite3.OperationalError):
            other.execute("CREATE TABLE conversations (id)")  # the other waits, where ours has begun to look
        return version

    monkeypatch.setattr(database, "_version", overtaken)
    Database(path).close()


def test_a_file_without_a_readable_page_is_set_aside_whole(path: Path) -> None:
    path.write_bytes(os.urandom(50_000))
    before = path.read_bytes()
    saved, aside = mending.mend(path)
    assert (saved.conversations, saved.messages) == (0, 0)
    assert aside.read_bytes() == before
    ConversationStore(path).close()


def test_a_file_in_use_is_not_mended(path: Path) -> None:
    store = ConversationStore(path)
    with pytest.raises(StoreError, match=r"open in another r1chat.*: fuser -v "):
        mending.mend(path)
    store.close()


def test_a_full_disk_is_a_clear_error_and_what_was_kept_stays(path: Path) -> None:
    filled(path, 1)
    store = ConversationStore(path)
    (conversation,) = store.list("")
    with store._db.write() as connection:
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    big = Message(id="big", conversation=conversation.id, parent=None, role="user", content="x" * 500_000)
    with pytest.raises(StoreError, match=r"^The disk is full, so the conversation was not kept\. See what is free: df"):
        store.add(big)
    assert [m.id for m in store.messages("", conversation.id)] == ["c0-0", "c0-1"]
    with store._db.write() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    store.add(big)
    store.close()


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreError, match="Conversations cannot be kept in"):
        ConversationStore(tmp_path / "data" / "conversations.sqlite")


def test_a_file_that_may_not_be_written_is_a_clear_error(path: Path) -> None:
    filled(path, 1)
    store = ConversationStore(path)
    with store._db.write() as connection:
        pass
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match=r"cannot be written\. Make it yours: chmod"):
        store.create("")
    connection.execute("PRAGMA query_only = OFF")
    store.close()


def test_one_that_waits_too_long_for_another_is_told_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    store = ConversationStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="in use by another program"):
            store.create("")
        other.execute("ROLLBACK")
    store.create("")
    store.close()


WRITE_MANY = """
import sys
from pathlib import Path
from r1chat.app.conversations.store import ConversationStore
store = ConversationStore(Path(sys.argv[1]))
for _ in range(60):
    store.create(sys.argv[2])
store.close()
"""


def test_two_processes_write_into_one_file(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITE_MANY, str(path), name]) for name in ("anna", "bert")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    store = ConversationStore(path)
    assert (len(store.list("anna")), len(store.list("bert"))) == (60, 60)
    store.close()
    assert mending.look(path).problem == ""


@pytest.mark.slow
def test_a_server_does_not_start_on_a_damaged_file_and_says_so_in_one_line(path: Path) -> None:
    path.write_bytes(os.urandom(9000))
    serve = [sys.executable, "-m", "r1chat.app", "serve", "--port", "0", "--data", str(path.parent)]
    done = subprocess.run(serve, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith(f"r1chat doctor --mend --data {path.parent}")
    assert "Traceback" not in done.stderr
