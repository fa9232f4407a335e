"""What crosses the pipe between parent and child, as msgpack. No pickle: the parent runs nothing the child says."""

from __future__ import annotations

from typing import Literal

import msgspec

from .request import Event, GenerateRequest, ModelInfo, PrepareRequest, Segment


class Abort(msgspec.Struct, frozen=True, tag="abort"):
    """The owner of a request has gone."""

    request_id: str


class Control(msgspec.Struct, frozen=True, tag="control"):
    """The owner of a running request wants its thought to end now, or to go on when it would have ended."""

    request_id: str
    action: Literal["answer_now", "think_more"]


class TokenizeQuery(msgspec.Struct, frozen=True, tag="tokenize"):
    """What tokens a text becomes. Answered by QueryAnswer under the same `query_id`."""

    query_id: str
    segments: tuple[Segment, ...]


class PiecesQuery(msgspec.Struct, frozen=True, tag="pieces"):
    """What bytes tokens stand for. Answered by QueryAnswer under the same `query_id`."""

    query_id: str
    tokens: tuple[int, ...]


class QueryAnswer(msgspec.Struct, frozen=True, tag="answer"):
    """`pieces[i]` are the bytes of `tokens[i]`; of control tokens their text. `error` where there is no answer."""

    query_id: str
    tokens: tuple[int, ...] = ()
    pieces: tuple[bytes, ...] = ()
    error: str = ""


class Controlled(msgspec.Struct, frozen=True, tag="controlled"):
    """Answer to a Control: `done` False where the request has ended, or has no thought that goes on."""

    request_id: str
    done: bool


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """End after the step that runs now."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded; requests may come."""

    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed"):
    """The model cannot be loaded; the child ends. `message` is one line fit for a person.

    Where memory was short, `needed` and `available` are in bytes; else 0.
    """

    message: str
    needed: int = 0
    available: int = 0


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


def with_counts_of(past: EngineStats, stats: EngineStats) -> EngineStats:
    """`stats`, with what `past` counted added: an engine that went on where another had ended."""
    counts = {name: getattr(stats, name) + getattr(past, name) for name in COUNTERS}
    return msgspec.structs.replace(stats, **counts)


COUNTERS = tuple(name for name in EngineStats.__struct_fields__ if name.endswith("_total"))


class StepReport(msgspec.Struct, frozen=True, tag="step"):
    """All that one step brought, for all requests. Sent without events too: it is the heartbeat.

    `dues` as the engine's: readers get the events of those requests not before that moment.
    """

    events: list[Event]
    stats: EngineStats
    dues: dict[str, float] = {}


Command = GenerateRequest | PrepareRequest | Abort | Control | TokenizeQuery | PiecesQuery | Shutdown
Reply = Ready | LoadFailed | StepReport | QueryAnswer | Controlled

command_decoder = msgspec.msgpack.Decoder(Command)
reply_decoder = msgspec.msgpack.Decoder(Reply)


def encode(message: Command | Reply) -> bytes:
    """Raises UnicodeEncodeError for text with lone surrogates."""
    return msgspec.msgpack.encode(message)
