"""HTTP connections that do not wait for ever for the head of a request, nor for a client to read its reply; the body's
time is Security's matter.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the connection, or from a further request's first byte, to the end of its headers; and so long the rest of a body
# may take that nobody wants any more.
HEAD_S = 10.0
# Of a reply that fills all buffers not a byte was taken in that time: whoever asked is gone, and holds its model.
READ_S = 30.0


class ImpatientProtocol(H11Protocol):
    """uvicorn's own, which gives up on clients that send their headers a byte at a time, or nothing at all, and on
    those that stop reading.
    """

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # the rest of a body whose request is answered already: uvicorn takes it in, however long that lasts
        drains = self.conn.their_state is h11.SEND_BODY and self.cycle is not None and self.cycle.response_complete
        if self.conn.their_state is not h11.IDLE and not drains:
            self._stop()
        elif self._timer is None:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def _start(self) -> None:
        self._timer = self.loop.call_later(HEAD_S, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        self.transport.close()

    def _watch(self) -> None:
        self._unread = self.loop.call_later(READ_S, self._look, self.transport.get_write_buffer_size())

    def _look(self, n_unread: int) -> None:
        # not closed: that would wait until the rest is read
        if self.transport.get_write_buffer_size() >= n_unread:
            self.transport.abort()
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
