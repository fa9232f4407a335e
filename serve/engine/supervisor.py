"""Keeps one child alive: starts it, watches it, replaces it when it dies or hangs, ever more slowly.

On one event loop. Knows nothing of requests but since when somebody waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable
from typing import Literal

from ..errors import EngineStoppedError, ModelLoadError, NotEnoughMemoryError
from .back_off import BackOff, Ends
from .config import EngineConfig
from .link import ChildLink
from .messages import EngineStats, LoadFailed, Ready, Reply, Shutdown, StepReport, with_counts_of
from .model_file import ModelFile
from .request import ModelInfo

logger = logging.getLogger(__name__)

State = Literal["starting", "ready", "restarting", "broken", "stopped"]

# a step may take this many times its prediction before the child counts as hung
HANG_FACTOR = 20
STOP_GRACE_S = 2.0
KILL_GRACE_S = 10.0
# gigabytes may have to be written and flushed
KEEP_CACHE_GRACE_S = 60.0


class Supervisor:
    """`on_reply` hears what the child says once it is ready, `on_end` why it says nothing any more.

    `waiting_since` tells since when (monotonic) somebody has waited for it without a break; None: nobody does.
    """

    def __init__(
        self,
        config: EngineConfig,
        back_off: BackOff,
        *,
        on_reply: Callable[[Reply], None],
        on_end: Callable[[str], None],
        waiting_since: Callable[[], float | None],
    ) -> None:
        self.info: ModelInfo | None = None
        self.stats = EngineStats()
        self.past = EngineStats()  # what children that have ended have counted
        self.restarts = 0
        self.state: State = "stopped"
        self.link: ChildLink | None = None
        self._config = config
        self._back_off = back_off
        self._ends = Ends(back_off)
        self._reply_to = on_reply
        self._tell_end = on_end
        self._waiting_since = waiting_since
        self._loaded: asyncio.Future[ModelInfo] | None = None
        self._file = ModelFile(None)
        self._ended_by = ""  # what this side ended the child for
        self._load_error = ""  # of the last restart
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> ModelInfo:
        """Spawns the child and loads the model. Raises ModelLoadError."""
        self._enter("starting")
        try:
            info = await self._load()
        except BaseException:
            await self._end_child(grace_s=0)
            self._enter("stopped")
            raise
        self._task = asyncio.create_task(self._supervise())
        return info

    async def stop(self) -> None:
        """Lets the child finish its step, and kills it if it does not, or if it is cancelled."""
        grace_s = 0.0
        if self.state == "ready":
            grace_s = KEEP_CACHE_GRACE_S if self._config.cache_folder else STOP_GRACE_S
        self._enter("stopped")
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})  # which does not swallow a cancellation of its own
            self._task = None
        self._tell_end("The engine is shutting down.")
        await self._end_child(grace_s=grace_s)

    async def ready_link(self) -> ChildLink:
        """The child, once it is ready; the wait is bounded. Raises EngineStoppedError."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.load_timeout_s):
                self._end_if_changed()
                while self.state in ("starting", "restarting"):
                    await self._settled.wait()
        if self.state != "ready" or self.link is None:
            why = f": {self._load_error}" if self._load_error else "."
            raise EngineStoppedError(f"The engine is not running (state: {self.state}){why}")
        return self.link

    async def _supervise(self) -> None:
        while True:
            await self._watch()
            self._after_end()
            while self.state != "ready":
                await self._restart()

    async def _watch(self) -> None:
        """Returns when the child has ended; ends it when it hangs."""
        assert self.link is not None
        while not self.link.exited.done():
            patience_s, began = self._patience_s, time.monotonic()
            await asyncio.wait({self.link.exited}, timeout=patience_s / 8)
            if time.monotonic() - began > patience_s / 4:
                # this process stood still (Ctrl-Z, a machine that was paused), and so did the child
                self.link.last_reply_at = time.monotonic()
            self._end_if_changed()
            since = self._waiting_since()
            if since is None or self.link.exited.done():
                continue
            silent_s = time.monotonic() - max(self.link.last_reply_at, since)
            if silent_s > self._patience_s:
                self._give_up(f"it finished no step for {silent_s:.0f} s")
                await asyncio.wait({self.link.exited})

    def _end_if_changed(self) -> None:
        """Somebody wrote into the model's file: what the child computes from now on is not the model it loaded."""
        if self.state == "ready" and self.link is not None and self._file.is_changed():
            self._give_up("its model file was changed while it was served")

    def _give_up(self, why: str) -> None:
        """Whoever waits hears of it now: what hangs in the system or a driver may not die before that lets it go."""
        assert self.link is not None
        self._ended_by = why
        self.link.kill()
        self._enter("restarting")  # nobody is sent to it any more
        self._tell_how(why)

    @property
    def _patience_s(self) -> float:
        return max(self._config.hang_floor_s, HANG_FACTOR * self.stats.predicted_step_s)

    def _after_end(self) -> None:
        assert self.link is not None
        how, self._ended_by = self._ended_by or _describe(self.link.exit_code), ""
        logger.error("the engine's process ended (%s)", how)
        self._count_end()
        self._tell_how(how)

    def _tell_how(self, how: str) -> None:
        self._tell_end(
            f"The engine's process ended ({how}) while it worked on this request; a new one is being started."
        )

    def _count_end(self, *, in_vain: bool = False) -> None:
        """Enters restarting, or broken where the child has ended too often lately."""
        self._close_books()
        self._enter("broken" if self._ends.count(in_vain=in_vain) else "restarting")

    async def _restart(self) -> None:
        """One attempt, after the pause that the number of ends asks for."""
        if self.state == "broken":
            await asyncio.sleep(self._back_off.broken_s)
            self._ends.forget()
        else:
            await asyncio.sleep(self._ends.pause_s)
        self.restarts += 1
        self._enter("restarting")
        try:
            await self._load()
        except ModelLoadError as error:
            logger.error("restart failed: %s", error)
            self._load_error = str(error)
            await self._end_child(grace_s=0)
            self._count_end(in_vain=True)

    async def _load(self) -> ModelInfo:
        """A new child, ready for requests. Raises ModelLoadError."""
        self._loaded = loaded = asyncio.get_running_loop().create_future()
        try:
            # before the child reads it, so that no change goes unseen
            self._file = ModelFile(self._config.model_path)
            self.link = link = ChildLink(self._config, self._on_reply)
            async with asyncio.timeout(self._config.load_timeout_s):
                await asyncio.wait({loaded, link.exited}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ModelLoadError(
                f"Loading took longer than {self._config.load_timeout_s:.0f} s; the attempt was given up."
            ) from None
        except (OSError, RuntimeError) as error:  # no more processes or threads, or the disk is gone
            raise ModelLoadError(f"The engine's process cannot be started: {error}") from error
        if not loaded.done():
            raise ModelLoadError(f"The engine's process ended while it loaded the model ({_describe(link.exit_code)}).")
        self.info, self._load_error = loaded.result(), ""
        self._enter("ready")
        return self.info

    async def _end_child(self, *, grace_s: float) -> None:
        if self.link is None:
            return
        self.link.send(Shutdown())
        try:
            await asyncio.wait({self.link.exited}, timeout=grace_s)
        finally:
            self.link.kill()
        await asyncio.wait({self.link.exited}, timeout=KILL_GRACE_S)
        if not self.link.exited.done():
            logger.error("process %s was killed and does not end; nobody waits for it any more", self.link.pid)
            self.link.give_up()
        self.link = None
        self._close_books()

    def _close_books(self) -> None:
        """The child has ended: nothing runs in it any more, and what it has counted stays counted."""
        self.past, self.stats = with_counts_of(self.stats, self.past), EngineStats()

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, (Ready, LoadFailed)):
            self._on_loaded(reply)
            return
        if isinstance(reply, StepReport):
            self.stats = reply.stats
        self._reply_to(reply)

    def _on_loaded(self, reply: Ready | LoadFailed) -> None:
        if self._loaded is None or self._loaded.done():
            return
        if isinstance(reply, Ready):
            self._loaded.set_result(reply.info)
        else:
            self._loaded.set_exception(_load_error(reply))

    def _enter(self, state: State) -> None:
        self.state = state
        if state in ("starting", "restarting"):
            self._settled.clear()
        else:
            self._settled.set()


def _load_error(failed: LoadFailed) -> ModelLoadError:
    if failed.needed:
        return NotEnoughMemoryError(failed.message, needed=failed.needed, available=failed.available)
    return ModelLoadError(failed.message)


def _describe(exit_code: int | None) -> str:
    if exit_code is None:
        return "still running"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    return f"signal {-exit_code}" + _MEANINGS.get(-exit_code, "")


_MEANINGS = {
    int(signal.SIGABRT): ", llama.cpp gave up: the model is damaged, or not made for this version",
    int(getattr(signal, "SIGBUS", -1)): ", its model file was cut short or cannot be read any more",
    int(getattr(signal, "SIGKILL", -1)): ", killed from outside, perhaps because memory ran out",
}
