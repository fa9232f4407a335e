"""A group while its replies are written: takes in how they end and how the vote stands, judges, and records both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ...serve.answers.math_judge import MathJudge
from ...serve.errors import NotFoundError
from ..conversations.records import Group, Message
from ..conversations.store import ConversationStore
from .events import ConversationChanged, GroupChanged
from .registry import JobRegistry
from .verdicts import Verdicts, judged_text

logger = logging.getLogger(__name__)


class GroupRun:
    """`last_word` is awaited behind the last reply: a vote tells its outcome only then. Once it `is_over`, nothing that
    it is told is looked at any more.
    """

    def __init__(self, store: ConversationStore, jobs: JobRegistry, judge: MathJudge, owner: str, group: Group) -> None:
        self.last_word: Callable[[], Awaitable[None]] | None = None
        self.is_over = False
        self._store = store
        self._jobs = jobs
        self._judge = judge
        self._owner = owner
        self._group = group
        self._report: dict[str, Any] = dict(group.report)
        self._open: set[str] = set(self._report["replies"])
        self._texts: dict[str, str] = {}
        self._news = asyncio.Event()

    def ended(self, reply: Message) -> None:
        """One of its replies has come to its end, whatever that is."""
        self._open.discard(reply.id)
        if (text := judged_text(reply)) is not None:
            self._texts[reply.id] = text
        self._news.set()

    def stands(self, report: dict[str, Any]) -> None:
        """How the vote stands. Its texts are in the replies."""
        self._report |= {name: value for name, value in report.items() if name != "thoughts"}
        self._news.set()

    def judge_again(self) -> None:
        """There is another gold answer."""
        self._news.set()

    async def follow(self) -> None:
        """Until all replies have ended and what they came to is recorded."""
        async with self._judge.session() as session:
            verdicts = Verdicts(session)
            while self._open:
                await self._news.wait()
                await self._record(verdicts)
            if self.last_word is not None:
                await self.last_word()
            await self._show_winner()
            self._report["over"] = True
            self._news.set()
            # what came of all of them, and of a gold answer that was given meanwhile
            while self._news.is_set():
                await self._record(verdicts)
            self.is_over = True

    async def _record(self, verdicts: Verdicts) -> None:
        self._news.clear()
        try:
            group = await asyncio.to_thread(self._store.group, self._owner, self._group.id)
            self._report |= await verdicts.of(dict(self._texts), group.gold)
            group = await asyncio.to_thread(self._store.update_group, group.id, report=dict(self._report))
            self._jobs.tell(group.conversation, GroupChanged(group))
        except NotFoundError:
            pass  # the conversation was deleted meanwhile
        except Exception:
            logger.exception("how a group stands could not be recorded")

    async def _show_winner(self) -> None:
        """The conversation goes on behind the vote's choice, unless the person chose before."""
        if not self._report.get("choice"):
            return
        try:
            changed = await asyncio.to_thread(self._choose)
        except NotFoundError:
            return
        except Exception:  # the group is over all the same
            logger.exception("a vote's choice could not be shown")
            return
        if changed is not None:
            self._jobs.tell(self._group.conversation, changed)

    def _choose(self) -> ConversationChanged | None:
        names, choice = self._report["replies"], self._report["choice"]
        conversation = self._store.get(self._owner, self._group.conversation)
        if conversation.head != names[0]:
            return None
        return ConversationChanged(self._store.update(self._owner, conversation.id, head=names[choice]))
