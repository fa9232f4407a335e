"""A starred turn gathered out of the conversations: the texts, how they came about, and how its siblings voted."""

from __future__ import annotations

import secrets
import time
from typing import Any

from ...serve.errors import InvalidRequestError
from ..conversations.records import Group, Message, Settings
from ..conversations.store import ConversationStore
from .records import Source, Star, Turn, Vote

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens")


def gather(store: ConversationStore, owner: str, message_id: str) -> Star:
    """The star of an assistant's message, without its gates. Raises NotFoundError, InvalidRequestError."""
    message = store.message(owner, message_id)
    if message.role != "assistant" or message.parent is None:
        raise InvalidRequestError("Only an answer can be starred.", "message")
    if message.state == "live":
        raise InvalidRequestError("This answer is still being written. Star it when it is done.", "message")
    path = store.path(owner, message.conversation, leaf=message_id)
    question = path[-2].content
    group = store.group(owner, message.group) if message.group else None
    turn = Turn(question=question, thought=message.reasoning, answer=message.content)
    now = time.time()
    return Star(
        id=secrets.token_hex(8),
        owner=owner,
        created=now,
        updated=now,
        # an imported reply does not say how it was asked; its conversation says what the file said
        source=_source(message, message.settings or store.get(owner, message.conversation).settings, len(path) - 2),
        original=turn,
        turn=turn,
        vote=_vote(group, message),
        gold=group.gold if group else "",
    )


def _source(message: Message, settings: Settings, n_before: int) -> Source:
    return Source(
        message=message.id,
        conversation=message.conversation,
        model=message.model,
        state=message.state,
        origin=message.origin,
        reply_id=message.reply_id,
        choice=message.choice,
        finish_reason=message.finish_reason,
        reasoning_end=message.reasoning_end,
        thought_tokens=message.reasoning_tokens,
        answer_tokens=message.answer_tokens,
        seconds=message.total_s,
        kept_chars=message.kept_chars,
        n_before=n_before,
        system=settings.system,
        sampling=_sampling(settings),
    )


def _sampling(settings: Settings) -> dict[str, Any]:
    """What was asked for; what is not there was the server's own choice."""
    given = {name: getattr(settings, name) for name in _SAMPLING}
    return {name: value for name, value in given.items() if value is not None}


def _vote(group: Group | None, message: Message) -> Vote | None:
    """None where there was no vote, or none that is over."""
    tally = group.report.get("tally") if group is not None and group.kind == "vote" else None
    if not group or not tally or not group.report.get("over") or group.report.get("answer") is None:
        return None
    votes = [int(each.get("votes", 0)) for each in tally]
    return Vote(
        answer=str(group.report["answer"]),
        votes=votes[0],
        n=int(group.report.get("n", sum(votes))),
        agrees=message.choice in tally[0].get("choices", ()),
        tied=len(votes) > 1 and votes[1] == votes[0],
    )
