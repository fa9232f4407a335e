"""The child process: commands in, one report per step out.

The main thread owns the engine. A second thread reads the pipe and tokenises, so that a megabyte of
prompt holds nobody up. The end of the pipe means that the parent is gone: the child ends at once.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread

from ..errors import EngineError, NotEnoughMemoryError, R1ChatError
from .begun import Beginning
from .config import EngineConfig
from .engine import Engine, failed
from .host_cache import HostCache, cache_key, default_max_bytes, load_entries, save_entries
from .link import GROUP_SIGNALS
from .messages import (
    Abort,
    Command,
    Control,
    Controlled,
    LoadFailed,
    PiecesQuery,
    Ready,
    Reply,
    Shutdown,
    StepReport,
    TokenizeQuery,
    command_decoder,
    encode,
)
from .model_runner import load_runner
from .queries import QueryThread
from .request import (
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerateRequest,
    PrepareRequest,
    Priority,
    Segment,
    Timings,
    Usage,
)
from .side_lane import SideLane
from .speculation import PromptLookup, Speculator

logger = logging.getLogger(__name__)

SIGTERM_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Tokenized:
    request: GenerateRequest | PrepareRequest
    tokens: list[int]
    beginning: Beginning | None = None


_Item = _Tokenized | Failed | Finished | Abort | Control | Shutdown


def main(config: EngineConfig, pipe: Connection) -> None:
    """Entry of the spawned process. Ctrl-C, a terminal that closes and a service manager's SIGTERM reach the whole
    group, but the parent decides what they mean.
    """
    worker = Worker(config, pipe)
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: worker.expect_shutdown())
    if hasattr(signal, "pthread_sigmask"):
        # the parent held them back until now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    worker.run()


class Worker:
    def __init__(self, config: EngineConfig, pipe: Connection) -> None:
        self._config = config
        self._pipe = pipe
        self._inbox: SimpleQueue[_Item] = SimpleQueue()
        self._engine: Engine | None = None
        self._cache_key = ""
        self._told_to_stop = Flag()
        self._sending = Lock()
        self._queries = QueryThread(self._send)
        self._side_lane = SideLane(self._tokenized, self._enter)
        self._last_prompt: tuple[tuple[Segment, ...], list[int]] = ((), [])

    def run(self) -> None:
        # reading begins before loading, so that a parent that dies meanwhile is noticed
        Thread(target=self._read, name="commands", daemon=True).start()
        try:
            self._engine = engine = self._load()
        except Exception as error:
            logger.debug("loading failed", exc_info=True)
            self._send(_load_failed(error))
            return
        self._send(Ready(engine.info))
        self._serve(engine)
        self._keep_cache(engine)
        engine.close()

    def expect_shutdown(self) -> None:
        """Ends the child if its parent does not do so soon."""
        Thread(target=self._end_unless_told, name="sigterm", daemon=True).start()

    def _end_unless_told(self) -> None:
        if not self._told_to_stop.wait(SIGTERM_GRACE_S):
            os._exit(0)

    def _load(self) -> Engine:
        config = self._config
        runner = load_runner(config)
        # Behind the model: its share is one of what the weights have left.
        host = HostCache(default_max_bytes() if config.host_cache_bytes is None else config.host_cache_bytes)
        if config.cache_folder and config.model_path:
            # of folders' models the type of number is chosen at load
            kind = f"{config.kv_type} {runner.info.description} {runner.info.gpu_offload}"
            self._cache_key = cache_key(config.model_path, kind, config.adapter)
            for tokens, scope, state in load_entries(config.cache_folder, self._cache_key, host.max_bytes):
                host.put(tokens, scope, state)
        return Engine(runner, host=host, make_speculator=_speculator if config.speculate else None)

    def _keep_cache(self, engine: Engine) -> None:
        """Conversations outlive the engine on disk, where that was asked for."""
        if not self._cache_key or not self._config.cache_folder:
            return
        try:
            save_entries(self._config.cache_folder, self._cache_key, engine.put_by())
        except OSError as error:
            logger.error("the prompt cache cannot be kept: %s", error)

    def _serve(self, engine: Engine) -> None:
        while True:
            events: list[Event] = []
            for item in self._arrivals(wait=not engine.has_work):
                if isinstance(item, Shutdown):
                    return
                if isinstance(item, Control):
                    self._send(Controlled(item.request_id, engine.control(item.request_id, item.action)))
                else:
                    events += _apply(engine, item)
            if events:
                # before the step: whoever asked hears at once that the request is in
                self._send(StepReport(events, engine.stats()))
            self._send(StepReport(engine.step(), engine.stats(), engine.dues))

    def _arrivals(self, *, wait: bool) -> Iterator[_Item]:
        if wait:
            yield self._inbox.get()
        while True:
            try:
                yield self._inbox.get_nowait()
            except Empty:
                return

    def _read(self) -> None:
        """Never returns: without this thread the child would be deaf, so any end of it is the child's."""
        try:
            while True:
                self._take(command_decoder.decode(self._pipe.recv_bytes()))
        except (EOFError, OSError):
            os._exit(0)
        except BaseException:
            logger.exception("reading commands failed")
            os._exit(1)

    def _take(self, command: Command) -> None:
        """Into the inbox; a step that nobody needs any more, or not now, is cut short."""
        if isinstance(command, Shutdown):
            self._told_to_stop.set()
            self._inbox.put(command)
            return
        assert self._engine is not None, "requests follow Ready"
        if isinstance(command, Abort):
            if self._side_lane.forget(command.request_id):
                # the engine never hears of it, and somebody may wait for its end
                self._inbox.put(Finished(command.request_id, FinishReason.ABORT, Usage(), Timings()))
                return
            self._inbox.put(command)
            self._engine.give_way(aborted=command.request_id)
            return
        if isinstance(command, Control):
            self._inbox.put(command)
            return
        if isinstance(command, (TokenizeQuery, PiecesQuery)):
            self._queries.ask(self._engine, command)
            return
        if isinstance(command, GenerateRequest) and command.grammar and not self._engine.has_compiled(command.grammar):
            self._side_lane.put(command)
        else:
            self._enter(self._tokenized(command))

    def _enter(self, item: _Tokenized | Failed) -> None:
        assert self._engine is not None, "requests follow Ready"
        self._inbox.put(item)
        request = item.request if isinstance(item, _Tokenized) else None
        if isinstance(request, GenerateRequest) and request.priority is not Priority.BACKGROUND:
            self._engine.give_way()

    def _tokenized(self, request: GenerateRequest | PrepareRequest) -> _Tokenized | Failed:
        assert self._engine is not None, "requests follow Ready"
        try:
            tokens = self._tokens(self._engine, request.prompt)
            if isinstance(request, PrepareRequest):
                return _Tokenized(request, tokens)
            return _Tokenized(request, tokens, self._engine.beginning(request))
        except R1ChatError as refusal:
            return failed(request.request_id, refusal)
        except Exception:
            # it fails alone: the end of this process would be that of all others
            logger.exception("request %s could not be made ready", request.request_id)
            error = EngineError("The request could not be made ready; the server's log says why.")
            return failed(request.request_id, error)

    def _tokens(self, engine: Engine, prompt: tuple[Segment, ...]) -> list[int]:
        """Several replies to one prompt come as so many requests in a row; it is read once."""
        known, tokens = self._last_prompt
        if prompt != known:
            tokens = engine.tokenize(prompt)
            self._last_prompt = (prompt, tokens)
        return tokens

    def _send(self, reply: Reply) -> None:
        data = encode(reply)
        try:
            with self._sending:
                self._pipe.send_bytes(data)
        except OSError:
            os._exit(0)


def _speculator(_: list[int]) -> Speculator:
    return Speculator(PromptLookup())


def _apply(engine: Engine, item: _Tokenized | Failed | Finished | Abort) -> list[Event]:
    if isinstance(item, (Failed, Finished)):
        return [item]
    if isinstance(item, Abort):
        return engine.abort(item.request_id)
    request = item.request
    if isinstance(request, PrepareRequest):
        engine.prepare(request, item.tokens)
        return []
    try:
        return [engine.add_request(request, item.tokens, item.beginning)]
    except R1ChatError as error:
        return [failed(request.request_id, error)]


def _load_failed(error: Exception) -> LoadFailed:
    if isinstance(error, NotEnoughMemoryError):
        return LoadFailed(_one_line(error), error.needed, error.available)
    return LoadFailed(_one_line(error))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, R1ChatError) else f"{type(error).__name__}: {text}"
