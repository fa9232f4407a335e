"""What a name means to the manager: the model it was found to be, or why that could not be loaded a moment ago.

On the manager's event loop; looking may read files and is done on a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import ModelLoadError, ModelNotFoundError
from .resident import ModelSpec

# After a load has failed, requests get its error at once for so long.
FAILED_S = 5.0
MAX_NAME = 512
# Of names and of failures so many are remembered.
MAX_NAMES = 1000


@dataclass(frozen=True)
class Failure:
    """Why a model could not be loaded, and when (monotonic)."""

    error: ModelLoadError
    at: float


class Lookup:
    """Names come from strangers: what could be none is refused unseen, the rest is up to `find`."""

    def __init__(self, find: Callable[[str], ModelSpec | None], default_id: str) -> None:
        self._find = find
        self._default_id = default_id
        self._ids: dict[str, str] = {}
        self._failures: dict[str, Failure] = {}

    def id_of(self, name: str) -> str:
        """The id of the model that the name was found to mean, else the name itself."""
        return self._ids.get(name, name)

    async def spec(self, name: str) -> ModelSpec:
        """Raises ModelNotFoundError, ModelLoadError."""
        self.raise_if_just_failed(name)
        try:
            spec = await asyncio.to_thread(self._find, name) if _may_be_a_name(name) else None
        except ModelLoadError as error:
            self.fail(name, error)
            raise
        if spec is None:
            raise ModelNotFoundError(
                f"This server has no model {name[:100]!r}; it serves {self._default_id!r}, "
                "and whatever else GET /v1/models lists."
            )
        if len(self._ids) >= MAX_NAMES:
            self._ids.clear()
        self._ids[name] = spec.id
        return spec

    def failure(self, *names: str) -> ModelLoadError | None:
        """Why the model with these names could not be loaded the last time."""
        return next((self._failures[name].error for name in names if name in self._failures), None)

    def fail(self, name: str, error: ModelLoadError) -> None:
        if len(self._failures) >= MAX_NAMES:
            self._failures.clear()
        self._failures[name] = Failure(error, time.monotonic())

    def forgive(self, name: str) -> None:
        """It may be tried again at once."""
        for known in (name, self.id_of(name)):
            self._failures.pop(known, None)

    def raise_if_just_failed(self, name: str) -> None:
        failure = self._failures.get(name)
        if failure and time.monotonic() - failure.at < FAILED_S:
            raise failure.error.with_traceback(None)


def _may_be_a_name(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME and name.isprintable()
