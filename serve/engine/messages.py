"""What crosses the pipe between parent and child, as msgpack. No pickle: the parent runs nothing the child says."""

from __future__ import annotations

import msgspec

from .request import Event, GenerateRequest, ModelInfo, PrepareRequest


class Abort(msgspec.Struct, frozen=True, tag="abort"):
    """The owner of a request has gone."""

    request_id: str


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """End after the step that runs now."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded; requests may come."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed"):
    """The model cannot be loaded; the child ends. `message` is one line fit for a person."""

    message: str


class EngineStats(msgspec.Struct, frozen=True):
    """How full the engine is, and what it has done since it started.

    `sequences` counts those a request occupies, `residents` idle ones too, as does `kv_cells_used`, where
    a cell that several share counts once. `*_total` only ever grow.
    """

    waiting: int = 0
    running: int = 0
    sequences: int = 0
    kv_cells: int = 0
    kv_cells_used: int = 0
    predicted_step_s: float = 0.0
    preparing: int = 0
    residents: int = 0
    host_bytes: int = 0
    host_max_bytes: int = 0
    host_entries: int = 0
    n_threads: int = 0
    steps_total: int = 0
    rows_total: int = 0
    prompt_tokens_total: int = 0
    cached_tokens_total: int = 0
    prepared_tokens_total: int = 0
    predicted_tokens_total: int = 0
    reasoning_tokens_total: int = 0
    drafted_tokens_total: int = 0
    accepted_tokens_total: int = 0
    evictions_total: int = 0
    restores_total: int = 0
    restore_s_total: float = 0.0
    restore_s_max: float = 0.0
    parkings_total: int = 0
    interrupts_total: int = 0


class StepReport(msgspec.Struct, frozen=True, tag="step"):
    """All that one step brought, for all requests. Sent without events too: it is the heartbeat."""

    events: list[Event]
    stats: EngineStats


Command = GenerateRequest | PrepareRequest | Abort | Shutdown
Reply = Ready | LoadFailed | StepReport

command_decoder = msgspec.msgpack.Decoder(Command)
reply_decoder = msgspec.msgpack.Decoder(Reply)


def encode(message: Command | Reply) -> bytes:
    """Raises UnicodeEncodeError for text with lone surrogates."""
    return msgspec.msgpack.encode(message)
