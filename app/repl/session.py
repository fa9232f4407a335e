"""One conversation in the terminal and what can be done with it, whoever typed it and however it is shown."""

from __future__ import annotations

from typing import Any

import msgspec

from ...serve.errors import InvalidRequestError
from ..conversations.defaults import default_settings
from ..conversations.limits import check_settings
from ..conversations.records import Conversation, Message, Settings
from ..conversations.search import Hit
from ..conversations.transfer.tree import Tree, tree_of
from .background import Background

# What a thought that had ended goes on with when more of it is wanted.
MORE = "\n\nWait, let me check that again."
MENDS = {"thinking": "/think 500", "system": "/system off"}


class Session:
    """`changes` are made to the settings of every new conversation. Nothing is kept before something is asked."""

    def __init__(self, background: Background, owner: str, changes: dict[str, Any]) -> None:
        self._background = background
        self._store = background.store
        self._asker = background.asker
        self._owner = owner
        self._changes = changes
        self.begin_new()

    def begin_new(self) -> None:
        """What is asked next begins a conversation."""
        self.conversation: Conversation | None = None
        self._settings = _changed(default_settings(self._store.database, self._owner), self._changes)

    @property
    def settings(self) -> Settings:
        return self.conversation.settings if self.conversation else self._settings

    def change(self, **changes: Any) -> Settings:
        """Raises InvalidRequestError."""
        settings = _changed(self.settings, changes)
        self.use(settings)
        return settings

    def use(self, settings: Settings) -> None:
        self._settings = settings
        if self.conversation is not None:
            self.conversation = self._store.update(self._owner, self.conversation.id, settings=settings)

    def ask(self, text: str) -> Message:
        """The reply, being written; so do all that return one."""
        conversation_id = self.conversation.id if self.conversation else None
        settings = None if self.conversation else self._settings
        asked = self._background.call(self._asker.ask(self._owner, conversation_id, text, settings=settings))
        self.conversation = asked.conversation
        return asked.reply

    def edit(self, text: str) -> Message:
        """Asks the last question anew, in other words; the old one stays as a branch."""
        question = self.last_question()
        asked = self._background.call(
            self._asker.ask(self._owner, question.conversation, text, parent=question.parent, at_head=False)
        )
        self.conversation = asked.conversation
        return asked.reply

    def retry(self) -> Message:
        return self._background.call(self._asker.regenerate(self._owner, self._last_reply().id))

    def more(self) -> Message:
        """Goes on with a reply that was cut off; has one that was not think again behind its thought."""
        reply = self._last_reply()
        if reply.state != "done" or reply.finish_reason == "length":
            return self._background.call(self._asker.go_on(self._owner, reply.id))
        return self._background.call(self._asker.fork(self._owner, reply.id, len(reply.reasoning), MORE))

    def path(self) -> list[Message]:
        """What was said, on the branch that is shown."""
        return self._store.path(self._owner, self.conversation.id) if self.conversation else []

    def last_question(self) -> Message:
        return self._last("user", "There is no question yet to edit.")

    def tree(self) -> Tree:
        """Raises InvalidRequestError where nothing was said."""
        if self.conversation is None:
            raise InvalidRequestError("Nothing was said yet.")
        return tree_of(self._store, self._owner, self.conversation.id)

    def search(self, text: str, limit: int) -> list[Hit]:
        return self._store.search(self._owner, text, limit=limit)

    def open(self, conversation_id: str) -> None:
        """Raises NotFoundError."""
        self.conversation = self._store.get(self._owner, conversation_id)

    def _last_reply(self) -> Message:
        return self._last("assistant", "There is no reply yet.")

    def _last(self, role: str, otherwise: str) -> Message:
        found = next((message for message in reversed(self.path()) if message.role == role), None)
        if found is None:
            raise InvalidRequestError(otherwise)
        return found

    # Behind every signature that means the type by this name.
    def list(self, limit: int) -> list[Conversation]:
        return self._store.list(self._owner, limit)[:limit]


def _changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    name = next(iter(changes), "")
    again = MENDS.get(name, f"/set {name} default")
    try:
        return check_settings(msgspec.convert({**msgspec.to_builtins(settings), **changes}, Settings))
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{name} wants a whole number. Try: {again}") from error
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{error} Try: {again}") from error
