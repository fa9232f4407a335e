"""EngineProcess: the engine as the parent sees it. Keeps one child alive and passes requests and events.

A child that dies or hangs fails its live requests at once and is replaced, ever more slowly. All methods
belong to one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from ..errors import EngineStoppedError, InvalidRequestError, ModelLoadError, QueueFullError
from .config import EngineConfig
from .link import ChildLink
from .messages import Abort, Control, Controlled, EngineStats, LoadFailed, Ready, Reply, Shutdown
from .questions import Questions
from .request import Finished, GenerateRequest, ModelInfo, PrepareRequest
from .stream import EventStream, LiveEvent

__all__ = ["BackOff", "EngineConfig", "EngineProcess"]

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "restarting", "broken", "stopped"]

# a step may take this many times its prediction before the child counts as hung
HANG_FACTOR = 20
STOP_GRACE_S = 2.0
# gigabytes may have to be written and flushed
KEEP_CACHE_GRACE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class BackOff:
    """Seconds before a restart: doubling from `first_s`; `broken_s` after `limit` ends in `window_s`."""

    first_s: float = 0.1
    limit: int = 3
    window_s: float = 60.0
    broken_s: float = 30.0


class EngineProcess:
    """`state` says whether requests are served; while starting or restarting they wait for readiness."""

    def __init__(self, config: EngineConfig, back_off: BackOff | None = None) -> None:
        self.info: ModelInfo | None = None
        self.restarts = 0
        self.state: State = "stopped"
        self._config = config
        self._back_off = back_off or BackOff()
        self._link: ChildLink | None = None
        self._loaded: asyncio.Future[ModelInfo] | None = None
        self._settled = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._live: dict[str, EventStream] = {}
        self._controls: Questions[bool] = Questions()
        self._n_entering = 0
        self._busy_since = 0.0
        self._ends: deque[float] = deque(maxlen=self._back_off.limit)
        self._stats = EngineStats()

    @property
    def pid(self) -> int | None:
        """The child's process id, while there is a child."""
        return self._link.pid if self._link else None

    def stats(self) -> dict[str, Any]:
        """EngineStats of the last step, and how often the child was replaced."""
        return {**msgspec.structs.asdict(self._stats), "state": self.state, "restarts": self.restarts}

    async def start(self) -> ModelInfo:
        """Spawns the child and loads the model. Raises ModelLoadError."""
        self._enter("starting")
        try:
            info = await self._load()
        except BaseException:
            await self._end_child(grace_s=0)
            self._enter("stopped")
            raise
        self._supervisor = asyncio.create_task(self._supervise())
        return info

    async def stop(self) -> None:
        """Fails what is live, lets the child finish its step, and kills it if it does not."""
        grace_s = 0.0
        if self.state == "ready":
            grace_s = KEEP_CACHE_GRACE_S if self._config.cache_folder else STOP_GRACE_S
        self._enter("stopped")
        if self._supervisor:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        self._fail_live("The engine is shutting down.")
        await self._end_child(grace_s=grace_s)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[LiveEvent, None]:
        """Yields Accepted, then TokenOutputs and where there is a thought its end, then Finished. Closing the
        generator aborts the request.

        Raises QueueFullError, EngineStoppedError, InvalidRequestError, ContextLengthError and
        NonFiniteLogitsError.
        """
        link = await self._ready_link()
        stream = self._open(link, request)
        ended = False
        try:
            while not ended:
                event = await stream.get()
                ended = isinstance(event, Finished)
                yield event
        finally:
            del self._live[request.request_id]
            if not (ended or stream.failed):
                link.send(Abort(request.request_id))

    def abort(self, request_id: str) -> None:
        """Has a running request end; its generator yields the Finished, so that what it cost is known."""
        if request_id in self._live and self._link is not None:
            self._link.send(Abort(request_id))

    async def control(self, request_id: str, action: Literal["answer_now", "think_more"]) -> bool:
        """Has a running request's thought end now, or go on when it would have ended. False where none goes on."""
        if request_id not in self._live or self._link is None:
            return False
        self._link.send(Control(request_id, action))
        try:
            return await self._controls.ask(request_id)
        except EngineStoppedError:
            return False

    def prepare(self, request: PrepareRequest) -> None:
        """Asks for a prompt to be computed ahead, when there is nothing better to do. Forgotten if not ready."""
        if self.state == "ready" and self._link is not None:
            with contextlib.suppress(UnicodeEncodeError):
                self._link.send(request)

    async def _ready_link(self) -> ChildLink:
        """The child, once it is ready; the wait is bounded in number and time."""
        if len(self._live) + self._n_entering >= self._config.n_seq_max + self._config.max_waiting:
            raise QueueFullError(f"{self._config.max_waiting} requests are waiting already; try again soon.")
        self._n_entering += 1
        try:
            async with asyncio.timeout(self._config.load_timeout_s):
                while self.state in ("starting", "restarting"):
                    await self._settled.wait()
        except TimeoutError:
            pass
        finally:
            self._n_entering -= 1
        if self.state != "ready" or self._link is None:
            raise EngineStoppedError(f"The engine is not running (state: {self.state}).")
        return self._link

    def _open(self, link: ChildLink, request: GenerateRequest) -> EventStream:
        if request.request_id in self._live:
            raise InvalidRequestError(f"Request {request.request_id} is running already.")
        try:
            link.send(request)
        except UnicodeEncodeError as error:
            raise InvalidRequestError("The text has lone surrogates.", param="messages") from error
        if not self._live:
            self._busy_since = time.monotonic()
        stream = self._live[request.request_id] = EventStream()
        return stream

    async def _supervise(self) -> None:
        while True:
            await self._watch()
            self._after_end()
            while self.state != "ready":
                await self._restart()

    async def _watch(self) -> None:
        """Returns when the child has ended; ends it when it hangs."""
        assert self._link is not None
        while not self._link.exited.done():
            await asyncio.wait({self._link.exited}, timeout=self._patience_s / 8)
            silent_s = time.monotonic() - max(self._link.last_reply_at, self._busy_since)
            if self._live and silent_s > self._patience_s and not self._link.exited.done():
                logger.error("the engine finished no step for %.0f s: killing it", silent_s)
                self._link.kill()
                await self._link.exited

    @property
    def _patience_s(self) -> float:
        return max(self._config.hang_floor_s, HANG_FACTOR * self._stats.predicted_step_s)

    def _after_end(self) -> None:
        assert self._link is not None
        logger.error("the engine's process ended (%s)", _describe(self._link.exit_code))
        self._count_end()
        self._fail_live(
            f"The engine's process ended ({_describe(self._link.exit_code)}) while it worked on this "
            "request; a new one is being started."
        )

    def _count_end(self) -> None:
        """Enters restarting, or broken where the child has ended too often lately."""
        now = time.monotonic()
        self._ends.append(now)
        often = len(self._ends) == self._back_off.limit and now - self._ends[0] < self._back_off.window_s
        self._stats = EngineStats()
        self._enter("broken" if often else "restarting")

    async def _restart(self) -> None:
        """One attempt, after the pause that the number of ends asks for."""
        if self.state == "broken":
            await asyncio.sleep(self._back_off.broken_s)
            self._ends.clear()
        else:
            await asyncio.sleep(self._back_off.first_s * 2 ** len(self._ends))
        self.restarts += 1
        self._enter("restarting")
        try:
            await self._load()
        except ModelLoadError as error:
            logger.error("restart failed: %s", error)
            await self._end_child(grace_s=0)
            self._count_end()

    async def _load(self) -> ModelInfo:
        """A new child, ready for requests. Raises ModelLoadError."""
        self._loaded = loaded = asyncio.get_running_loop().create_future()
        try:
            self._link = link = ChildLink(self._config, self._on_reply)
            async with asyncio.timeout(self._config.load_timeout_s):
                await asyncio.wait({loaded, link.exited}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ModelLoadError(
                f"Loading took longer than {self._config.load_timeout_s:.0f} s; the attempt was given up."
            ) from None
        except OSError as error:
            raise ModelLoadError(f"The engine's process cannot be started: {error}") from error
        if not loaded.done():
            raise ModelLoadError(f"The engine's process ended while it loaded the model ({_describe(link.exit_code)}).")
        self.info = loaded.result()
        self._enter("ready")
        return self.info

    async def _end_child(self, *, grace_s: float) -> None:
        if self._link is None:
            return
        self._link.send(Shutdown())
        await asyncio.wait({self._link.exited}, timeout=grace_s)
        self._link.kill()
        await self._link.exited
        self._link = None

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, (Ready, LoadFailed)):
            self._on_loaded(reply)
            return
        if isinstance(reply, Controlled):
            self._controls.answer(reply.request_id, reply.done)
            return
        self._stats = reply.stats
        for event in reply.events:
            if stream := self._live.get(event.request_id):
                stream.put(event)

    def _on_loaded(self, reply: Ready | LoadFailed) -> None:
        if self._loaded is None or self._loaded.done():
            return
        if isinstance(reply, Ready):
            self._loaded.set_result(reply.info)
        else:
            self._loaded.set_exception(ModelLoadError(reply.message))

    def _fail_live(self, message: str) -> None:
        for stream in self._live.values():
            stream.fail(EngineStoppedError(message))
        self._controls.give_up(EngineStoppedError(message))

    def _enter(self, state: State) -> None:
        self.state = state
        if state in ("starting", "restarting"):
            self._settled.clear()
        else:
            self._settled.set()


def _describe(exit_code: int | None) -> str:
    if exit_code is None:
        return "still running"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
