"""r1chat chat on a real terminal and in a pipe: what it shows, what Ctrl-C does, what is kept."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest
from live_server import LiveServer, start
from terminal_session import CTRL_C, CTRL_D, UP, TerminalSession, on_terminal
from vllm_stand_in import ANSWER, MODEL, VllmStandIn

from r1chat.app.conversations.defaults import keep_default
from r1chat.app.conversations.records import Conversation, Message, Settings
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.folders import CONVERSATIONS
from r1chat.app.repl import watching
from r1chat.serve.client import ApiError

Run = Callable[..., subprocess.CompletedProcess[str]]

ENDLESS = " ".join(f"Step {i} goes on." for i in range(3000))
SCRIPTS = {
    "LONG": f"{ENDLESS} </think> Cut to nine.",
    "TWICE": "Doubled.</think>It is two.",
    "SHY": "Not a word.</think>",
}
SCRIPTS["WORDY"] = f"{ENDLESS} </think> {ENDLESS.replace('Step', 'Word')}"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """LONG in a question has it think for minutes."""
    with start({"scripts": SCRIPTS, "tokens_per_s": 200, "n_ctx": 16384}) as running:
        yield running


@pytest.fixture
def session(server: LiveServer, tmp_path: Path) -> Iterator[TerminalSession]:
    with on_terminal("chat", "--url", server.url, "--data", str(tmp_path)) as running:
        yield running


def kept(folder: Path) -> tuple[Conversation, list[Message]]:
    """The newest conversation, with all of its messages."""
    store = ConversationStore(folder / CONVERSATIONS)
    try:
        newest = store.list("")[0]
        return newest, store.messages("", newest.id)
    finally:
        store.close()


def test_a_conversation_shows_thoughts_and_answers_and_is_kept(session: TerminalSession, tmp_path: Path) -> None:
    session.expect("Ctrl-C: answer now · twice: stop · three times: leave")
    session.ask("How many sheep?")
    for text in ("Let me count the sheep.", "so nine are left.", "The answer is \\boxed{9}.", "thought "):
        session.expect(text)
    session.ask('"""TWICE\n  and indented')
    session.expect("... ")
    session.type('"""\n')
    session.expect("It is two.")
    session.ask("/nonsense")
    session.expect("There is no command /nonsense. See what there is: /help")
    session.ask("/set temperature 9")
    session.expect("temperature must be from 0 to 2. Try: /set temperature default")
    session.ask("/set seed 1.5")
    session.expect("seed wants a whole number. Try: /set seed default")
    session.ask("/open 7")
    session.expect("There is no conversation 7. See which: /list")
    session.ask("/set temperature 0.3")
    session.ask("/think 40")
    session.expect("at most 40 tokens")
    session.ask("/system Be brief.")
    session.expect("DeepSeek advises R1 models to be asked without a system prompt")
    session.expect(">>> ")
    session.type(CTRL_D)
    assert session.end() == 0
    conversation, messages = kept(tmp_path)
    assert conversation.title == "How many sheep?"
    settings = conversation.settings
    assert (settings.temperature, settings.budget, settings.system) == (0.3, 40, "Be brief.")
    assert [message.content.strip() for message in messages] == [
        "How many sheep?", "The answer is \\boxed{9}.", "TWICE\n  and indented", "It is two.",
    ]  # fmt: skip
    assert messages[1].reasoning.startswith("Let me count")


def test_ctrl_c_once_has_it_answer_now(session: TerminalSession, tmp_path: Path) -> None:
    session.ask("Be LONG now")
    session.expect("Step 5 goes on.")
    session.type(CTRL_C)
    session.expect("[answering now]")
    session.expect("Cut to nine.")
    session.ask("/bye")
    assert session.end() == 0
    _, (_, reply) = kept(tmp_path)
    assert (reply.state, reply.content.strip()) == ("done", "Cut to nine.")
    assert "Step 5 goes on." in reply.reasoning
    assert session.shown.count("Step 5 goes on.") == 1


def test_a_server_that_cannot_have_it_answer_now_says_so() -> None:
    ended = Message(id="r", conversation="c", parent="q", role="assistant", state="stopped")
    seen: SimpleQueue[Any] = SimpleQueue()
    seen.put("interrupt")
    said: list[str] = []

    def begin(work: None) -> Future[bool]:
        refused: Future[bool] = Future()
        refused.set_exception(ApiError(404, None, "Not Found"))
        return refused

    def note(text: str) -> None:
        said.append(text)
        if "Not Found" in text:
            seen.put(ended)

    background: Any = SimpleNamespace(begin=begin, jobs=SimpleNamespace(answer_now=lambda reply_id: None))
    silent: Any = SimpleNamespace(note=note, reasoning=print, answer=print)
    assert watching._show(background, ended, seen, silent, watching.Interrupts()) is ended
    assert said == ["answering now", "it could not be told: Not Found"]


def test_ctrl_c_twice_stops_the_reply_and_three_times_leaves(session: TerminalSession, tmp_path: Path) -> None:
    session.ask("Be WORDY now")
    session.expect("Step 3 goes on.")
    session.type(CTRL_C)
    session.expect("Word 1 goes on.")
    session.type(CTRL_C)
    session.expect("[stopped; /more goes on]")
    session.expect(">>> ")
    session.type(CTRL_C)
    assert session.end() == 130
    _, (_, reply) = kept(tmp_path)
    assert reply.state == "stopped"
    assert reply.reasoning.startswith("Step 0 goes on. Step 1")
    assert "Word 1 goes on." in reply.content


def test_a_reply_may_be_had_again_in_other_words_and_longer(session: TerminalSession, tmp_path: Path) -> None:
    session.ask("How many sheep?")
    session.expect("thought ")
    session.ask("/retry")
    session.expect("thought ")
    session.ask("/edit")
    session.expect(">>> How many sheep?")
    session.type(CTRL_C)
    session.expect("Nothing was changed.")
    session.ask("/edit")
    session.expect(">>> How many sheep?")
    session.type(" TWICE\n")
    session.expect("It is two.")
    session.ask("/save ~nobody-of-that-name/chat.md")
    session.expect("cannot be written")
    session.ask("/more")
    session.expect("Wait, let me check that again.")
    session.ask(f"/save {tmp_path / 'chat.md'}")
    session.expect("saved as")
    session.ask(f"/save {tmp_path / 'chat.md'}")
    session.expect("Take another name")
    session.ask("/new")
    session.ask("/list sheep")
    session.expect("  1  How many sheep?")
    session.ask("/open 1")
    session.expect("you: How many sheep? TWICE")
    session.ask("/bye")
    assert session.end() == 0
    _, messages = kept(tmp_path)
    assert [(message.role, message.origin) for message in messages] == [
        ("user", "ask"), ("assistant", "ask"), ("assistant", "regenerate"), ("user", "ask"), ("assistant", "ask"),
        ("assistant", "fork"),
    ]  # fmt: skip
    assert messages[3].content == "How many sheep? TWICE"
    assert "It is two." in (tmp_path / "chat.md").read_text()


def test_continue_goes_on_with_the_newest_conversation_and_not_with_a_pinned_one(
    server: LiveServer, tmp_path: Path
) -> None:
    store = ConversationStore(tmp_path / CONVERSATIONS)
    for words in ("Old question", "New question"):
        conversation = store.create("")
        store.add(Message(id=words, conversation=conversation.id, parent=None, role="user", content=words))
        store.update("", conversation.id, pinned=words == "Old question")
    store.close()
    with on_terminal("chat", "--url", server.url, "--data", str(tmp_path), "--continue") as session:
        session.ask("/show")
        session.expect("you: New question")
        session.ask("/bye")
        assert session.end() == 0


@pytest.mark.slow
def test_what_was_typed_is_there_again_the_next_time(server: LiveServer, tmp_path: Path) -> None:
    arguments = ("chat", "--url", server.url, "--data", str(tmp_path))
    with on_terminal(*arguments) as first:
        first.ask("How many sheep?")
        first.expect("thought ")
        first.ask("/bye")
        assert first.end() == 0
    with on_terminal(*arguments, "--continue", "--think", "30") as second:
        second.expect(">>> ")
        second.type(f"{UP}{UP}\n")
        second.expect("\\boxed{9}")
        second.ask("/bye")
        assert second.end() == 0
    conversation, messages = kept(tmp_path)
    assert (len(messages), conversation.settings.budget) == (4, 30)
    assert (tmp_path / "typed").stat().st_mode & 0o077 == 0


def test_what_is_pasted_is_one_question_however_many_lines_it_has(session: TerminalSession, tmp_path: Path) -> None:
    session.expect(">>> ")
    assert "\x1b[?2004h" in session.shown, "terminals mark what is pasted where they are told to"
    session.type("\x1b[200~TWICE\n  and indented\n\x1b[201~\r")
    session.expect("It is two.")
    session.ask("/bye")
    assert session.end() == 0
    assert kept(tmp_path)[1][0].content == "TWICE\n  and indented"


@pytest.mark.slow
def test_in_a_pipe_each_line_is_asked_and_answers_alone_are_on_stdout(
    r1chat: Run, server: LiveServer, tmp_path: Path
) -> None:
    lines = '"""How many\nsheep?"""\n\n/new\nTWICE\n'
    done = r1chat("chat", "--url", server.url, "--data", str(tmp_path), input=lines)
    assert (done.returncode, done.stdout) == (0, "The answer is \\boxed{9}.\nIt is two.\n")
    assert "Let me count the sheep." in done.stderr and ">>>" not in done.stderr
    store = ConversationStore(tmp_path / CONVERSATIONS)
    assert [one.title for one in store.list("")] == ["TWICE", "How many"]
    store.close()


def test_what_no_quotes_close_is_asked_when_the_pipe_ends(r1chat: Run, server: LiveServer) -> None:
    done = r1chat("chat", "--url", server.url, "--no-save", input='"""TWICE\nas much')
    assert (done.returncode, done.stdout) == (0, "It is two.\n")


def test_what_is_asked_with_a_key_is_kept_beside_what_is_asked_without(
    r1chat: Run, server: LiveServer, tmp_path: Path
) -> None:
    done = r1chat("chat", "--url", server.url, "--api-key", "any", "--data", str(tmp_path), input="TWICE\n")
    assert done.returncode == 0
    assert kept(tmp_path)[0].title == "TWICE"


def test_json_is_one_object_a_line_and_the_first_failure_gives_the_status(
    r1chat: Run, server: LiveServer, tmp_path: Path
) -> None:
    lines = "NAN\n/new\nTWICE\n"
    done = r1chat("chat", "--url", server.url, "--no-save", "--json", "--data", str(tmp_path / "none"), input=lines)
    failed, whole = map(json.loads, done.stdout.splitlines())
    assert (failed["answer"], failed["state"], whole["answer"]) == ("", "failed", "It is two.")
    assert failed["error"].startswith("The model produced")
    assert whole["reasoning"] == "Doubled." and whole["usage"]["total_tokens"] > 0
    assert done.returncode == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_what_is_not_kept_is_gone_when_the_terminal_closes(
    server: LiveServer, tmp_path: Path, number: signal.Signals
) -> None:
    with on_terminal("chat", "--url", server.url, "--no-save", TMPDIR=str(tmp_path)) as session:
        session.ask("Be LONG now")
        session.expect("Step 5 goes on.")
        assert list(tmp_path.glob("r1chat-*"))
        session.process.send_signal(number)
        assert session.end() == 128 + number
    assert not list(tmp_path.iterdir())


def test_servers_of_another_make_are_asked_for_the_first_model_they_list(r1chat: Run) -> None:
    with VllmStandIn() as server:
        done = r1chat("chat", "--url", server.url, "--no-save", input="How many are left?\n")
    assert (done.returncode, done.stdout.strip()) == (0, ANSWER)
    assert server.bodies[0]["model"] == MODEL


def test_an_exported_conversation_is_json_whatever_is_in_it(r1chat: Run, server: LiveServer) -> None:
    lines = "TWICE \x9b31m\u202e\n/export json\n"
    for option in ((), ("--json",)):
        done = r1chat("chat", "--url", server.url, "--no-save", *option, input=lines)
        _, _, exported = done.stdout.partition("\n")
        assert (done.returncode, "\x9b" in exported) == (0, False)
        (conversation,) = json.loads(exported)["conversations"]
        assert conversation["messages"][0]["content"] == "TWICE \x9b31m\u202e"


def test_a_conversation_full_of_hits_hides_no_other_in_the_list(
    r1chat: Run, server: LiveServer, tmp_path: Path
) -> None:
    store = ConversationStore(tmp_path / CONVERSATIONS)
    for title, n_hits in (("Older", 1), ("Newer", 30)):
        conversation = store.create("")
        for n, text in enumerate([title, *["A sheep."] * n_hits]):
            store.add(Message(id=f"{title}{n}", conversation=conversation.id, parent=None, role="user", content=text))
    store.close()
    done = r1chat("chat", "--url", server.url, "--data", str(tmp_path), input="/list sheep\n")
    assert re.search(r"  1  Newer  \(.*\)\n  2  Older  \(", done.stderr)


def test_a_wrong_command_in_a_pipe_ends_it_with_a_line(r1chat: Run, server: LiveServer) -> None:
    done = r1chat("chat", "--url", server.url, "--no-save", input="/dance\nTWICE\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "r1chat: There is no command /dance. See what there is: /help"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--url", "http://127.0.0.1:9"), 1, "No answer from http://127.0.0.1:9: .*Start one: r1chat serve"),
        (("--url", "box:8000"), 2, "box:8000 is no address of a server. Use: r1chat chat --url http://"),
        (("--url", "http://b:80x"), 2, "'http://b:80x' is no address of a server. Use: r1chat chat --url http://"),
        (("--continue",), 2, "What is not kept cannot be gone on with. Leave one out: r1chat chat --continue"),
    ],
)
def test_what_cannot_begin_is_told_in_a_line(r1chat: Run, arguments: tuple[str, ...], status: int, says: str) -> None:
    done = r1chat("chat", *arguments, "--no-save", input="Q?\n")
    assert (done.returncode, done.stdout) == (status, "")
    assert re.match(f"r1chat: {says}", done.stderr) and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_model_of_the_settings_is_the_one_that_is_loaded(noise_model: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "mine.gguf").symlink_to(noise_model)
    store = ConversationStore(tmp_path / CONVERSATIONS)
    keep_default(store.database, "", Settings(model="mine"))
    store.close()
    with on_terminal("chat", "--data", str(tmp_path), R1CHAT_MODELS=str(models)) as session:
        session.expect("Loading mine ...")
        session.ask("/bye")
        assert session.end() == 0


@pytest.mark.slow
def test_its_own_server_outlives_ctrl_c(endless_model: Path, tmp_path: Path) -> None:
    with on_terminal("chat", str(endless_model), "--data", str(tmp_path)) as session:
        session.expect("Loading ")
        for question in ("First?", "Second?"):
            session.ask(question)
            session.expect(f"{question}\n")
            session.type(CTRL_C)  # even before anything is shown
            # A thought of random weights may have ended by itself.
            if session.expect("[answering now]", "[stopping]") == "[answering now]":
                session.type(CTRL_C)
            session.expect("[stopped; /more goes on]")
        session.ask("/bye")
        assert session.end() == 0
    assert [m.state for m in kept(tmp_path)[1] if m.role == "assistant"] == ["stopped", "stopped"]
