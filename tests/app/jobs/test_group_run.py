"""A group while its replies are written: whatever fails, it comes to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from r1chat.app.conversations.database import StoreError
from r1chat.app.conversations.records import Group, Message
from r1chat.app.conversations.store import ConversationStore
from r1chat.app.jobs.group_run import GroupRun
from r1chat.app.jobs.registry import JobRegistry
from r1chat.serve.answers.math_judge import MathJudge
from r1chat.serve.client import Client


def test_a_vote_is_over_also_where_its_winner_cannot_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConversationStore(tmp_path / "conversations.sqlite")
    about: dict[str, Any] = {"conversation": store.create("").id, "model": "demo"}
    store.add(Message(id="q", parent=None, role="user", content="?", **about))
    replies = [Message(id=name, parent="q", role="assistant", state="done", **about) for name in ("second", "first")]
    report = {"replies": ["first", "second"], "n": 2, "choice": 1}
    group = store.add_group(Group(id="g", conversation=about["conversation"], kind="vote", report=report), replies)

    def full(*args: Any, **changes: Any) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(store, "update", full)

    async def scenario() -> None:
        jobs = JobRegistry(store, lambda owner, model: Client("http://127.0.0.1:9"))
        run = GroupRun(store, jobs, MathJudge(), "", group)
        for reply in replies:
            run.ended(reply)
        await run.follow()

    asyncio.run(scenario())
    assert store.group("", "g").report["over"] is True
    store.close()
