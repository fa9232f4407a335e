"""What a model would take here and how fast it would write, from a few numbers: its file need not be here.

Rough by design: plan.py knows the file's header and decides; this says beforehand whether a download is worth it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...engine.config import KvType
from ...engine.host_memory import kv_bytes
from .machine import Machine
from .memory import PROCESS_BYTES
from .plan import CONTEXTS, LONG_ENOUGH, usable

# "short": with less context or 8-bit keys and values; "later": once other programs have left memory free.
Verdict = Literal["fits", "short", "later", "never"]
# llama.cpp's buffers and the tables of a vocabulary of 152,000 entries; small models have small ones.
BUFFER_BYTES = 160 << 20


@dataclass(frozen=True)
class Outlook:
    """Bytes with `n_ctx` tokens of context. `on_cards`: all of it would lie on graphics cards."""

    verdict: Verdict
    n_ctx: int
    kv_type: KvType
    weights: int
    kv: int
    total: int
    on_cards: bool = False


def outlook(weights: int, kv_bytes_per_token: int, longest: int, machine: Machine) -> Outlook:
    """For a model of so many bytes whose cache takes `kv_bytes_per_token` in 16 bits; `longest` is its context.

    Of the contexts that the planner tries the first that fits; where none does, what the shortest useful one takes.
    """
    contexts = [min(longest, CONTEXTS[0]), *(length for length in CONTEXTS if length < min(longest, CONTEXTS[0]))]
    kinds: tuple[KvType, ...] = ("f16", "q8_0")
    long = [(kind, n_ctx) for kind in kinds for n_ctx in contexts if n_ctx >= LONG_ENOUGH]
    short = [(kind, n_ctx) for n_ctx in contexts if n_ctx < LONG_ENOUGH for kind in kinds]
    tried = [_needs(weights, kv_bytes_per_token, n_ctx, kind) for kind, n_ctx in long + short]
    for needs in tried:
        if needs.total <= _room(machine, machine.ram_available):
            verdict: Verdict = "fits" if needs is tried[0] else "short"
            return _placed(needs, verdict, machine)
    useful = next(
        (needs for needs in reversed(tried) if needs.n_ctx >= LONG_ENOUGH and needs.kv_type == "f16"), tried[0]
    )
    return _placed(useful, "later" if useful.total <= _room(machine, machine.ram_total) else "never", machine)


def _needs(weights: int, kv_bytes_per_token: int, n_ctx: int, kv_type: KvType) -> Outlook:
    kv = n_ctx * kv_bytes(kv_bytes_per_token // 2, kv_type)
    total = weights + kv + PROCESS_BYTES + min(BUFFER_BYTES, weights)
    return Outlook("fits", n_ctx, kv_type, weights, kv, total)


def _room(machine: Machine, ram: int) -> int:
    """What a model may take, of `ram` bytes and of the cards that have memory of their own."""
    return usable(ram) + _on_cards(machine)


def _on_cards(machine: Machine) -> int:
    return sum(usable(gpu.free) for gpu in machine.gpus if not gpu.unified)


def _placed(needs: Outlook, verdict: Verdict, machine: Machine) -> Outlook:
    unified = any(gpu.unified for gpu in machine.gpus)
    on_cards = verdict in ("fits", "short") and (unified or needs.total <= _on_cards(machine))
    return Outlook(verdict, needs.n_ctx, needs.kv_type, needs.weights, needs.kv, needs.total, on_cards)
