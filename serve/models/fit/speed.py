"""How fast a model would write here, roughly: every token reads all weights once, so memory sets the pace.

Measured for the processor; for graphics cards a class by their memory's size. Blocking; a tenth of a second.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from ...engine.cores import default_threads
from .machine import Machine
from .outlook import Outlook

# So much of what memory delivers a model reaches, from slow to fast: a guess round the one that was worked out, a 0.5B
# on two cores, where one reading of the memory differs much from the next.
CPU_SHARE = (0.4, 0.8)
CARD_SHARE = (0.4, 0.7)
GIGA = 10**9
# Bytes per second that cards of up to so much memory read, from the slowest sold to the fastest.
CARD_CLASSES = ((12 * GIGA, (200, 500)), (33 * GIGA, (300, 1000)), (10**15, (900, 4800)))
BUFFER = 48 << 20
ROUNDS = 8


def read_rate() -> float:
    """Bytes per second that all cores together read from memory; the best of a few rounds."""
    n_threads = default_threads(1 << 40)
    # more than the caches hold, on any machine that has this many cores
    buffers = [np.ones(BUFFER // 8, dtype=np.int64) for _ in range(n_threads)]
    return max(_round(buffers) for _ in range(ROUNDS))


def _round(buffers: list[NDArray[np.int64]]) -> float:
    # numpy computes a maximum without holding the interpreter's lock
    threads = [threading.Thread(target=buffer.max) for buffer in buffers]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(buffers) * BUFFER / (time.perf_counter() - start)


def tokens_per_second(needs: Outlook, machine: Machine, rate: float) -> tuple[float, float]:
    """From slow to fast, for one stream with little context. `rate` is the processor's, in bytes per second."""
    cards = [gpu for gpu in machine.gpus if not gpu.unified]
    if needs.on_cards and cards:
        largest = max(gpu.total for gpu in cards)
        slow, fast = next(rates for most, rates in CARD_CLASSES if largest <= most)
        return slow * GIGA * CARD_SHARE[0] / needs.weights, fast * GIGA * CARD_SHARE[1] / needs.weights
    return rate * CPU_SHARE[0] / needs.weights, rate * CPU_SHARE[1] / needs.weights
