"""One judge for many votes: the end of one does not take the child from under another."""

from __future__ import annotations

import asyncio
import time

import pytest

from r1chat.serve.answers.math_judge import MathJudge

pytest.importorskip("math_verify")


def test_a_vote_that_ends_does_not_wait_for_what_others_compare() -> None:
    async def scenario() -> None:
        judge = MathJudge()
        async with judge.session(), judge._lock, asyncio.timeout(10):
            async with judge.session():
                pass

    asyncio.run(scenario())


def test_a_vote_that_ends_leaves_one_that_begins_its_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> bool:
        judge = MathJudge()
        close = judge._process.close

        def late() -> None:
            time.sleep(0.3)
            close()

        monkeypatch.setattr(judge._process, "close", late)
        async with judge.session() as session:
            assert await session.equal("x+1", "1+x")

        async def first() -> None:
            async with judge.session():
                pass

        ending = asyncio.create_task(first())
        await asyncio.sleep(0.1)  # its close is under way
        async with judge.session() as session:
            found = await session.equal("x+2", "2+x")
        await ending
        return found

    assert asyncio.run(scenario())
