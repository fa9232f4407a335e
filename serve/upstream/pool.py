"""All upstreams: asks every few seconds who is there, and finds for each request one that takes it.

Round robin over those that are up and have the model. A request moves on while its client has seen nothing of a
reply; one under which several upstreams broke is given up, as it may be what breaks them.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from ..errors import ModelNotFoundError, NotSupportedError, QueueFullError, R1ChatError, UpstreamError
from .chunks import Chunk
from .discovery import RemoteModel
from .endpoint import Endpoint
from .failures import Failure

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
LOOK_AGAIN_S = 1.0
# How long a request waits for upstreams that have all asked for a pause.
PATIENCE_S = 30.0
MAX_BROKEN = 2


@dataclass(frozen=True, slots=True)
class Taken:
    """An upstream has the request now; of one that had it before nothing was seen."""

    endpoint: Endpoint


@dataclass(slots=True)
class _Tries:
    """What a request has been through. `out` are upstreams that it will not ask again."""

    out: set[Endpoint] = field(default_factory=set)
    error: R1ChatError | None = None
    n_broken: int = 0
    until: float = field(default_factory=lambda: time.monotonic() + PATIENCE_S)


class Pool:
    """The upstreams at `urls`, which all get the same `key`. Belongs to one event loop."""

    def __init__(self, urls: Sequence[str], key: str | None = None) -> None:
        self.endpoints = [Endpoint(url, key) for url in urls]
        self.started = False
        self._looking: list[asyncio.Task[None]] = []
        self._ticks = itertools.count(1)

    async def start(self) -> None:
        """Looks once at each; those that are away are looked for further on."""
        self.started = True
        await asyncio.gather(*(_look(endpoint) for endpoint in self.endpoints))
        for endpoint in self.endpoints:
            if not endpoint.is_up:
                logger.warning("%s", endpoint.error)
        self._looking = [asyncio.create_task(self._keep_looking(endpoint)) for endpoint in self.endpoints]

    async def stop(self) -> None:
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)
        for endpoint in self.endpoints:
            await endpoint.close()

    @property
    def up(self) -> list[Endpoint]:
        return [endpoint for endpoint in self.endpoints if endpoint.is_up]

    def models(self, *, away_too: bool = False) -> dict[str, RemoteModel]:
        """What those that are up have, in their order; behind it what the others had when they were."""
        found: dict[str, RemoteModel] = {}
        for endpoint in sorted(self.endpoints, key=lambda one: not one.is_up):
            for model in endpoint.models.values() if endpoint.is_up or away_too else ():
                found.setdefault(model.id, model)
        return found

    def find(self, name: str | None) -> RemoteModel:
        """The model of that name (None: the first one). Raises ModelNotFoundError, UpstreamError."""
        models = self.models(away_too=True)
        for model in models.values():
            if name in (None, model.id, *model.aliases):
                return model
        if not self.up:
            raise UpstreamError(self.why_down())
        listed = ", ".join(repr(model[:80]) for model in list(models)[:8]) or "none"
        raise ModelNotFoundError(f"No upstream has a model {(name or '')[:200]!r}; there are: {listed}.")

    def with_model(self, model: str) -> list[Endpoint]:
        """Those that have it, the one that has waited longest first; those that seem to be away come last."""
        having = (one for one in self.endpoints if model in one.models)
        return sorted(having, key=lambda one: (not one.is_up, one.last_picked))

    def why_down(self) -> str:
        return "No upstream answers. " + " ".join(endpoint.error for endpoint in self.endpoints if endpoint.error)

    async def stream(
        self, model: str, path: str, body_for: Callable[[Endpoint], dict[str, Any]]
    ) -> AsyncGenerator[Taken | Chunk, None]:
        """The chunks of one reply, behind a Taken for each upstream that took the request.

        `body_for` may raise NotSupportedError; another upstream is asked then. Raises R1ChatErrors.
        """
        tries = _Tries()
        while True:
            endpoint = await self._next(model, tries)
            seen = False
            try:
                async with aclosing(endpoint.stream(path, body_for(endpoint))) as chunks:
                    async for chunk in chunks:
                        if chunk is None:
                            yield Taken(endpoint)
                        else:
                            seen = seen or chunk.says_something
                            yield chunk
                return
            except NotSupportedError as error:
                tries.out.add(endpoint)
                tries.error = error
            except Failure as failure:
                endpoint.note(failure)
                if seen or not failure.moves:
                    raise failure.error from failure
                self._move(endpoint, tries, failure)

    async def ask(self, model: str, asking: Callable[[Endpoint], Any]) -> Any:
        """What `asking` gets from the first upstream that can answer it."""
        error: R1ChatError | None = None
        for endpoint in self.with_model(model):
            try:
                return await asking(endpoint)
            except NotSupportedError as unsupported:
                error = unsupported
            except Failure as failure:
                endpoint.note(failure)
                if not failure.moves:
                    raise failure.error from failure
                error = failure.error
        raise error or UpstreamError(self.why_down())

    def _move(self, endpoint: Endpoint, tries: _Tries, failure: Failure) -> None:
        logger.info("a request moves on: %s", failure.error)
        tries.error = failure.error
        tries.n_broken += failure.broke
        if not failure.busy_s:
            tries.out.add(endpoint)
        if tries.n_broken >= MAX_BROKEN:
            raise failure.error from failure

    async def _next(self, model: str, tries: _Tries) -> Endpoint:
        """The upstream to ask now; waits a while where all want a pause. Raises what the last one failed with."""
        while True:
            candidates = [one for one in self.with_model(model) if one not in tries.out]
            # one that did not answer may do so now: better than to refuse unasked
            candidates = [one for one in candidates if one.is_up] or candidates
            if free := [one for one in candidates if not one.busy_s]:
                free[0].last_picked = next(self._ticks)
                return free[0]
            if not candidates:
                raise tries.error or UpstreamError(self.why_down())
            pause = min(one.busy_s for one in candidates)
            if time.monotonic() + pause > tries.until:
                raise _busy(tries.error, pause)
            await asyncio.sleep(pause)

    async def _keep_looking(self, endpoint: Endpoint) -> None:
        while True:
            pause = LOOK_EVERY_S if endpoint.is_up else LOOK_AGAIN_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # wait_for() may swallow the end of this task
                    await endpoint.look_now.wait()
                await asyncio.sleep(LOOK_AGAIN_S / 4)
            endpoint.look_now.clear()
            was_up = endpoint.is_up
            await _look(endpoint)
            if was_up != endpoint.is_up:
                logger.warning("upstream %s: %s", endpoint.name, endpoint.error or "answers")


async def _look(endpoint: Endpoint) -> None:
    """Whatever a strange server sends, the others are looked at all the same."""
    try:
        await endpoint.look()
    except Exception:
        logger.exception("looking at %s failed", endpoint.name)
        endpoint.is_up, endpoint.error = False, f"The upstream {endpoint.name} cannot be understood."


def _busy(error: R1ChatError | None, pause: float) -> R1ChatError:
    if error is not None and not isinstance(error, QueueFullError):
        return error
    return QueueFullError(str(error or "All upstreams are busy."), max(1, math.ceil(pause)))
