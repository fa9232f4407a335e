"""A thread for requests that take long to get ready, so that nobody else's waits behind them. Knows no engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from .request import GenerateRequest

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class SideLane(Generic[Item]):
    """Makes an item of each request with `prepare`, in order, and hands it to `enter`, both on its thread."""

    def __init__(self, prepare: Callable[[GenerateRequest], Item], enter: Callable[[Item], None]) -> None:
        self._prepare = prepare
        self._enter = enter
        self._queue: SimpleQueue[GenerateRequest] = SimpleQueue()
        self._wanted: set[str] = set()
        self._lock = Lock()
        Thread(target=self._run, name="side lane", daemon=True).start()

    def put(self, request: GenerateRequest) -> None:
        with self._lock:
            self._wanted.add(request.request_id)
        self._queue.put(request)

    def forget(self, request_id: str) -> bool:
        """What becomes of the request is not handed on any more; False where it has been, or never was here."""
        with self._lock:
            was_wanted = request_id in self._wanted
            self._wanted.discard(request_id)
            return was_wanted

    def _run(self) -> None:
        """Never returns: the requests of a dead thread would wait for ever, so its end is the process's."""
        try:
            while True:
                self._handle(self._queue.get())
        except BaseException:
            logger.exception("preparing a request failed")
            os._exit(1)

    def _handle(self, request: GenerateRequest) -> None:
        if request.request_id not in self._wanted:
            return
        item = self._prepare(request)
        with self._lock:
            if request.request_id in self._wanted:
                self._wanted.discard(request.request_id)
                self._enter(item)
