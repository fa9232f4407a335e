"""How much room models have together: memory, graphics cards, a number. Says who fits beside whom; evicts nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...engine.host_memory import available_memory
from ...errors import NotEnoughMemoryError
from ..fit.machine import Machine
from .resident import ModelSpec, Resident

# Of what is free when the server starts, models get so much: the rest is the system's.
MEMORY_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What all models may take together. `memory_bytes` None: a share of what is free at the start.

    `keep_alive_s` None: models loaded on request leave after five idle minutes, the default one never.
    `patience_s` is how long a request waits until idle models can make room for its own.
    """

    memory_bytes: int | None = None
    max_models: int | None = None
    keep_alive_s: float | None = None
    patience_s: float = 30.0


class Room:
    """`machine` is as it was before any model was loaded; `free` tells what could be had now, in bytes.

    Memory that cards share with the machine is counted as the machine's.
    """

    def __init__(self, limits: Limits, machine: Machine, free: Callable[[], int] = available_memory) -> None:
        self.bytes = limits.memory_bytes or int(machine.ram_available * MEMORY_SHARE)
        cards = [gpu for gpu in machine.gpus if not gpu.unified]
        self.device_bytes = int(sum(gpu.free for gpu in cards) * MEMORY_SHARE)
        self.max_models = limits.max_models
        self._is_bound = limits.memory_bytes is not None
        self._free = free

    def host_bytes(self, spec: ModelSpec) -> int:
        """What is set aside for it of the machine's memory."""
        return spec.needs() - self._on_cards(spec)

    def fits(self, spec: ModelSpec, residents: Sequence[Resident], *, without: Sequence[Resident] = ()) -> bool:
        """Whether it fits beside the residents, were some of them gone. Of a model alone its plan has said so."""
        needs = self.host_bytes(spec)
        others = [one for one in residents if one.n_reserved and one not in without]
        if others and self.max_models is not None and len(others) >= self.max_models:
            return False
        if others and sum(one.n_bytes for one in others) + needs > self.bytes:
            return False
        if others and sum(self._on_cards(one.spec) for one in others) + self._on_cards(spec) > self.device_bytes:
            return False
        coming = sum(one.n_reserved for one in others if one.state == "loading")
        return needs <= self._free() + sum(one.n_bytes for one in without) - coming

    def refuse_what_never_fits(self, spec: ModelSpec, residents: Sequence[Resident]) -> None:
        """Raises NotEnoughMemoryError where no waiting would help."""
        needs = self.host_bytes(spec)
        if self._is_bound and needs > self.bytes:
            raise _refusal(
                f"{spec.id} needs {_gigabytes(needs)}, and models may take {_gigabytes(self.bytes)} here. "
                f"Allow more: r1chat serve --memory {-(-needs // 2**30)}G",
                needs,
                self.bytes,
            )
        most = self._free() + sum(one.n_bytes for one in residents if one.n_reserved)
        if needs > most:
            raise _refusal(
                f"{spec.id} needs {_gigabytes(needs)}, and without any other model {_gigabytes(most)} of memory would "
                "be free now. Choose a smaller one: r1chat list",
                needs,
                most,
            )

    def _on_cards(self, spec: ModelSpec) -> int:
        return spec.estimate.device if spec.estimate and self.device_bytes else 0


def _refusal(message: str, needed: int, available: int) -> NotEnoughMemoryError:
    return NotEnoughMemoryError(message, needed=needed, available=available)


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
