"""Replies asked together: a vote of many thoughts, or one prompt to two models. Starts, follows, judges, stops them.

Each reply is a job of its own, a sibling of the others. Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ...serve.answers.math_judge import MathJudge
from ...serve.client import Client
from ...serve.errors import InvalidRequestError
from ..conversations.records import Conversation, Group, Message, Origin, Settings
from ..conversations.store import ConversationStore, new_id
from .asker import Asker, new_reply
from .events import ConversationChanged, GroupChanged
from .group_run import GroupRun
from .prompts import params, prompt
from .registry import JobRegistry
from .shared_vote import SharedVote
from .sources import Source, asked
from .verdicts import Verdicts, judged_text

logger = logging.getLogger(__name__)

OnEnd = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class AskedTogether:
    conversation: Conversation
    question: Message
    replies: list[Message]
    group: Group


class Many:
    """All calls raise NotFoundError for what is not the owner's, and InvalidRequestError for what makes no sense."""

    def __init__(self, store: ConversationStore, jobs: JobRegistry, client_for: Callable[[str, str], Client]) -> None:
        self._store = store
        self._jobs = jobs
        self._client_for = client_for
        self._judge = MathJudge()
        self._runs: dict[str, GroupRun] = {}
        self._following: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        owner: str,
        conversation_id: str | None,
        text: str,
        *,
        n: int,
        models: Sequence[str] = (),
        gold: str = "",
        settings: Settings | None = None,
        **place: Any,
    ) -> AskedTogether:
        """`n` thoughts that vote, or a reply of each of two `models`. `place` is that of Asker.question."""
        if models and (len(models) != 2 or models[0] == models[1]):
            raise InvalidRequestError("Two different models are compared.", "models")
        if settings is None and conversation_id is not None:
            settings = (await asyncio.to_thread(self._store.get, owner, conversation_id)).settings
        if not models and settings is not None and settings.temperature == 0:
            raise InvalidRequestError("At temperature 0 all thoughts would be the same.", "temperature")
        asker = Asker(self._store, self._jobs)
        conversation, question = await asker.question(owner, conversation_id, text, settings=settings, **place)
        group = Group(
            id=new_id(), conversation=conversation.id, kind="compare" if models else "vote", gold=gold.strip()
        )
        replies = _replies(conversation, question, group, n, models)
        group, conversation = await asyncio.to_thread(self._add, owner, group, replies)
        self._jobs.tell(conversation.id, GroupChanged(group))
        await self._start(owner, conversation, question, replies, group)
        self._jobs.tell(conversation.id, ConversationChanged(conversation))
        return AskedTogether(conversation, question, replies, group)

    async def stop(self, owner: str, group_id: str) -> bool:
        """Ends all its replies and keeps what they have; False where none was being written."""
        group = await asyncio.to_thread(self._store.group, owner, group_id)
        return any(await asyncio.gather(*(self._jobs.stop_or_settle(owner, name) for name in _names(group))))

    def votes(self, group_id: str | None) -> bool:
        """Whether its replies are being written as one vote."""
        run = self._runs.get(group_id or "")
        return run is not None and run.last_word is not None

    async def set_gold(self, owner: str, group_id: str, gold: str) -> Group:
        """The right answer as the person knows it; "" takes it back. Its replies are judged again."""
        await asyncio.to_thread(self._store.group, owner, group_id)
        group = await asyncio.to_thread(self._store.update_group, group_id, gold=gold.strip())
        run = self._runs.get(group_id)
        if run is not None and not run.is_over:
            run.judge_again()
        else:
            group = await self._judged(owner, group)
        self._jobs.tell(group.conversation, GroupChanged(group))
        return group

    def gone_on(self, owner: str) -> OnEnd:
        """To be called at the end of a reply that went on: the group that it may be of is judged again."""

        def ended(reply: Message) -> None:
            if reply.group is not None:
                self._keep(self._judge_again(owner, reply.group))

        return ended

    def settle(self) -> None:
        """Has it recorded what came of the groups that ended with a server before it was."""
        self._keep(self._settle())

    async def close(self) -> None:
        """Waits for what is still judged; to be called when no reply is written any more."""
        if self._following:
            _, late = await asyncio.wait(self._following, timeout=2)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _add(self, owner: str, group: Group, replies: list[Message]) -> tuple[Group, Conversation]:
        report = {"n": len(replies), "replies": [reply.id for reply in replies]}
        group = self._store.add_group(msgspec.structs.replace(group, report=report), replies)
        return group, self._store.update(owner, group.conversation, head=replies[0].id)

    async def _start(
        self, owner: str, conversation: Conversation, question: Message, replies: list[Message], group: Group
    ) -> None:
        branch = await asyncio.to_thread(self._store.path, owner, conversation.id, question.id)
        run = GroupRun(self._store, self._jobs, self._judge, owner, group)
        sources: list[Source]
        ended: list[OnEnd] = [run.ended for _ in replies]
        if group.kind == "vote":
            settings = conversation.settings
            shared = SharedVote(
                self._client_for(owner, settings.model),
                prompt(branch, settings),
                len(replies),
                params(settings),
                run.stands,
            )
            run.last_word = shared.over
            sources = [shared.source(i) for i in range(len(replies))]
            ended = [_leaving(shared, i, run.ended) for i in range(len(replies))]
        else:
            sources = [asked(branch, reply.settings or conversation.settings) for reply in replies]
        for reply, source, on_end in zip(replies, sources, ended, strict=True):
            self._jobs.start(owner, reply, source, on_end)
        self._keep(self._follow(group.id, run))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, group_id: str, run: GroupRun) -> None:
        self._runs[group_id] = run
        try:
            await run.follow()
        finally:
            del self._runs[group_id]

    async def _settle(self) -> None:
        for owner, group in await asyncio.to_thread(self._store.open_groups):
            try:
                await self._finish(owner, group)
            except Exception:
                logger.exception("what came of a group could not be recorded")

    async def _finish(self, owner: str, group: Group) -> None:
        """Records what came of a group whose replies all came to an end; one that was broken off stays so."""
        replies = [await asyncio.to_thread(self._store.message, owner, name) for name in _names(group)]
        if not replies or any(reply.state in ("live", "interrupted") for reply in replies):
            return
        run = GroupRun(self._store, self._jobs, self._judge, owner, group)
        if group.kind == "vote":
            run.stands(await self._tally(replies))
        for reply in replies:
            run.ended(reply)
        await run.follow()

    async def _tally(self, replies: list[Message]) -> dict[str, Any]:
        """As the server would have told it at the end of the vote; without a choice where a person stopped it."""
        async with self._judge.session() as session:
            report = await Verdicts(session).tally([judged_text(reply) for reply in replies])
        n_ended = sum(reply.state == "done" for reply in replies)
        n_stopped = sum(reply.finish_reason == "stopped" for reply in replies)
        report |= {"n": len(replies), "n_finished": n_ended, "n_stopped": n_stopped}
        if n_ended + n_stopped == len(replies):
            report["choice"] = report["tally"][0]["choices"][0] if report["tally"] else 0
        return report

    async def _judge_again(self, owner: str, group_id: str) -> None:
        group = await self._judged(owner, await asyncio.to_thread(self._store.group, owner, group_id))
        self._jobs.tell(group.conversation, GroupChanged(group))

    async def _judged(self, owner: str, group: Group) -> Group:
        """A group whose replies have all ended, with its verdicts."""

        def texts() -> dict[str, str]:
            replies = [self._store.message(owner, name) for name in _names(group)]
            return {reply.id: text for reply in replies if (text := judged_text(reply)) is not None}

        while True:
            async with self._judge.session() as session:
                verdicts = await Verdicts(session).of(await asyncio.to_thread(texts), group.gold)
            report = {**group.report, **verdicts}
            now = await asyncio.to_thread(self._store.update_group, group.id, report=report)
            if now.gold == group.gold:
                return now
            group = now  # told otherwise while these were judged


def _leaving(shared: SharedVote, index: int, then: OnEnd) -> OnEnd:
    """Also where the reply ended before it began to read."""

    def ended(reply: Message) -> None:
        shared.left(index)
        then(reply)

    return ended


def _replies(
    conversation: Conversation, question: Message, group: Group, n: int, models: Sequence[str]
) -> list[Message]:
    """The records as they begin."""
    settings = conversation.settings
    asked_with = [msgspec.structs.replace(settings, model=model) for model in models] or [settings] * n
    origin: Origin = "compare" if models else "sample"
    return [
        msgspec.structs.replace(
            new_reply(conversation.id, question.id, origin, one), group=group.id, choice=0 if models else index
        )
        for index, one in enumerate(asked_with)
    ]


def _names(group: Group) -> list[str]:
    return list(group.report.get("replies", ()))
