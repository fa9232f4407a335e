"""Draws completions from a server, which is given the policy's weights as a GGUF every so many steps."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from ...serve.client import Client
from ...serve.errors import R1ChatError
from ...serve.models.gguf.adapter_writer import write_adapter
from ..errors import DistillError
from ..hf.adapter import read_lora
from ..hf.gguf import export_gguf, read_model
from ..host import Host, Served
from ..retries import Retries
from ..sft.formats import write_format
from ..sft.rows import RowEncoder
from .job import GrpoJob
from .sampler import Completion, Draw

T = TypeVar("T")

_AT_ONCE = 64  # completions that a request may have, and that the server computes side by side
_IN_FLIGHT = 128  # which it takes before it says that its queue is full
_SILENCE_S = 900.0


@contextmanager
def draws_by_server(job: GrpoJob, host: Host) -> Iterator[Draw]:
    """Draws by servers of `host`, while the block runs. Their log probabilities are the draws' own, so that trl can
    tell how far the policy has moved since; but for another temperature than 1 a server has none.

    Raises DistillError for settings with which old weights would be taken for new ones.
    """
    if job.settings.sync_every > 1 and job.settings.temperature != 1.0:
        raise DistillError(
            "Completions of older weights need their log probabilities, and servers tell those of temperature 1 alone. "
            "In the recipe, set: sync_every: 1"
        )
    place = job.folder / "served"
    with _Servers(host) as servers:
        shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
        try:
            yield _Drawing(job, servers, place)
        finally:
            servers.stop()
            shutil.rmtree(place, ignore_errors=True)


class _Drawing:
    """A Draw, by weights of a step that is less than `sync_every` behind."""

    def __init__(self, job: GrpoJob, servers: _Servers, place: Path) -> None:
        self._job, self._servers, self._place = job, servers, place
        self._encoder = RowEncoder(job.base)
        self._synced: int | None = None
        longest = max((len(self._encoder.encode_prompt(row.prompt)) for row in job.problems), default=0)
        self._context = longest + job.settings.max_completion_tokens

    def __call__(self, model: Any, prompts: Sequence[str], step: int) -> list[Completion]:
        """Raises DistillError."""
        try:
            if self._synced is None or not self._synced <= step < self._synced + self._job.settings.sync_every:
                self._sync(model, step)
            return self._servers.wait(self._ask(prompts, step))
        except (R1ChatError, ValueError) as error:
            if isinstance(error, DistillError):
                raise
            raise DistillError(
                f"The server that draws completions gave none ({error!s:.200}). Without it: in the recipe, set "
                "rollouts: generate"
            ) from error

    def _sync(self, model: Any, step: int) -> None:
        older = list(self._place.glob("[0-9]*"))
        folder = self._place / f"{step}-{len(older)}"
        weights = _write(model, self._job, self._place, folder)
        self._servers.serve(*weights, at_once=min(_AT_ONCE, self._job.batch_size), context=self._context)
        self._synced = step
        for unused in older:
            shutil.rmtree(unused)

    async def _ask(self, prompts: Sequence[str], step: int) -> list[Completion]:
        """One request for each run of equal prompts, as they stand side by side."""
        groups = [(prompt, len(list(run))) for prompt, run in groupby(prompts)]
        parts = [(prompt, min(_AT_ONCE, count - at)) for prompt, count in groups for at in range(0, count, _AT_ONCE)]
        places = asyncio.Semaphore(max(1, _IN_FLIGHT // max(count for _, count in parts)))
        served, retries = self._servers.served, Retries()
        async with Client(served.url, model=served.model, timeout=_SILENCE_S) as client:

            async def ask(at: int, prompt: str, count: int) -> list[Completion]:
                async with places:
                    seed = (self._job.seed * 1_000_003 + step) * 100_003 + at * _AT_ONCE
                    body = await retries.answer(client.continue_text, **self._body(prompt, count, seed))
                    return self._read(prompt, body)

            found = await asyncio.gather(*(ask(at, *part) for at, part in enumerate(parts)))
        return [completion for part in found for completion in part]

    def _body(self, prompt: str, count: int, seed: int) -> dict[str, Any]:
        settings, form = self._job.settings, self._encoder.format
        return {
            "prompt": f"{form.before}{prompt}{form.after}", "n": count, "seed": seed,
            "max_tokens": settings.max_completion_tokens, "temperature": settings.temperature,
            "top_p": settings.top_p, "logprobs": 0, "return_token_ids": True, "thinking_control": False,
            "priority": "batch",
        }  # fmt: skip

    def _read(self, prompt: str, body: dict[str, Any]) -> list[Completion]:
        expected = self._encoder.encode_prompt(prompt)
        return [self._completion(expected, choice) for choice in body["choices"]]

    def _completion(self, expected: list[int], choice: dict[str, Any]) -> Completion:
        if choice["prompt_token_ids"] != expected:
            raise DistillError(
                f"The server reads the problem {self._encoder.decode(expected)!r:.120} as other tokens than the "
                "training. Without it: in the recipe, set rollouts: generate"
            )
        ids = choice["token_ids"]
        ended = choice["finish_reason"] == "stop"
        logprobs = choice["token_id_logprobs"] if self._job.settings.temperature == 1.0 else None
        text = self._encoder.decode(ids[:-1] if ended else ids)
        return Completion(expected, ids, text, "stop" if ended else "length", logprobs)


class _Servers:
    """One of the host's servers after another, on an event loop of their own: trl waits for nobody's loop."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="rollouts", daemon=True)
        self._running = AsyncExitStack()
        self.served: Served

    def __enter__(self) -> _Servers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of `work` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def serve(self, model: Path, adapter: Path | None, **options: Any) -> None:
        """In the place of the one before, which is stopped first: there may be memory for one alone."""
        self.wait(self._serve(model, adapter=adapter, **options))

    def stop(self) -> None:
        """Of the last one."""
        self.wait(self._running.aclose())

    async def _serve(self, model: Path, **options: Any) -> None:
        await self._running.aclose()
        self.served = await self._running.enter_async_context(self._host.serve(model, **options))


def _write(model: Any, job: GrpoJob, place: Path, folder: Path) -> tuple[Path, Path | None]:
    """The weights as they are now: a GGUF in `folder`, or the base's in `place`, written once, and the adapter's.

    Raises ValueError for weights that a GGUF cannot hold.
    """
    folder.mkdir(parents=True)
    if job.method == "full":
        whole = folder / "policy"
        model.save_pretrained(str(whole))
        write_format(job.base, whole)
        served = export_gguf(whole, folder / "policy.gguf", "F16")
        shutil.rmtree(whole)
        return served, None
    base = place / "base.gguf"
    if not base.exists():
        export_gguf(job.base, base, "F16")
    model.save_pretrained(str(folder), selected_adapters=["default"])
    pairs, scale = read_lora(folder)
    return base, write_adapter(folder / "adapter.gguf", spec=read_model(job.base).spec, pairs=pairs, scale=scale)
