"""What a route gets hold of when it names a model, whatever computes it. The seam between the wire and engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine.messages import QueryAnswer
from ..engine.request import ModelInfo, Segment
from .ask import Ask
from .kept import KeptReplies
from .metrics import Metrics
from .model_bodies import Health, ModelCard
from .models.memory import MemoryReport
from .outputs import Outputs
from .prompt.chat_template import RenderedPrompt

_LEASES = "r1chat.leases"


class Backend(Protocol):
    """One model at work. What it cannot do raises NotSupportedError with its engine's name."""

    kept: KeptReplies

    @property
    def info(self) -> ModelInfo:
        """Raises ModelLoadError before the model was first loaded."""
        ...

    async def start(self, ask: Ask, completion_id: str, *, streamed: bool) -> Outputs:
        """Checks what needs the model, and starts. What comes back must be iterated or closed.

        Raises InvalidRequestError, ModelLoadError; iterating raises what the engine's failures are.
        """
        ...

    def stop(self, completion_id: str) -> None:
        """Ends those of its replies that still run: each comes to its Finished at once, with FinishReason.ABORT."""
        ...

    async def prompt(self, ask: Ask) -> RenderedPrompt:
        """All that the engine will see before it writes."""
        ...

    async def tokenize(self, segments: tuple[Segment, ...]) -> QueryAnswer:
        """What tokens a text becomes. Raises EngineStoppedError, InvalidRequestError."""
        ...

    async def pieces(self, tokens: tuple[int, ...]) -> QueryAnswer:
        """What bytes the tokens stand for. Raises EngineStoppedError, InvalidRequestError."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A model under the name that its replies bear."""

    id: str
    backend: Backend


class ServedModels(Protocol):
    """All models that one server has. Belongs to one event loop."""

    kept: KeptReplies
    metrics: Metrics

    @property
    def started(self) -> bool:
        """start() was called, by whoever wanted to hear of its failure."""
        ...

    async def start(self) -> None:
        """Makes ready what is to be ready from the beginning. Raises ModelLoadError."""
        ...

    async def stop(self) -> None: ...

    async def lease(self, name: str | None, request: Request) -> Served:
        """The model of that name (None: the default one), loaded if need be, and kept until `request` has had its
        response. Raises ModelNotFoundError, ModelLoadError, and ClientDisconnect where the client leaves meanwhile.
        """
        ...

    async def control(self, completion_id: str, action: Literal["answer_now", "think_more"], owner: str) -> bool:
        """Has running thoughts end now, or go on. False where none was left to listen. Raises NotFoundError."""
        ...

    async def cards(self) -> list[ModelCard]:
        """Of all models that could be asked, the default one first."""
        ...

    async def card(self, name: str) -> ModelCard:
        """Raises ModelNotFoundError."""
        ...

    async def load(self, name: str, keep_alive_s: float | None) -> ModelCard:
        """Makes the model ready; idle for so long (None: as ever) it leaves again. Raises what lease() does, and
        NotSupportedError where models are not ours to load.
        """
        ...

    async def unload(self, name: str) -> ModelCard:
        """Frees its memory once nobody holds it. Raises as load() does."""
        ...

    async def memory(self) -> MemoryReport:
        """Who takes how much."""
        ...

    def health(self) -> Health: ...


def until_answered(request: Request, release: Callable[[], None]) -> None:
    """Calls `release` once the response to `request` has gone, or its client has."""
    request.scope[_LEASES].append(release)


class Leases:
    """Middleware: what a request holds is released when its response, streamed or not, is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        releases: list[Callable[[], None]] = []
        scope[_LEASES] = releases
        try:
            await self._app(scope, receive, send)
        finally:
            for release in releases:
                release()
