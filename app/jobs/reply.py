"""One reply's job: reads its source to the end, saves what comes as it comes, and leaves a whole record.

It goes on without anybody looking. It ends exactly once, in whatever state, with the text so far.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing, suppress

import msgspec

from ...serve.client import ApiError, Client, ReasoningDelta
from ...serve.errors import R1ChatError
from ..conversations.database import StoreBusyError
from ..conversations.records import Message, State
from ..conversations.store import ConversationStore
from .live import LiveReply
from .sources import Source

logger = logging.getLogger(__name__)

# A long prompt may be read for minutes before the first token; Stop is there for the impatient.
SILENCE_S = 1800.0
SAVE_S = 0.3
BUSY_S = 120.0
HEALTH_S = 0.5
REST_S = 0.03
BURST_S = 0.005
NOT_SAVED = "This reply could not be saved; copy it before you leave."
# Why it ended, for those who see it whole now: what the file holds of it is less.
UNSAVED = "unsaved"
OUR_FAULT = "Something went wrong on the page's side; the server's log says what."


class Saver:
    """Hands the store what is new of a reply, every SAVE_S and at its end."""

    def __init__(self, store: ConversationStore, live: LiveReply) -> None:
        self._store = store
        self._live = live
        self._n_saved = len(live.reasoning), len(live.content)
        self.is_patient = True
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(self._save_regularly())

    async def finish(self, message: Message) -> Message:
        """Nothing is saved behind this. A reply that cannot be saved ends all the same, and says so; where another
        program writes into the file, an import say, it waits for that as long as it `is_patient`.
        """
        self._ended.set()
        await self._task
        ends = time.monotonic() + BUSY_S
        try:
            while True:
                try:
                    return await self._store.on_own_thread(self._store.finish, message)
                except StoreBusyError:
                    if not self.is_patient or time.monotonic() > ends:
                        raise
        except Exception as failure:
            logger.exception("a reply could not be saved")
            reason = f" {failure}" if isinstance(failure, R1ChatError) else ""
            error = f"{NOT_SAVED}{reason}"
            return msgspec.structs.replace(message, state="failed", finish_reason=UNSAVED, error=error)

    async def _save_regularly(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), SAVE_S)
            if not self._ended.is_set():
                await self._save()

    async def _save(self) -> None:
        live, (n_reasoning, n_content) = self._live, self._n_saved
        sizes = len(live.reasoning), len(live.content)
        if sizes == self._n_saved:
            return
        pieces = live.reasoning.since(n_reasoning), live.content.since(n_content)
        try:
            await self._store.on_own_thread(self._store.append, live.id, *pieces)
            self._n_saved = sizes
        except Exception:
            logger.exception("a piece of a reply could not be saved; it is tried again")


class ReplyJob:
    """`on_change` is called when `live` has something new; `on_end` with the record that stays."""

    def __init__(
        self,
        live: LiveReply,
        source: Source,
        client: Client,
        store: ConversationStore,
        *,
        owner: str,
        on_change: Callable[[LiveReply], None],
        on_end: Callable[[Message], None],
    ) -> None:
        self.live = live
        self.owner = owner
        self._source = source
        self._client = client
        self._on_change = on_change
        self._on_end = on_end
        self._saver = Saver(store, live)
        self._ends_as: State = "stopped"
        self._budget: int | None = None
        self._owed: asyncio.Task[bool] | None = None
        self._wants_answer = False
        self._reading = asyncio.create_task(self._read())
        self._whole = asyncio.create_task(self._run())

    async def end(self, state: State) -> None:
        """Ends it where it stands, and comes back when its record is saved; harmless when it has ended."""
        if not self._reading.done():
            self._ends_as = state
            self._reading.cancel()
        if state == "interrupted":  # the server ends, and the next one finds what is saved by then
            self._saver.is_patient = False
        await self.wait()

    async def wait(self) -> None:
        """Until it has ended by itself or by others."""
        await asyncio.wait({self._whole})

    async def answer_now(self) -> bool:
        """Ends the thought; one that has not begun ends as soon as it does. False where it has ended."""
        if self.live.phase == "waiting":
            self._wants_answer = True
            return True
        return await self._client.control(self.live.reply_id, "answer_now")

    async def think_more(self) -> bool:
        """Has the thought go on when the model would end it. False where it has ended."""
        self._wants_answer = False
        return self.live.phase == "thinking" and await self._client.control(self.live.reply_id, "think_more")

    def limit(self, n_tokens: int | None) -> None:
        """A budget for a thought that runs: it ends when it has so many tokens. One that it was asked with stays."""
        self._budget = n_tokens
        self._heed_budget()

    async def _run(self) -> None:
        state, error = await self._outcome()
        if self._owed is not None:
            self._owed.cancel()
        ended = self.live.ended(state, error)
        try:
            ended = await self._saver.finish(ended)
            await self._client.aclose()
        finally:
            self._on_end(ended)

    async def _outcome(self) -> tuple[State, str]:
        await asyncio.wait({self._reading})
        if self._reading.cancelled():
            return self._ends_as, ""
        error = self._reading.exception()
        if error is None:
            return "done", ""
        if isinstance(error, R1ChatError):
            return "failed", str(error)
        logger.error("a reply's job failed", exc_info=error)
        return "failed", OUR_FAULT

    async def _read(self) -> None:
        self.live.model = self.live.message.model or await _default_model(self._client)
        now = asyncio.get_running_loop().time
        rested_at = 0.0
        async with aclosing(self._source(self._client)) as events:
            async for event in events:
                self.live.take(event)
                if isinstance(event, ReasoningDelta):
                    self._heed_budget()
                self._on_change(self.live)
                # Many tokens in one read of the socket cost a fraction of as many reads.
                if now() - rested_at > BURST_S:
                    await asyncio.sleep(REST_S)
                    rested_at = now()

    def _heed_budget(self) -> None:
        spent = self._budget is not None and self.live.reasoning_tokens >= self._budget
        if self.live.phase == "thinking" and (spent or self._wants_answer):
            self._budget, self._wants_answer = None, False
            self._owed = asyncio.create_task(self.answer_now())
            # One that cannot be told has ended, and says so itself.
            self._owed.add_done_callback(lambda task: task.cancelled() or task.exception())


async def _default_model(client: Client) -> str:
    """Its name. Whoever asks while it loads means to wait for it. Servers of other makes have none, so that the first
    they list is asked for.
    """
    with suppress(ApiError):
        while (health := await client.health()).get("status") == "starting":
            await asyncio.sleep(HEALTH_S)
        if name := health.get("model"):
            return str(name)
    with suppress(ApiError):
        client.model = next((str(card["id"]) for card in await client.models()), None)
    return client.model or ""
