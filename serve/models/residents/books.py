"""Counts of all engines together. What a model's engine has counted stays counted when the model leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ...engine.messages import COUNTERS, EngineStats

_WORST = frozenset({"predicted_step_s", "restore_s_max"})


class Books:
    """`n_loads` and `n_unloads` of models, and the counts of engines that have gone."""

    def __init__(self) -> None:
        self.n_loads = 0
        self.n_unloads = 0
        self._gone: dict[str, float] = {}

    def close(self, stats: dict[str, Any]) -> None:
        """Keeps the counters of an engine that leaves."""
        for name in (*COUNTERS, "restarts"):
            self._gone[name] = self._gone.get(name, 0) + stats[name]

    def summed(self, engines: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """The engines' stats together: counters and gauges add up, the longest and slowest are the worst of them."""
        engines = list(engines)
        total: dict[str, Any] = {**msgspec.structs.asdict(EngineStats()), "restarts": 0}
        for name in total:
            values = [stats[name] for stats in engines]
            total[name] = max(values, default=0) if name in _WORST else sum(values) + self._gone.get(name, 0)
        return total
