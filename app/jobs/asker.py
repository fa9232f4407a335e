"""What a person may have done with replies: ask, ask again, go on. Checks it, records it, starts the job.

Asking again or forking a reply that is still written stops that one first; it stays as a branch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ...serve.errors import InvalidRequestError
from ..conversations.records import Conversation, Message, Origin, Settings
from ..conversations.store import ConversationStore, new_id
from .events import ConversationChanged, MessageChanged
from .prompts import Into
from .registry import JobRegistry
from .sources import Place, Source, asked, going_on

STILL_WRITTEN = "The reply is still being written; stop it, or wait for its end."
CAN_GO_ON = frozenset({"stopped", "failed", "interrupted"})


@dataclass(frozen=True, slots=True)
class Asked:
    conversation: Conversation
    question: Message
    reply: Message


class Asker:
    """All calls raise NotFoundError for what is not the owner's, and InvalidRequestError for what makes no sense."""

    def __init__(self, store: ConversationStore, jobs: JobRegistry) -> None:
        self._store = store
        self._jobs = jobs

    async def question(
        self,
        owner: str,
        conversation_id: str | None,
        text: str,
        *,
        parent: str | None = None,
        at_head: bool = True,
        settings: Settings | None = None,
    ) -> tuple[Conversation, Message]:
        """Adds the question, behind the head or behind `parent`; without a conversation it begins one."""
        if not text.strip():
            raise InvalidRequestError("The question is empty.", "text")

        def add() -> tuple[Conversation, Message]:
            conversation = self._conversation(owner, conversation_id, settings)
            behind = conversation.head if at_head else parent
            if behind is not None and self._message_of(owner, conversation, behind).state == "live":
                raise InvalidRequestError(STILL_WRITTEN)
            question = self._store.add(
                Message(
                    id=new_id(),
                    conversation=conversation.id,
                    parent=behind,
                    role="user",
                    content=text,
                    created=time.time(),
                )
            )
            return self._store.get(owner, conversation.id), question

        conversation, question = await self._store.on_own_thread(add)
        self._jobs.tell(conversation.id, MessageChanged(question))
        return conversation, question

    async def ask(self, owner: str, conversation_id: str | None, text: str, **how: Any) -> Asked:
        """As question(), and a reply to it."""
        conversation, question = await self.question(owner, conversation_id, text, **how)
        reply = await self.reply(owner, conversation, question)
        return Asked(await self._told(owner, conversation.id), question, reply)

    async def reply(self, owner: str, conversation: Conversation, question: Message, origin: Origin = "ask") -> Message:
        """A reply to `question`, being written."""
        branch = await asyncio.to_thread(self._store.path, owner, conversation.id, question.id)
        source = asked(branch, conversation.settings)
        return await self._begin(owner, new_reply(conversation.id, question.id, origin, conversation.settings), source)

    async def regenerate(self, owner: str, message_id: str) -> Message:
        """Another reply to the same question."""
        conversation, before = await self._ended(owner, message_id)
        question = await asyncio.to_thread(self._store.message, owner, before.parent or "")
        reply = await self.reply(owner, _as_asked(conversation, before), question, "regenerate")
        await self._told(owner, conversation.id)
        return reply

    async def answer_again(self, owner: str, message_id: str) -> Message:
        """The same thought, another answer."""
        conversation, before = await self._ended(owner, message_id)
        conversation = _as_asked(conversation, before)
        if not _has_ended_thought(before):
            raise InvalidRequestError("This reply has no thought that came to its end.")
        place = _place(before, conversation, "think_end")
        kept = {
            "reasoning": before.reasoning,
            "kept_chars": len(before.reasoning),
            "reasoning_tokens": before.reasoning_tokens,
            "reasoning_end": before.reasoning_end,
            "thinking_s": before.thinking_s,
        }
        return await self._branch(owner, conversation, before, "answer_again", "content", place, kept)

    async def fork(self, owner: str, message_id: str, at: int, text: str) -> Message:
        """Goes on behind `at` characters of the thought and then `text`."""
        conversation, before = await self._ended(owner, message_id)
        conversation = _as_asked(conversation, before)
        if not 0 <= at <= len(before.reasoning):
            raise InvalidRequestError(f"The thought has {len(before.reasoning)} characters.", "at")
        if not before.reasoning and not text:
            raise InvalidRequestError("There is no thought to go on from; ask for another reply instead.")
        thought = before.reasoning[:at] + text
        # The budget counts what is kept, too, and the server counts only what is new.
        n_kept = round(before.reasoning_tokens * len(thought) / max(1, len(before.reasoning)))
        place = _place(before, conversation, {"char": at}, text)
        kept = {"reasoning": thought, "kept_chars": len(thought), "reasoning_tokens": n_kept}
        return await self._branch(owner, conversation, before, "fork", "reasoning_content", place, kept)

    async def go_on(self, owner: str, message_id: str, on_end: Callable[[Message], None] | None = None) -> Message:
        """Continues a reply that was broken off, in the same message. `on_end` is given it once it has ended."""
        before, conversation = await self._reply_of(owner, message_id)
        conversation = _as_asked(conversation, before)
        if before.state == "live" or self._jobs.live(message_id):
            raise InvalidRequestError(STILL_WRITTEN)
        if before.state not in CAN_GO_ON and before.finish_reason != "length":
            raise InvalidRequestError("This reply came to its own end; ask for another one instead.")
        branch = await asyncio.to_thread(self._branch_of, owner, before)
        # Whoever presses twice comes too late here; and what is gone on with is what the file holds now.
        before = await self._store.on_own_thread(self._store.reopen, message_id)
        answers = bool(before.content) or _has_ended_thought(before)
        into: Into = "content" if answers else "reasoning_content"
        source = asked(branch, conversation.settings)
        if before.reasoning or before.content:
            source = going_on(branch, conversation.settings, before, into)
        reply = msgspec.structs.replace(before, settings=conversation.settings, finish_reason=None, error="")
        self._jobs.start(owner, reply, source, on_end)
        return reply

    async def _branch(
        self,
        owner: str,
        conversation: Conversation,
        before: Message,
        origin: Origin,
        into: Into,
        place: Place | None,
        kept: dict[str, Any],
    ) -> Message:
        """A reply beside `before` that begins with what is `kept` of it."""
        reply = msgspec.structs.replace(
            new_reply(conversation.id, before.parent, origin, conversation.settings), **kept
        )
        branch = await asyncio.to_thread(self._branch_of, owner, before)
        begun = await self._begin(owner, reply, going_on(branch, conversation.settings, reply, into, place))
        await self._told(owner, conversation.id)
        return begun

    async def _begin(self, owner: str, reply: Message, source: Source) -> Message:
        await self._store.on_own_thread(self._store.add, reply)
        self._jobs.start(owner, reply, source)
        return reply

    async def _told(self, owner: str, conversation_id: str) -> Conversation:
        conversation = await asyncio.to_thread(self._store.get, owner, conversation_id)
        self._jobs.tell(conversation_id, ConversationChanged(conversation))
        return conversation

    async def _ended(self, owner: str, message_id: str) -> tuple[Conversation, Message]:
        """The reply, stopped if it was still written."""
        message, conversation = await self._reply_of(owner, message_id)
        if message.state == "live":
            await self._jobs.stop(message_id)
            message, conversation = await self._reply_of(owner, message_id)
        return conversation, message

    async def _reply_of(self, owner: str, message_id: str) -> tuple[Message, Conversation]:
        def read() -> tuple[Message, Conversation]:
            message = self._jobs.settled(owner, message_id)
            return message, self._store.get(owner, message.conversation)

        message, conversation = await asyncio.to_thread(read)
        if message.role != "assistant" or message.parent is None:
            raise InvalidRequestError("This is no reply to a question.")
        return message, conversation

    def _conversation(self, owner: str, conversation_id: str | None, settings: Settings | None) -> Conversation:
        if conversation_id is None:
            return self._store.create(owner, settings or Settings())
        if settings is None:
            return self._store.get(owner, conversation_id)
        return self._store.update(owner, conversation_id, settings=settings)

    def _message_of(self, owner: str, conversation: Conversation, message_id: str) -> Message:
        message = self._jobs.settled(owner, message_id)
        if message.conversation != conversation.id:
            raise InvalidRequestError("That message is of another conversation.", "parent")
        return message

    def _branch_of(self, owner: str, reply: Message) -> list[Message]:
        return self._store.path(owner, reply.conversation, reply.parent)


def new_reply(conversation: str, question: str | None, origin: Origin, settings: Settings) -> Message:
    """The record of a reply as it begins."""
    return Message(
        id=new_id(),
        conversation=conversation,
        parent=question,
        role="assistant",
        state="live",
        created=time.time(),
        model=settings.model,
        origin=origin,
        settings=settings,
    )


def _as_asked(conversation: Conversation, reply: Message) -> Conversation:
    """One of several models that were compared goes on as itself."""
    if reply.group is None or reply.settings is None:
        return conversation
    settings = msgspec.structs.replace(conversation.settings, model=reply.settings.model)
    return msgspec.structs.replace(conversation, settings=settings)


def _has_ended_thought(reply: Message) -> bool:
    return bool(reply.content) or reply.reasoning_end not in (None, "length")


def _place(reply: Message, conversation: Conversation, at: Any, text: str = "") -> Place | None:
    """The server goes on as it was asked then; where the settings have changed since, its record is of no use."""
    if reply.state != "done" or not reply.reply_id or reply.settings != conversation.settings:
        return None
    return Place(reply.reply_id, reply.choice, at, text)
