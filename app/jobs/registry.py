"""Every reply that is being written, by its message, and everybody who looks. Belongs to one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from ...serve.client import Client
from ...serve.errors import InvalidRequestError
from ..conversations.records import Message
from ..conversations.store import ConversationStore
from .events import MessageChanged, Told
from .live import LiveReply
from .queue import Queue
from .reply import UNSAVED, ReplyJob
from .sources import Source
from .subscriptions import Subscription

END_NOT_SAVED = "The end of this reply could not be saved."


class JobRegistry:
    """`client_for` gives a client of /v1 for (owner, model); the job closes it."""

    def __init__(self, store: ConversationStore, client_for: Callable[[str, str], Client]) -> None:
        self.store = store
        self._client_for = client_for
        self._jobs: dict[str, ReplyJob] = {}  # in the order in which they were asked
        self._subscriptions: set[Subscription] = set()
        self._unsaved: set[str] = set()  # messages that the file holds as live, though they have ended
        self._queue = Queue(self._waiting, lambda: client_for("", ""), self._touch)
        self._closed = False

    @property
    def n_live(self) -> int:
        return len(self._jobs)

    def is_live(self, conversation: str) -> bool:
        """Whether a reply of it is being written. From any thread, as live()."""
        return any(job.live.conversation == conversation for job in list(self._jobs.values()))

    def live(self, message_id: str) -> LiveReply | None:
        job = self._jobs.get(message_id)
        return job.live if job else None

    def start(
        self, owner: str, message: Message, source: Source, watcher: Callable[[Message], None] | None = None
    ) -> None:
        """Has `message`, which the store holds as live, written by `source`. `watcher` gets the record that stays.

        Raises InvalidRequestError.
        """
        if self._closed:
            raise InvalidRequestError("The server is shutting down.")
        if message.id in self._jobs:
            raise InvalidRequestError("The reply is being written already.")
        model = message.settings.model if message.settings else message.model
        job = ReplyJob(
            LiveReply(message),
            source,
            self._client_for(owner, model),
            self.store,
            owner=owner,
            on_change=self._touch,
            on_end=lambda ended: self._on_end(ended, watcher),
        )
        self._jobs[message.id] = job
        self._queue.look()
        self.tell(message.conversation, MessageChanged(message))

    async def stop(self, message_id: str) -> bool:
        """Ends a reply and keeps what it has; False where it has ended already."""
        job = self._jobs.get(message_id)
        if job is None:
            return False
        await job.end("stopped")
        return True

    async def stop_or_settle(self, owner: str, message_id: str) -> bool:
        """As stop(); where it has ended already, everybody who looks at it is told how."""
        stopped = await self.stop(message_id)
        if not stopped:
            message = await asyncio.to_thread(self.settled, owner, message_id)
            self.tell(message.conversation, MessageChanged(message))
        return stopped

    def settled(self, owner: str, message_id: str) -> Message:
        """The record. One that could not be saved at its end is live in the file and written by nobody: it is
        interrupted now. From any thread.
        """
        message = self.store.message(owner, message_id)
        if message.state == "live" and self.live(message_id) is None:
            self.store.settle(message_id)
            self._unsaved.discard(message_id)
            message = self.store.message(owner, message_id)
        return message

    def seen(self, message: Message) -> Message:
        """The store's record as it is shown: one whose end could not be saved is live no more. From any thread."""
        if message.state != "live" or message.id not in self._unsaved:
            return message
        return msgspec.structs.replace(message, state="failed", error=END_NOT_SAVED)

    async def answer_now(self, message_id: str) -> bool:
        job = self._jobs.get(message_id)
        return job is not None and await job.answer_now()

    async def think_more(self, message_id: str) -> bool:
        job = self._jobs.get(message_id)
        return job is not None and await job.think_more()

    def limit(self, message_id: str, n_tokens: int | None) -> bool:
        """Ends its thought when that has `n_tokens`; None lifts an earlier word. False where it has ended."""
        job = self._jobs.get(message_id)
        if job is None or job.live.phase == "answering":
            return False
        job.limit(n_tokens)
        return True

    async def stop_conversation(self, conversation: str) -> None:
        """Ends all replies of it, and keeps what they have."""
        jobs = [job for job in self._jobs.values() if job.live.conversation == conversation]
        await asyncio.gather(*(job.end("stopped") for job in jobs))

    async def stop_all(self) -> None:
        """The server ends: what runs is kept as interrupted, and nothing starts any more."""
        self._closed = True
        self._queue.close()
        await asyncio.gather(*(job.end("interrupted") for job in list(self._jobs.values())))

    @contextmanager
    def subscribed(self, conversation: str) -> Iterator[Subscription]:
        """To be entered before what it begins with is read, so that nothing falls between."""
        subscription = Subscription(conversation, self.live)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def tell(self, conversation: str, told: Told) -> None:
        """Everybody who looks at it."""
        for subscription in self._subscriptions:
            if subscription.conversation == conversation:
                subscription.tell(told)

    def _on_end(self, message: Message, watcher: Callable[[Message], None] | None) -> None:
        self._jobs.pop(message.id, None)
        if message.finish_reason == UNSAVED:
            self._unsaved.add(message.id)
        self.tell(message.conversation, MessageChanged(message))
        if watcher is not None:
            watcher(message)

    def _waiting(self) -> list[LiveReply]:
        return [job.live for job in self._jobs.values() if job.live.phase == "waiting"]

    def _touch(self, live: LiveReply) -> None:
        for subscription in self._subscriptions:
            if subscription.conversation == live.conversation:
                subscription.touch()
