"""The parent's end of one child: spawn, send, receive, kill. A thread each way, so that the loop never waits.

Messages arrive on the event loop in order; the end of the child is the end of its pipe.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

from .config import EngineConfig
from .messages import Command, QueryAnswer, Reply, encode, reply_decoder

EXIT_GRACE_S = 0.5
# What a terminal and a service manager send to the whole group; Windows has no SIGHUP.
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class ChildLink:
    """`exited` is done once the child has ended and all it said was handed to `on_reply`. Whoever waits for it uses
    asyncio.wait(): a cancelled `await` would cancel it for all.
    """

    def __init__(self, config: EngineConfig, on_reply: Callable[[Reply], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self.last_reply_at = time.monotonic()
        self._on_reply = on_reply
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        context = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=_run, args=(config, child_pipe), name="r1chat-engine", daemon=True)
        # a module in the folder that somebody happens to stand in must not be taken for Python's own
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        with _signals_held_back():
            self._process.start()
        # while the parent holds the child's end too, the end of the child would not show
        child_pipe.close()
        try:
            for target in (self._receive, self._deliver):
                Thread(target=target, name=f"engine-{target.__name__}", daemon=True).start()
        except RuntimeError:
            self._process.kill()
            self._process.join()
            raise

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def send(self, command: Command) -> None:
        """Never blocks. Raises UnicodeEncodeError for text with lone surrogates."""
        self._outbox.put(encode(command))

    def kill(self) -> None:
        self._process.kill()

    def give_up(self) -> None:
        """It was killed and does not end; at its exit Python would wait for it, however long that lasts."""
        multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]

    def _receive(self) -> None:
        try:
            while True:
                reply = reply_decoder.decode(self._pipe.recv_bytes())
                if not isinstance(reply, QueryAnswer):  # another thread's, which goes on where the engine's hangs
                    self.last_reply_at = time.monotonic()
                self._post(self._on_reply, reply)
        except (EOFError, OSError):
            pass
        finally:
            self._reap()

    def _reap(self) -> None:
        # a child that cannot be heard is of no use, should it linger
        self._process.join(EXIT_GRACE_S)
        self._process.kill()
        self._process.join()
        self._outbox.put(None)
        self._post(self.exited.set_result, None)

    def _deliver(self) -> None:
        while (data := self._outbox.get()) is not None:
            try:
                self._pipe.send_bytes(data)
            except OSError:
                return

    def _post(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._process.kill()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A child that starts meanwhile gets none of its group's signals until it says so (worker.main): while it imports
    what it needs, they would end it, and the parent decides what they mean.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # multiprocessing starts it with the first child, and lets signals through when it has
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(config: EngineConfig, pipe: Connection) -> None:
    """In the child, which alone imports what computes."""
    from .worker import main

    main(config, pipe)
