"""Chooses how a model is loaded here: context, cache type, layers on the graphics card. Or says why it is not."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ...engine.config import KvType
from ...engine.host_memory import fits_kv_type, whole_cells
from ...errors import ModelLoadError, NotEnoughMemoryError
from ..gguf.info import GgufInfo
from ..sizes import human
from .machine import Machine
from .memory import Estimate, default_cells, estimate

# What is left to the rest of the machine: a tenth of what is free, and a gigabyte at most.
RESERVE_SHARE, RESERVE_MOST = 10, 1 << 30
# R1 thinks in up to 32k tokens; below 8k a long thought does not fit, so 8-bit keys and values come first.
CONTEXTS = (32_768, 16_384, 8192, 4096, 2048)
LONG_ENOUGH = 8192


@dataclass(frozen=True)
class Plan:
    """Fields of EngineConfig, what they will take, and a sentence that says so before the model is loaded."""

    n_ctx: int
    n_cells: int
    kv_type: KvType
    n_gpu_layers: int
    estimate: Estimate
    sentence: str


def plan(
    info: GgufInfo,
    machine: Machine,
    *,
    n_ctx: int | None = None,
    n_seq_max: int = 16,
    kv_type: KvType | None = None,
    n_gpu_layers: int | None = None,
    n_cells: int | None = None,
) -> Plan:
    """The first of these that fits; what was asked for is kept.

    Contexts of 32k, 16k and 8k tokens (no more than the model was trained for) with 16-bit keys and values, the
    same with 8 bits, then 4k and 2k with 16 or 8. For each of them: every layer on the graphics cards, then as
    many as fit there, then none. Never 4 bits, which cost accuracy, unless asked for. The pool of cells that
    requests share is what the engine would make by itself, as far as it fits, and a context at least. Raises
    NotEnoughMemoryError, with numbers and a command that helps; ModelLoadError for a `kv_type` it cannot have.
    """
    if kv_type and not _takes(info, kv_type):
        raise ModelLoadError(
            f"{info.name} has heads of {info.key_length} numbers, and {kv_type} stores 32 together. "
            f"Use: r1chat run {shlex.quote(str(info.path))} --kv-type f16"
        )
    planner = _Planner(info, machine, n_seq_max, n_cells)
    least: Plan | None = None
    for context, kind in _contexts_and_kinds(info, n_ctx, kv_type):
        for layers in _layers(info, machine, n_gpu_layers):
            least = planner.plan(context, kind, layers)
            if planner.fits(least.estimate):
                return least
    assert least is not None, "one context at least was tried"
    asked_too_much = n_ctx is not None or n_cells is not None or n_gpu_layers is not None
    raise planner.refusal(least, shorter=_shorter(info, machine) if asked_too_much else None)


def _shorter(info: GgufInfo, machine: Machine) -> Plan | None:
    """What fits where nothing is asked for."""
    try:
        return plan(info, machine)
    except NotEnoughMemoryError:
        return None


def _contexts_and_kinds(info: GgufInfo, n_ctx: int | None, kv_type: KvType | None) -> Iterator[tuple[int, KvType]]:
    kinds = [kv_type] if kv_type else [kind for kind in _KINDS if _takes(info, kind)]
    if n_ctx is not None:
        yield from ((n_ctx, kind) for kind in kinds)
        return
    longest = min(info.context_length, CONTEXTS[0])
    contexts = [longest, *(length for length in CONTEXTS if length < longest)]
    for kind in kinds:
        yield from ((length, kind) for length in contexts if length >= LONG_ENOUGH)
    for length in contexts:
        yield from ((length, kind) for kind in kinds if length < LONG_ENOUGH)


_KINDS: tuple[KvType, ...] = ("f16", "q8_0")


def _takes(info: GgufInfo, kind: KvType) -> bool:
    return fits_kv_type(info.key_length, kind) and fits_kv_type(info.value_length, kind)


def _layers(info: GgufInfo, machine: Machine, asked: int | None) -> Iterator[int]:
    """Numbers of layers to put on graphics cards, most first; the output matrix counts as one."""
    most = info.block_count + 1
    if not machine.gpus or asked == 0:
        yield 0
    elif asked is not None:
        yield min(asked, most) if asked > 0 else most
    else:
        yield from range(most, -1, -1)


@dataclass(frozen=True)
class _Planner:
    info: GgufInfo
    machine: Machine
    n_seq_max: int
    n_cells: int | None

    def plan(self, n_ctx: int, kv_type: KvType, n_gpu_layers: int) -> Plan:
        """With the pool of cells that the engine would make, or a half or a quarter of it and so on where that fits."""
        if self.n_cells:  # no request can have more than all there are
            n_ctx = min(n_ctx, whole_cells(self.n_cells))
        cells = self.n_cells or self._pool(n_ctx, kv_type)
        least = self.n_cells or n_ctx
        needs = self._needs(n_ctx, kv_type, n_gpu_layers, cells)
        while cells > least and not self.fits(needs):
            cells = max(least, cells // 2)
            needs = self._needs(n_ctx, kv_type, n_gpu_layers, cells)
        said = [self._memory(needs), f"{context_words(n_ctx)} context"]
        if n_gpu_layers:
            n_blocks = self.info.block_count
            said.append(f"{min(n_gpu_layers, n_blocks)} of {n_blocks} layers on the graphics card")
        if kv_type != "f16":
            said.append(f"cache in {kv_type}")
        return Plan(n_ctx, whole_cells(cells), kv_type, n_gpu_layers, needs, "; ".join(said))

    def _needs(self, n_ctx: int, kv_type: KvType, n_gpu_layers: int, n_cells: int) -> Estimate:
        return estimate(
            self.info,
            n_ctx=n_ctx,
            n_seq_max=self.n_seq_max,
            kv_type=kv_type,
            n_gpu_layers=n_gpu_layers,
            n_cells=whole_cells(n_cells),
        )

    def fits(self, needs: Estimate) -> bool:
        on_devices = sum(usable(gpu.free) for gpu in self.machine.gpus)
        return self._on_host(needs) <= usable(self.machine.ram_available) and needs.device <= on_devices

    def refusal(self, least: Plan, *, shorter: Plan | None) -> NotEnoughMemoryError:
        text = (
            f"{self.info.name} needs {human(least.estimate.total)} for a context of {least.n_ctx} tokens, and may "
            f"take {self._free()}. "
        )
        if shorter:
            text += f"With less it fits: r1chat run {shlex.quote(str(self.info.path))} --ctx {shorter.n_ctx}"
        else:
            text += "Choose a smaller model or quantisation: r1chat list"
        return NotEnoughMemoryError(text, needed=least.estimate.total, available=self.machine.ram_available)

    def _pool(self, n_ctx: int, kv_type: KvType) -> int:
        available = self.machine.ram_available
        return default_cells(self.info, n_ctx=n_ctx, n_seq_max=self.n_seq_max, kv_type=kv_type, available=available)

    def _memory(self, needs: Estimate) -> str:
        """Such as "needs 5.9 GB of 7.6 GB free"."""
        text = f"needs {human(self._on_host(needs))} of {human(self.machine.ram_available)} free"
        if needs.device and not self._is_unified:
            names = " and ".join(gpu.name for gpu in self.machine.gpus)
            text += f", and {human(needs.device)} of {human(self._free_on_devices)} on {names}"
        return text

    def _free(self) -> str:
        """Such as "6.8 GB of the 7.6 GB that are free"."""
        available = self.machine.ram_available
        text = f"{human(usable(available))} of the {human(available)} that are free"
        if self.machine.gpus and not self._is_unified:
            text += f", besides {human(self._free_on_devices)} on graphics cards"
        return text

    def _on_host(self, needs: Estimate) -> int:
        return needs.total if self._is_unified else needs.host

    @property
    def _free_on_devices(self) -> int:
        return sum(gpu.free for gpu in self.machine.gpus)

    @property
    def _is_unified(self) -> bool:
        """The graphics card has no memory of its own."""
        return bool(self.machine.gpus) and all(gpu.unified for gpu in self.machine.gpus)


def usable(free: int) -> int:
    """What a model may take of so many free bytes."""
    return free - min(free // RESERVE_SHARE, RESERVE_MOST)


def context_words(n_tokens: int) -> str:
    """32k of 32768, 5000-token of 5000."""
    return f"{n_tokens // 1024}k" if n_tokens % 1024 == 0 else f"{n_tokens}-token"
