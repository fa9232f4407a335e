"""What the routes of models and of downloads share: a look at what /v1 says of them."""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ....serve.api.wire_types import Text
from ....serve.client import ApiError
from ....serve.errors import NotSupportedError
from ....serve.models.fit.speed import read_rate
from ..services import PageServices
from ..shelf import Shelf

Name = Annotated[Text, Field(min_length=1, max_length=512)]

# What the processor reads a second: measured once, when somebody first looks.
pace = functools.cache(read_rate)


class Named(BaseModel):
    """A body that names a model."""

    model_config = ConfigDict(extra="forbid", strict=True)
    model: Name


class Look(NamedTuple):
    """/v1/memory (None: the models are elsewhere), /v1/models, and the default model's name."""

    memory: dict[str, Any] | None
    cards: list[dict[str, Any]]
    default: str


async def look(services: PageServices, owner: str) -> Look:
    async with services.client(owner) as client:
        cards, health = await client.models(), await client.health()
        try:
            return Look(await client.memory(), cards, health["model"])
        except ApiError as error:
            if error.code != "not_supported":
                raise
            return Look(None, cards, health["model"])


async def shelf_of(services: PageServices, owner: str) -> Shelf:
    """Raises NotSupportedError where the models are elsewhere."""
    memory, cards, _ = await look(services, owner)
    if memory is None:
        raise NotSupportedError("The models are on another server, which fetches its own.", "model")
    return Shelf(memory, cards, await asyncio.to_thread(pace))
