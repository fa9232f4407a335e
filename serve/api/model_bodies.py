"""Models and the server's health as pydantic models."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ..engine.request import ModelInfo
from .dialects import EFFORTS


class ModelMeta(BaseModel):
    """What a client may want to know before it asks. `n_ctx` bounds prompt and reply together, in tokens.

    `reasoning_efforts` says how many tokens of thought each word stands for; null: as many as fit.
    """

    n_ctx: int
    n_params: int
    n_threads: int
    deterministic: bool
    reasoning_efforts: dict[str, int | None]

    @classmethod
    def of(cls, info: ModelInfo) -> ModelMeta:
        return cls(
            n_ctx=info.n_ctx,
            n_params=info.n_params,
            n_threads=info.n_threads,
            deterministic=info.deterministic,
            reasoning_efforts=dict(EFFORTS),
        )


class Capabilities(BaseModel):
    """What a model may be asked for, and which engine computes it. Null: known once it is loaded."""

    engine: str
    reasoning: bool | None
    tools: bool = True
    json_schema: bool = True
    logprobs: bool = True
    fork: bool = True
    deterministic: bool | None = None


class ModelCard(BaseModel):
    """A model that could be asked now. `meta` is null until it is loaded; `error` says why it failed.

    `context_length` is what it was trained for, in tokens; each takes `kv_bytes_per_token` of memory.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    state: Literal["unloaded", "loading", "loaded", "failed"] = "loaded"
    error: str | None = None
    aliases: list[str] = []
    source: str | None = None
    quant: str | None = None
    size_bytes: int | None = None
    context_length: int | None = None
    kv_bytes_per_token: int | None = None
    capabilities: Capabilities | None = None
    meta: ModelMeta | None


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """`status` is ok, or what the engine is doing instead; `detail` says why where it failed. `waiting` requests
    to any model of this machine's wait for a place.
    """

    status: str
    model: str
    restarts: int
    waiting: int = 0
    detail: str | None = None
