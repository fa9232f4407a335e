"""What the page's routes stand on, made once per server: where /v1 is, the person's files, and who works for the page.

Everything that touches a model goes through `client()`, so that the page proves the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock

from ...serve.api.server import ServerConfig
from ...serve.client import Client
from ..conversations.store import ConversationStore
from ..folders import CONVERSATIONS, PULLS, RUNS
from ..jobs.asker import Asker
from ..jobs.many import Many
from ..jobs.pulls import Pulls
from ..jobs.registry import JobRegistry
from ..jobs.reply import SILENCE_S
from ..runs.folders import Runs
from ..runs.processes import Processes
from ..runs.starting import Starter
from ..stars.star_set import StarSet
from ..stars.store import StarStore


def with_page(config: ServerConfig) -> ServerConfig:
    """The server's settings where the page's routes stand beside the API's."""
    return replace(config, json_below=(*config.json_below, "/page/"), files_to=frozenset({"/page/import"}))


class PageServices:
    """`data` is the person's folder. `base_url` is asked again for every request: a test's port comes late.

    `key_of` gives the API key of an owner (security.owner_of), None where the server wants none.
    """

    def __init__(
        self,
        data: Path,
        base_url: Callable[[], str],
        *,
        label: str,
        key_of: Callable[[str], str | None] = lambda owner: None,
    ) -> None:
        self.data = data
        self.label = label
        self.pulls = Pulls(data / PULLS)
        processes = Processes()
        self.runs = Runs(data / RUNS, processes)
        self.starter = Starter(self.runs, processes)
        self._base_url = base_url
        self._key_of = key_of
        self._store: ConversationStore | None = None
        self._opening = Lock()
        self._jobs: JobRegistry | None = None
        self._many: Many | None = None
        self._stars: StarSet | None = None

    def client(self, owner: str = "", *, model: str | None = None) -> Client:
        """Of /v1, with the key that `owner` showed; to be closed by the caller."""
        return Client(self._base_url(), api_key=self._key_of(owner), model=model or None, timeout=SILENCE_S)

    @property
    def store(self) -> ConversationStore:
        """The conversations; opened by `running`, or by whoever asks before. Raises StoreError."""
        with self._opening:
            if self._store is None:
                self._store = ConversationStore(self.data / CONVERSATIONS)
            return self._store

    @property
    def stars(self) -> StarSet:
        """The distil set, in the conversations' file."""
        store = self.store
        with self._opening:
            if self._stars is None:
                self._stars = StarSet(store, StarStore(store.database))
            return self._stars

    @property
    def jobs(self) -> JobRegistry:
        """The replies that are being written; for the event loop only."""
        if self._jobs is None:
            self._jobs = JobRegistry(self.store, lambda owner, model: self.client(owner, model=model))
        return self._jobs

    @property
    def asker(self) -> Asker:
        """What a person may have done with replies; for the event loop only."""
        return Asker(self.store, self.jobs)

    @property
    def many(self) -> Many:
        """Replies asked together; for the event loop only."""
        if self._many is None:
            self._many = Many(self.store, self.jobs, lambda owner, model: self.client(owner, model=model))
        return self._many

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Opens what is kept and starts what works in the background; ends it in order."""
        store = self.store
        self._jobs = self.jobs
        self.many.settle()
        try:
            yield
        finally:
            await self.stop_jobs()
            if self._stars is not None:
                await asyncio.to_thread(self._stars.close)
            self._stars = self._store = None
            await asyncio.to_thread(store.close)  # which waits for an import

    async def stop_jobs(self) -> None:
        """Ends what works for the page and keeps what it has so far; to be called before the engine goes."""
        if self._jobs is not None:
            await self._jobs.stop_all()
        if self._many is not None:
            await self._many.close()
        self.starter.close()
        await asyncio.to_thread(self.pulls.close)
