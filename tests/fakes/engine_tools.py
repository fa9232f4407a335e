"""Short ways to say what the engine's tests keep saying."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripted_runner import ScriptedRunner

from r1chat.serve.engine.config import EngineConfig
from r1chat.serve.engine.engine import Engine
from r1chat.serve.engine.host_cache import HostCache
from r1chat.serve.engine.request import (
    Channel,
    Event,
    Failed,
    Finished,
    GenerateRequest,
    SamplingParams,
    Segment,
    TokenOutput,
)

SCRIPTED = "scripted_runner:ScriptedRunner"
OPENING = "<｜begin▁of▁sentence｜><｜User｜>"
CLOSING = "<｜Assistant｜><think>\n"


def request(request_id: str, text: str = "hello", **params: Any) -> GenerateRequest:
    """A chat request in R1's template, its thought opened by the prompt."""
    return GenerateRequest(
        request_id=request_id,
        prompt=(Segment(OPENING, True), Segment(text, False), Segment(CLOSING, True)),
        params=SamplingParams(**params),
        reasoning_open=True,
    )


def scripted_config(**args: Any) -> EngineConfig:
    return EngineConfig(runner=SCRIPTED, runner_args=args)


def scripted_engine(*, host_bytes: int = 0, **args: Any) -> tuple[Engine, ScriptedRunner]:
    runner = ScriptedRunner(scripted_config(**args))
    return Engine(runner, host=HostCache(host_bytes)), runner


def run(engine: Engine, requests: Iterable[GenerateRequest] = ()) -> dict[str, list[Event]]:
    """Steps until there is no work; the events of each request."""
    events: dict[str, list[Event]] = {}
    for each in requests:
        events[each.request_id] = [engine.add_request(each)]
    while engine.has_work:
        for event in engine.step():
            events.setdefault(event.request_id, []).append(event)
    return events


def text_of(events: Iterable[Event], channel: Channel) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenOutput) and event.channel is channel)


def finish_of(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished), events[-1]
    return events[-1]


def terminals(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, (Finished, Failed))]


def bundled_model() -> Path:
    """Where the bundled model lies in a checkout and in an installation."""
    import r1chat.serve.models.bundled as bundled

    return Path(next(iter(bundled.__path__))) / "r1chat-demo.gguf"
