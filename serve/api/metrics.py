"""GET /metrics: what the engine counts and what requests go through, in Prometheus' text format.

llama-server's names where the meaning is the same, r1chat_ for the rest. Everything belongs to one event
loop. The engines of all models count together, and those that have ended stay counted.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from ..engine.governor import ReasoningEnd
from ..engine.request import Channel, Finished, FinishReason, Priority, Timings, TokenOutput, Usage
from .error_bodies import ErrorBody
from .wire_errors import wire_error

E = TypeVar("E")

# name on the wire, name in EngineStats, what it is
COUNTERS = (
    ("llamacpp:prompt_tokens", "prompt_tokens_total", "Prompt tokens computed; those found in the cache do not count."),
    ("llamacpp:prompt_tokens_cached", "cached_tokens_total", "Prompt tokens that were in the cache already."),
    ("llamacpp:tokens_predicted", "predicted_tokens_total", "Tokens generated, thought and answer."),
    ("llamacpp:n_decode", "steps_total", "Forward passes."),
    ("r1chat_rows", "rows_total", "Rows of all forward passes."),
    ("r1chat_reasoning_tokens", "reasoning_tokens_total", "Generated tokens that were thought."),
    ("r1chat_prepared_tokens", "prepared_tokens_total", "Tokens computed ahead of a conversation's next turn."),
    ("r1chat_drafted_tokens", "drafted_tokens_total", "Tokens guessed from a request's own text and verified."),
    ("r1chat_accepted_tokens", "accepted_tokens_total", "Guessed tokens that were right."),
    ("r1chat_evictions", "evictions_total", "Idle conversations that had to leave the cache."),
    ("r1chat_restores", "restores_total", "Conversations that came back from the host cache."),
    ("r1chat_restore_seconds", "restore_s_total", "Time spent on bringing them back."),
    ("r1chat_parkings", "parkings_total", "Running requests that were set aside for want of room or rank."),
    ("r1chat_interrupts", "interrupts_total", "Forward passes that were broken off."),
    ("r1chat_restarts", "restarts", "Times an engine's process was replaced."),
    ("r1chat_model_loads", "model_loads", "Models that were loaded."),
    ("r1chat_model_unloads", "model_unloads", "Models that left: asked to, idle, or to make room."),
)
GAUGES = (
    ("r1chat_models", "models", "Models that are loaded."),
    ("llamacpp:requests_processing", "running", "Requests being computed."),
    ("llamacpp:requests_deferred", "waiting", "Requests waiting for a place."),
    ("r1chat_preparing", "preparing", "Next turns being computed ahead."),
    ("r1chat_sequences", "sequences", "Token runs in the cache that requests occupy."),
    ("r1chat_residents", "residents", "Token runs in the cache, idle ones too."),
    ("r1chat_kv_cells", "kv_cells", "Size of the cache in tokens."),
    ("r1chat_kv_cells_used", "kv_cells_used", "Cells in use; one that several share counts once."),
    ("r1chat_host_cache_bytes", "host_bytes", "Evicted conversations kept in host memory."),
    ("r1chat_host_cache_max_bytes", "host_max_bytes", "Bound of the host cache."),
    ("r1chat_host_cache_entries", "host_entries", "Conversations in the host cache."),
    ("r1chat_restore_max_seconds", "restore_s_max", "The longest restore so far."),
    ("r1chat_threads", "n_threads", "Threads that compute."),
)
FIRST_TOKEN_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
THOUGHT_TOKENS = (0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
BETWEEN_TOKENS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5)


class Metrics:
    """Counts what passes through watch() and, when asked, reads the engine's books beside it."""

    def __init__(self, engine_stats: Callable[[], dict[str, Any]]) -> None:
        self._registry = CollectorRegistry()
        self._speeds = _Speeds()
        self._registry.register(_EngineBooks(engine_stats))
        self._registry.register(self._speeds)
        self._requests = Counter(
            "r1chat_requests",
            "Requests that ended: stop, length, abort (the client left), or the code of an error.",
            ["reason", "priority"],
            registry=self._registry,
        )
        self._reasoning_ends = Counter(
            "r1chat_reasoning_end", "Thoughts that ended, by what ended them.", ["cause"], registry=self._registry
        )
        for cause in ReasoningEnd:  # from the start, so that a rate can be had of the first one
            self._reasoning_ends.labels(cause)
        self._thought_tokens = Histogram(
            "r1chat_thought_tokens", "Tokens of a thought.", buckets=THOUGHT_TOKENS, registry=self._registry
        )
        self._first_token = self._histogram("time_to_first_token", "Arrival to first token.", FIRST_TOKEN_S)
        self._first_answer = self._histogram("time_to_first_answer", "Arrival to end of thought.", FIRST_TOKEN_S)
        self._between_tokens = self._histogram("inter_token", "One piece of a reply to the next.", BETWEEN_TOKENS_S)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"r1chat_{name}_seconds", text, ["priority"], buckets=buckets, registry=self._registry)

    def page(self) -> bytes:
        """Everything, as the body of GET /metrics."""
        return generate_latest(self._registry)

    async def watch(self, events: AsyncGenerator[E, None], priority: Priority) -> AsyncGenerator[E, None]:
        """Passes one request's events on; closing it closes `events`."""
        clock = _Clock(self._first_token, self._first_answer, self._between_tokens, priority)
        reason = str(FinishReason.ABORT)
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TokenOutput):
                        clock.token(event.channel)
                    elif isinstance(event, Finished):
                        reason = str(event.reason)
                        self._speeds.add(event.usage, event.timings)
                        self._count_thought(event)
                    yield event
        except Exception as error:
            reason = wire_error(error).code or "error"
            raise
        finally:
            self._requests.labels(reason, priority).inc()

    def _count_thought(self, finished: Finished) -> None:
        if finished.reasoning_end is not None:
            self._reasoning_ends.labels(finished.reasoning_end).inc()
            self._thought_tokens.observe(finished.usage.reasoning_tokens)


class _Clock:
    """The moments of one reply."""

    def __init__(self, first: Histogram, answer: Histogram, between: Histogram, priority: Priority) -> None:
        self._first, self._answer, self._between = (h.labels(priority) for h in (first, answer, between))
        self._began = self._last = time.perf_counter()
        self._seen: set[Channel] = set()

    def token(self, channel: Channel) -> None:
        now = time.perf_counter()
        if self._seen:
            self._between.observe(now - self._last)
        else:
            self._first.observe(now - self._began)
        if channel is Channel.CONTENT and channel not in self._seen:
            self._answer.observe(now - self._began)
        self._seen.add(channel)
        self._last = now


class _EngineBooks(Collector):
    """EngineStats as they are at the moment of asking."""

    def __init__(self, engine_stats: Callable[[], dict[str, Any]]) -> None:
        self._engine_stats = engine_stats

    def collect(self) -> Iterator[Metric]:
        stats = self._engine_stats()
        for name, key, text in COUNTERS:
            yield CounterMetricFamily(name, text, stats[key])
        for name, key, text in GAUGES:
            yield GaugeMetricFamily(name, text, stats[key])
        ready = float(stats["state"] == "ready")
        yield GaugeMetricFamily(
            "r1chat_ready", "1 while the default model serves, or is away until it is asked.", ready
        )


class _Speeds(Collector):
    """Seconds that finished requests took, and the mean speeds that follow."""

    def __init__(self) -> None:
        self._prompt_s = self._predicted_s = 0.0
        self._n_prompt = self._n_predicted = self._n_longest = 0

    def add(self, usage: Usage, timings: Timings) -> None:
        self._prompt_s += timings.prefill_s
        self._predicted_s += timings.reasoning_s + timings.answer_s
        self._n_prompt += max(0, usage.prompt_tokens - usage.cached_tokens)
        self._n_predicted += usage.completion_tokens
        self._n_longest = max(self._n_longest, usage.prompt_tokens + usage.completion_tokens)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("llamacpp:prompt_seconds", "Time on prompts.", self._prompt_s)
        yield CounterMetricFamily("llamacpp:tokens_predicted_seconds", "Time on replies.", self._predicted_s)
        yield GaugeMetricFamily("llamacpp:n_tokens_max", "The longest prompt and reply so far.", self._n_longest)
        for name, tokens, seconds in (
            ("prompt", self._n_prompt, self._prompt_s),
            ("predicted", self._n_predicted, self._predicted_s),
        ):
            speed = tokens / seconds if seconds else 0.0
            yield GaugeMetricFamily(f"llamacpp:{name}_tokens_seconds", f"Mean {name} tokens per second.", speed)


def metrics_router(metrics: Metrics) -> APIRouter:
    """The route; the key guards it as it guards all others but /health."""
    router = APIRouter()

    @router.get(
        "/metrics",
        response_class=Response,
        responses={"200": {"content": {"text/plain": {"schema": {"type": "string"}}}}, "4XX": {"model": ErrorBody}},
    )
    async def read_metrics() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return router
