"""How far the measurement is, in events.jsonl: the share of all answers, and each model's share of right ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..rows import SampleRow
from ..run_folder import RunFolder

EVERY = 20


class Progress:
    """Counts answers over all models. `total` is how many are wanted."""

    def __init__(self, folder: RunFolder, total: int) -> None:
        self._folder = folder
        self._total = total
        self._done = 0
        self._right: dict[str, list[bool]] = {}

    def skip(self, label: str, rows: Sequence[SampleRow]) -> None:
        """These were there already."""
        self._done += len(rows)
        self._right.setdefault(label, []).extend(row.verdict == "right" for row in rows)
        if rows:
            self._folder.log("evaluate", self._done, share=self._done / self._total)

    def count(self, label: str, row: SampleRow) -> None:
        self._done += 1
        right = self._right.setdefault(label, [])
        right.append(row.verdict == "right")
        if self._done % EVERY == 0 or self._done == self._total:
            metrics: dict[str, Any] = {"share": self._done / self._total, f"{label} right": sum(right) / len(right)}
            self._folder.log("evaluate", self._done, **metrics)
