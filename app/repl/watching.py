"""Shows a reply while it is written, and takes Ctrl-C for what it means then."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Literal, Protocol

from ..conversations.records import Message
from ..errors import Status
from ..jobs.events import Delta, MessageChanged
from ..jobs.live import Phase
from .background import Background

Interrupt = Literal["interrupt"]
Seen = Message | Delta | Interrupt | Future[None] | BaseException

HINT = "Ctrl-C: answer now · twice: stop · three times: leave"


class Leave(Exception):
    """The person wants out; `status` is for the shell."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status)
        self.status = status


class Screen(Protocol):
    """Where a reply is shown, piece by piece."""

    def reasoning(self, text: str) -> None: ...

    def answer(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


class Interrupts:
    """How often Ctrl-C was pressed since something was typed."""

    def __init__(self) -> None:
        self.count = 0
        self._early = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """While a question is being asked there is no reply yet that they could be about: watch() hears of them. The
        third raises Leave at once.
        """
        self._early = 0
        before = signal.signal(signal.SIGINT, lambda number, frame: self._hold())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _hold(self) -> None:
        self._early += 1
        if self._early >= 3:
            raise Leave(Status.STOPPED)

    def early(self) -> int:
        """How many were held; they are told once."""
        early, self._early = self._early, 0
        return early

    def pressed(self) -> int:
        """Raises Leave the third time."""
        self.count += 1
        if self.count >= 3:
            raise Leave(Status.STOPPED)
        return self.count


def watch(background: Background, owner: str, reply: Message, screen: Screen, interrupts: Interrupts) -> Message:
    """The reply when it has ended. Raises Leave; what runs is stopped then."""
    seen: SimpleQueue[Seen] = SimpleQueue()
    with _interrupts_go_to(seen):
        for _ in range(interrupts.early()):
            seen.put("interrupt")
        following = background.begin(_follow(background, owner, reply, seen))
        # Whatever it fails of is told here, where somebody waits.
        following.add_done_callback(seen.put)
        try:
            return _show(background, reply, seen, screen, interrupts)
        finally:
            following.cancel()


def _show(
    background: Background, reply: Message, seen: SimpleQueue[Seen], screen: Screen, interrupts: Interrupts
) -> Message:
    shown = _Shown(screen)
    phase: Phase = "waiting"
    while True:
        event = seen.get()
        if event == "interrupt":
            try:
                _steer(background, reply.id, phase, interrupts, screen, seen)
            except Leave:
                background.call(background.jobs.stop(reply.id))
                raise
        elif isinstance(event, Delta):
            phase = event.phase
            shown.more(event.reasoning, event.content)
        elif isinstance(event, Message):
            shown.whole(event)
            if event.state != "live":
                return event
        elif isinstance(event, Future):
            event.result()
        elif isinstance(event, BaseException):
            screen.note(f"it could not be told: {event}")


class _Shown:
    """How much of both texts is on the screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._n_reasoning = self._n_content = 0

    def more(self, reasoning: str, content: str) -> None:
        self._n_reasoning += len(reasoning)
        self._n_content += len(content)
        if reasoning:
            self._screen.reasoning(reasoning)
        if content:
            self._screen.answer(content)

    def whole(self, message: Message) -> None:
        self.more(message.reasoning[self._n_reasoning :], message.content[self._n_content :])


def _steer(
    background: Background,
    message_id: str,
    phase: Phase,
    interrupts: Interrupts,
    screen: Screen,
    seen: SimpleQueue[Seen],
) -> None:
    def told(asked: Future[bool]) -> None:
        if not asked.cancelled() and (error := asked.exception()):
            seen.put(error)

    if interrupts.pressed() == 1 and phase != "answering":
        screen.note("answering now")
        background.begin(background.jobs.answer_now(message_id)).add_done_callback(told)
    else:
        screen.note("stopping")
        background.begin(background.jobs.stop(message_id))


async def _follow(background: Background, owner: str, reply: Message, seen: SimpleQueue[Seen]) -> None:
    with background.jobs.subscribed(reply.conversation) as subscription:
        # What has ended before it was subscribed to tells nothing any more.
        live = background.jobs.live(reply.id)
        message = subscription.follow(reply) if live else background.store.message(owner, reply.id)
        seen.put(message)
        if message.state != "live":
            return
        async for event in subscription.events():
            if isinstance(event, MessageChanged) and event.message.id == reply.id:
                seen.put(subscription.follow(event.message))
            elif isinstance(event, tuple):
                for delta in event:
                    seen.put(delta)


@contextmanager
def _interrupts_go_to(seen: SimpleQueue[Seen]) -> Iterator[None]:
    """A KeyboardInterrupt could come between what was taken from the queue and what was shown of it."""
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.put("interrupt"))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.stdout.flush()
