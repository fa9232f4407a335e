"""The server and the jobs of a conversation in the terminal, on an event loop of their own thread.

The main thread reads the keyboard meanwhile: Ctrl-C reaches it at once, and nothing that runs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

from ...serve.client import Client
from ..conversations.store import ConversationStore
from ..jobs.asker import Asker
from ..jobs.registry import JobRegistry

T = TypeVar("T")


class Background:
    """`server` gives the URL of /v1 for as long as it is entered; `client_for` a client of (URL, model).

    Raises what `server` raises when it is entered. Ctrl-C meanwhile ends it.
    """

    def __init__(
        self,
        store: ConversationStore,
        server: AbstractAsyncContextManager[str],
        client_for: Callable[[str, str], Client],
    ) -> None:
        self.store = store
        self._server = server
        self._client_for = client_for
        self._ready: Future[None] = Future()
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.close()
            raise

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result; the main thread waits."""
        return self.begin(work).result()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Replies that run are kept as interrupted."""
        # The loop has ended by itself where the server could not be entered.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join()

    def _run(self) -> None:
        with self._runner, suppress(asyncio.CancelledError):
            self._runner.run(self._serve())

    def _end(self) -> None:
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        if self._is_ending:
            return
        try:
            async with self._server as url:
                self.jobs = JobRegistry(self.store, lambda owner, model: self._client_for(url, model))
                self.asker = Asker(self.store, self.jobs)
                self._ready.set_result(None)
                try:
                    await asyncio.Event().wait()
                finally:
                    await self.jobs.stop_all()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
