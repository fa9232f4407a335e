"""What crosses the pipe between parent and child, as msgpack. No pickle: the parent runs nothing the child says."""

from __future__ import annotations

import msgspec

from .request import Event, GenerateRequest, ModelInfo


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
    """How full the engine is. `sequences` counts those a request occupies, `kv_cells_used` idle ones too."""

    waiting: int = 0
    running: int = 0
    sequences: int = 0
    kv_cells: int = 0
    kv_cells_used: int = 0
    predicted_step_s: float = 0.0


class StepReport(msgspec.Struct, frozen=True, tag="step"):
    """All that one step brought, for all requests. Sent without events too: it is the heartbeat."""

    events: list[Event]
    stats: EngineStats


Command = GenerateRequest | Abort | Shutdown
Reply = Ready | LoadFailed | StepReport

command_decoder = msgspec.msgpack.Decoder(Command)
reply_decoder = msgspec.msgpack.Decoder(Reply)


def encode(message: Command | Reply) -> bytes:
    """Raises UnicodeEncodeError for text with lone surrogates."""
    return msgspec.msgpack.encode(message)
