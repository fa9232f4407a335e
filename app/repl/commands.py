"""What begins with a slash: changes how is asked, or does something with the conversation.

A command either is done when it returns, or gives the reply that it has written, to be watched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from ...serve.errors import InvalidRequestError, NotFoundError
from ..conversations.presets import PRESETS, preset
from ..conversations.records import Message
from ..conversations.transfer.writing import FORMATS
from .screen import Terminal
from .session import Session
from .typing_in import Lines
from .watching import Leave

LISTED = 20
# Of a search: many may lie in one conversation.
MOST_HITS = 1000
# Python turns no more than some thousand digits into a number.
MAX_DIGITS = 20
SYSTEM_WARNING = "DeepSeek advises R1 models to be asked without a system prompt: instructions belong in the question."
NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens")
SWITCHES = {"on": True, "off": False}


@dataclass(frozen=True)
class Command:
    """`run` gets what stands behind the name."""

    usage: str
    help: str
    run: Callable[[str], Message | None]


class Commands:
    """The table of them, over one session."""

    def __init__(self, session: Session, terminal: Terminal, lines: Lines) -> None:
        self._session = session
        self._terminal = terminal
        self._lines = lines
        self._shown: list[str] = []
        self.table = {
            "/help": Command("/help", "this list", self._help),
            "/think": Command("/think off|auto|N", "no thought, as long as it likes, or at most N tokens", self._think),
            "/more": Command("/more", "go on with a reply that was cut off, or think on behind the last", self._more),
            "/retry": Command("/retry", "another reply to the last question", self._retry),
            "/edit": Command("/edit [TEXT]", "ask the last question in other words", self._edit),
            "/system": Command("/system [TEXT|off]", "the system prompt", self._system),
            "/set": Command("/set NAME VALUE", "temperature, preset, model ...; `default` takes it back", self._set),
            "/show": Command("/show", "the settings and what was said", self._show),
            "/save": Command("/save FILE", "the conversation: .md, .json, or .jsonl to train on", self._save),
            "/export": Command("/export [FORMAT]", f"the same to stdout: {', '.join(FORMATS)}", self._export),
            "/new": Command("/new", "begin another conversation", self._new),
            "/list": Command("/list [WORDS]", "conversations, or those that hold the words", self._list),
            "/open": Command("/open N", "go on with one of the list, by its number or id", self._open),
            "/bye": Command("/bye", "leave (Ctrl-D does, too)", self._bye),
        }

    def run(self, line: str) -> Message | None:
        """Raises InvalidRequestError, whose text says what to type."""
        name, _, rest = line.partition(" ")
        command = self.table.get(name)
        if command is None:
            raise InvalidRequestError(f"There is no command {name[:40]}. See what there is: /help")
        return command.run(rest.strip())

    def _help(self, rest: str) -> None:
        width = max(len(command.usage) for command in self.table.values())
        for command in self.table.values():
            self._terminal.say(f"{command.usage.ljust(width)}  {command.help}")
        self._terminal.say('A question over several lines stands between """ and """; one that begins with / after //.')

    def _think(self, rest: str) -> None:
        if rest.isdecimal() and len(rest) <= MAX_DIGITS:
            settings = self._session.change(thinking="budget", budget=int(rest))
        elif rest in ("off", "auto"):
            settings = self._session.change(thinking=rest)
        else:
            raise InvalidRequestError("Thinking is off, auto, or a number of tokens. Try: /think 500")
        words = {"off": "no thought", "auto": "as long as it likes", "budget": f"at most {settings.budget} tokens"}
        self._terminal.say(f"thinking: {words[settings.thinking]}")

    def _more(self, rest: str) -> Message:
        return self._session.more()

    def _retry(self, rest: str) -> Message:
        return self._session.retry()

    def _edit(self, rest: str) -> Message:
        before = self._session.last_question().content
        if not rest and not self._lines.is_terminal:
            raise InvalidRequestError("Say what to ask instead: /edit What is 15% of 200?")
        try:
            return self._session.edit(rest or self._lines.next(prefilled=before))
        except (KeyboardInterrupt, EOFError):
            raise InvalidRequestError("Nothing was changed.") from None

    def _system(self, rest: str) -> None:
        if rest:
            self._session.change(system="" if rest == "off" else rest)
        system = self._session.settings.system
        self._terminal.say(f"system prompt: {system}\n{SYSTEM_WARNING}" if system else "no system prompt")

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        value = value.strip()
        if name == "preset":
            self._preset(value)
        elif name in NUMBERS and value:
            self._session.change(**{name: None if value == "default" else _number(value)})
            self._terminal.say(f"{name}: {value}")
        elif name == "model" and value:
            self._session.change(model="" if value == "default" else value)
            self._terminal.say(f"model: {value}")
        elif name == "keep_thoughts" and value in SWITCHES:
            self._session.change(keep_thoughts=SWITCHES[value])
            self._terminal.say(f"earlier thoughts are {'sent along' if SWITCHES[value] else 'left out'}")
        else:
            names = ", ".join(("preset", "model", "keep_thoughts on|off", *NUMBERS))
            raise InvalidRequestError(f"What can be set: {names}. Try: /set temperature 0.7")

    def _preset(self, value: str) -> None:
        chosen = preset(value)
        if chosen is None:
            raise InvalidRequestError(f"Presets: {', '.join(one.id for one in PRESETS)}. Try: /set preset r1")
        self._session.use(chosen.applied(self._session.settings))
        self._terminal.say(f"{chosen.name}: {chosen.why}{' ' + chosen.warning if chosen.warning else ''}")

    def _show(self, rest: str) -> None:
        for name, value in msgspec.structs.asdict(self._session.settings).items():
            self._terminal.say(f"{name.ljust(18)}  {_shown(name, value)}")
        conversation = self._session.conversation
        if conversation is None:
            self._terminal.say("nothing was said yet")
            return
        self._terminal.say(f"{conversation.title or 'without a title'} ({conversation.id})")
        for message in self._session.path():
            who = "you" if message.role == "user" else message.model or "reply"
            self._terminal.say(f"\n{who}: {message.content.strip()}")

    def _save(self, rest: str) -> None:
        form = {".md": "md", ".json": "json", ".jsonl": "messages"}.get(Path(rest).suffix)
        if form is None:
            raise InvalidRequestError("The ending says what is written: .md, .json or .jsonl. Try: /save chat.md")
        text = "".join(FORMATS[form].write([self._session.tree()], thoughts=True))
        path = Path(os.path.expanduser(rest))
        try:
            # What is there may be somebody's work.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise InvalidRequestError(f"{path} cannot be written: {error.strerror}. Take another name") from error
        self._terminal.say(f"saved as {path}")

    def _export(self, rest: str) -> None:
        form = rest or "md"
        if form not in FORMATS:
            raise InvalidRequestError(f"Formats: {', '.join(FORMATS)}. Try: /export md")
        for part in FORMATS[form].write([self._session.tree()], thoughts=True):
            self._terminal.export(part, as_json=form != "md")
        self._terminal.say("")

    def _new(self, rest: str) -> None:
        self._session.begin_new()
        self._terminal.say("a new conversation")

    def _list(self, rest: str) -> None:
        if rest:
            hits = self._session.search(rest, MOST_HITS)
            found = dict(islice({hit.conversation: hit.title for hit in hits}.items(), LISTED))
        else:
            found = {one.id: one.title for one in self._session.list(LISTED)}
        self._shown = list(found)
        for number, (conversation_id, title) in enumerate(found.items(), 1):
            self._terminal.say(f"{number:>3}  {title or 'without a title'}  ({conversation_id})")
        if not found:
            self._terminal.say("none")

    def _open(self, rest: str) -> None:
        is_listed = rest.isdecimal() and len(rest) <= MAX_DIGITS and 1 <= int(rest) <= len(self._shown)
        try:
            self._session.open(self._shown[int(rest) - 1] if is_listed else rest)
        except NotFoundError as error:
            raise InvalidRequestError(
                f"There is no conversation {rest[:40] or 'without a number'}. See which: /list"
            ) from error
        self._show("")

    def _bye(self, rest: str) -> None:
        raise Leave()


def _number(text: str) -> Any:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise InvalidRequestError(f"{text[:40]} is no number. Try: /set temperature 0.7") from None


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if value != "" else ("default" if name == "model" else "none")
