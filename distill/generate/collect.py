"""Asks a teacher for k samples of each problem, many at once, and stores every reply the moment it is whole."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ...serve.client import Completion
from ..config import DistillConfig
from ..rows import ProblemRow, Teacher, TraceRow, content_id
from ..sources.replies import split_reply
from .asking import Asker, NotAnsweredError
from .config import GenerateConfig


@dataclass(frozen=True)
class Request:
    """One sample of one problem; `id` is that of the trace it gives."""

    id: str
    problem: ProblemRow
    sample: int
    seed: int


@dataclass
class Misses:
    """Requests that got no reply while others did, and why the first of them did not. `passing`: how many of them
    may get one another time.
    """

    count: int = 0
    passing: int = 0
    first_reason: str = ""


def params_of(config: GenerateConfig) -> dict[str, Any]:
    """What decides the draws, as rows carry it."""
    return {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens}


def requests_of(config: DistillConfig, problems: Sequence[ProblemRow], teacher: Teacher) -> Iterator[Request]:
    """All of a run, one problem's samples together. Other settings or wording, another teacher or seed: other ids."""
    params = msgspec.json.encode(params_of(config.generate), order="sorted").decode()
    who = f"{teacher.name} {teacher.sha256 or ''}"
    for problem in problems:
        for sample in range(config.generate.k):
            own = content_id(problem.id, problem.prompt, who, params, str(config.seed), str(sample))
            yield Request(own, problem, sample, random.Random(own).getrandbits(31))


async def collect(
    asker: Asker,
    teacher: Teacher,
    config: GenerateConfig,
    requests: Iterable[Request],
    keep: Callable[[TraceRow], None],
) -> Misses:
    """`keep` gets each trace. Raises DistillError where the teacher is lost; what it wrote has been kept then."""
    waiting, misses = iter(requests), Misses()

    async def work() -> None:
        for request in waiting:
            began = time.time()
            messages = [{"role": "user", "content": request.problem.prompt}]
            try:
                reply = await asker.ask(messages, request.seed)
            except NotAnsweredError as error:
                misses.count += 1
                misses.passing += error.passes
                misses.first_reason = misses.first_reason or str(error)
                continue
            keep(_row(request, teacher, params_of(config), reply, began))

    workers = [asyncio.create_task(work()) for _ in range(config.concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return misses


def _row(request: Request, teacher: Teacher, params: dict[str, Any], reply: Completion, began: float) -> TraceRow:
    text = split_reply(_whole(reply.content), _whole(reply.reasoning) or None)
    details = reply.usage.get("completion_tokens_details")
    return TraceRow(
        id=request.id,
        problem=request.problem,
        teacher=teacher,
        sample=request.sample,
        reasoning=text.reasoning,
        answer=text.answer,
        finish_reason=_finish_reason(reply, text.finish_reason),
        created=began,
        params={**params, "seed": request.seed},
        n_tokens=_count(reply.usage, "completion_tokens"),
        n_reasoning_tokens=_count(details, "reasoning_tokens"),
        seconds=round(time.time() - began, 3),
    )


def _finish_reason(reply: Completion, of_text: str) -> str:
    """`thought_CAUSE` where a server says that it ended the thought for the model: no student learns to end from it."""
    if reply.reasoning_end not in (None, "natural"):
        return f"thought_{reply.reasoning_end}"
    return str(reply.finish_reason or of_text)


def _whole(text: str) -> str:
    """Halves of a character that came in two pieces are one again; a half alone, which no file can hold, is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _count(usage: Any, name: str) -> int | None:
    """None where a server says nothing, or no number."""
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**63 else None
