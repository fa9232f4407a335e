"""How many threads the next step gets: fewer while another process keeps a core busy. Knows only step times."""

from __future__ import annotations

import logging
from collections import deque
from statistics import median

from .trial import Trial

logger = logging.getLogger(__name__)

# Steps this much beyond their best start a trial. Fewer threads must be clearly faster, more of them just so.
_SLOW = 1.35
_FEWER_WIN = 0.9
_MORE_WIN = 0.98
_WINDOW = 9
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 10.0
_UNASKED_S = 60.0


class ThreadTuner:
    """Hill climbing. OpenMP's barriers wait for the slowest thread, so one that shares its core with another
    process slows all: on two cores beside one busy neighbour, one thread is 1.4 times as fast as two.
    """

    def __init__(self, n_threads: int) -> None:
        self._ladder = _ladder(n_threads)
        self._rung = 0
        self._recent: deque[float] = deque(maxlen=_WINDOW)
        self._bests: dict[int, float] = {}
        self._trial: Trial | None = None
        self._tried = 0  # the rung in question
        self._pause_s = _FIRST_PAUSE_S
        self._next_trial = 0.0
        self._next_unasked = 0.0
        self._changed = 0.0
        self._reach = 1

    @property
    def n_threads(self) -> int:
        """What the next step is to run with."""
        if self._trial and self._trial.runs_other:
            return self._ladder[self._tried]
        return self._ladder[self._rung]

    @property
    def is_reduced(self) -> bool:
        return self._rung > 0

    @property
    def settled(self) -> int:
        """The same without what is only being tried."""
        return self._ladder[self._rung]

    def observe(self, expected_s: float, seconds: float, now: float) -> int:
        """Threads for the next step, after one under `n_threads` that took `seconds`.

        `expected_s` is the time of such a step on the machine at rest with all threads, the same for the same
        step always: only its proportions matter, but they must not follow the machine.
        """
        if len(self._ladder) == 1 or expected_s <= 0 or seconds <= 0:
            return self.n_threads
        ratio = seconds / expected_s
        if self._trial:
            self._trial.add(ratio)
            if self._trial.is_over:
                self._decide(self._trial, now)
        else:
            self._watch(ratio, now)
        return self.n_threads

    def _watch(self, ratio: float, now: float) -> None:
        self._recent.append(ratio)
        if len(self._recent) < _WINDOW:
            return
        usual = median(self._recent)
        best = self._bests[self._rung] = min(usual, self._bests.get(self._rung, usual))
        if now < self._next_trial:
            return
        # now and then without a sign too: what was slow from the start, or judged in a bad moment, shows none
        is_due = usual > _SLOW * best or now > self._next_unasked
        if is_due and self._rung + self._reach < len(self._ladder):
            self._next_unasked = now + _UNASKED_S
            self._trial, self._tried = Trial(), self._rung + self._reach
        elif self._rung:
            self._trial, self._tried = Trial(), self._rung - 1

    def _decide(self, trial: Trial, now: float) -> None:
        self._trial = None
        self._recent.clear()
        if trial.gain * (_FEWER_WIN if self._tried > self._rung else _MORE_WIN) < 1:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._reach += self._tried > self._rung
            if self._rung + self._reach >= len(self._ladder):
                # slow for another reason, deeper contexts for one: that is how it is now
                self._bests[self._rung] = median(trial.used)
                self._reach = 1
        else:
            before, after = self._ladder[self._rung], self._ladder[self._tried]
            logger.info("threads: %d instead of %d, steps are %.1f times as fast", after, before, trial.gain)
            self._rung = self._tried
            self._reach = 1
            if now - self._changed > _UNASKED_S:
                self._pause_s = _FIRST_PAUSE_S
            self._changed = now
        self._next_trial = now + self._pause_s


def _ladder(n_threads: int) -> list[int]:
    """All threads, one fewer, then halves down to one."""
    rungs = [n_threads, n_threads - 1]
    while rungs[-1] > 1:
        rungs.append(rungs[-1] // 2 if len(rungs) > 2 else n_threads // 2)
    return sorted({rung for rung in rungs if rung >= 1}, reverse=True)
