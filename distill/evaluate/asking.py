"""Asks a served model for the answers that are wanted, many at a time, and judges each as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...serve.client import ApiError, Client, Completion
from ...serve.reasoning import CLOSE_TAG, OPEN_TAG, split
from ..errors import DistillError
from ..retries import FAILURES, Retries
from ..rows import ProblemRow, SampleRow, Verdict
from ..verify.ruling import Ruling
from .samples import Draw

LONGEST_SILENCE_S = 600.0
CUT_OFF = "length"


Rule = Callable[[ProblemRow, str], Ruling]


class Asker:
    """Draws the answers of one model. `rule` judges on another thread; `extra` goes into each request."""

    def __init__(self, client: Client, rule: Rule, key: str, quant: str, extra: dict[str, Any]) -> None:
        self._client = client
        self._rule = rule
        self._key = key
        self._quant = quant
        self._extra = extra
        self._retries = Retries()
        self._seeds = True

    async def draw(self, draws: Sequence[Draw], concurrency: int, keep: Callable[[SampleRow], None]) -> None:
        """`keep` gets each row when it is done. Raises DistillError where the model does not answer any more."""
        gate = asyncio.Semaphore(concurrency)

        async def one(draw: Draw) -> None:
            async with gate:
                keep(await self._answer(draw))

        try:
            async with asyncio.TaskGroup() as group:
                for draw in draws:
                    group.create_task(one(draw))
        except* DistillError as failed:
            raise failed.exceptions[0] from None

    async def _answer(self, draw: Draw) -> SampleRow:
        started = time.monotonic()
        completion = await self._complete(draw)
        seconds = time.monotonic() - started
        reasoning, answer = thought_and_answer(completion)
        verdict: Verdict = "wrong"
        extracted = None
        if completion.finish_reason != CUT_OFF:  # what was cut off is wrong, whatever it says
            ruling = await asyncio.to_thread(self._rule, draw.problem, answer)
            verdict, extracted = ruling.verdict, ruling.extracted
        details = completion.usage.get("completion_tokens_details") or {}
        return SampleRow(
            id=draw.id, model=self._key, quant=self._quant, set=draw.set, problem_id=draw.problem.id,
            sample=draw.sample, reasoning=reasoning, answer=answer, finish_reason=completion.finish_reason,
            verdict=verdict, family=draw.problem.family, extracted=extracted,
            n_tokens=int(completion.usage.get("completion_tokens") or 0),
            n_reasoning_tokens=int(details.get("reasoning_tokens") or 0), seconds=round(seconds, 3),
        )  # fmt: skip

    async def _complete(self, draw: Draw) -> Completion:
        try:
            return await self._retries.answer(self._ask, draw)
        except FAILURES as error:
            if isinstance(error, ApiError) and error.code == "context_length_exceeded":
                return Completion("", "", CUT_OFF, {}, {})  # no room for an answer
            if isinstance(error, ApiError) and not error.passes:
                raise self._refused(error) from error
            raise DistillError(
                f"{self._client.base_url} does not answer ({str(error).rstrip('.')}). "
                "What was drawn is kept; go on with: r1chat distill evaluate"
            ) from error

    async def _ask(self, draw: Draw) -> Completion:
        """A server that knows no seeds is asked without."""
        messages = [{"role": "user", "content": draw.problem.prompt}]
        if self._seeds:
            try:
                return await self._client.complete(messages, seed=draw.seed, **self._extra)
            except ApiError as error:
                if error.status not in (400, 422) or "seed" not in error.message:
                    raise
                self._seeds = False
        return await self._client.complete(messages, **self._extra)

    def _refused(self, error: ApiError) -> DistillError:
        url = self._client.base_url
        mend = f"See what it offers: curl {url}/v1/models"
        if error.status in (401, 403):
            mend = "Give its key: R1CHAT_TEACHER_KEY=KEY r1chat distill evaluate"
        return DistillError(f"{url} refuses to answer: {str(error).rstrip('.')}. {mend}")


def thought_and_answer(completion: Completion) -> tuple[str | None, str]:
    """The thought, None where there is none, and what followed it; an answer that is empty never began. A server
    that leaves the tags in the answer has them split here.
    """
    if completion.reasoning or CLOSE_TAG not in completion.content:
        return completion.reasoning or None, completion.content
    opened = completion.content.lstrip().startswith(OPEN_TAG)
    parts = split(completion.content, reasoning_open=not opened)
    return parts.thought, parts.answer
