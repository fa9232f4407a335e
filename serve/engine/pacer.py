"""When the reader of a stream gets its tokens: at once, or at an even pace while the stream runs ahead of it.

Knows neither costs nor requests. Moments are time.monotonic's, which parent and child share.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pacer:
    """A token each `pace_s`, with the stream at most `most_s` ahead; `pace_s` 0: each at once."""

    pace_s: float = 0.0
    most_s: float = 0.0
    _due: float = 0.0

    def set(self, pace_s: float, most_s: float) -> None:
        self.pace_s, self.most_s = pace_s, most_s

    def lead_s(self, now: float) -> float:
        """How long the reader still gets tokens if no more are drawn."""
        return max(0.0, self._due - now)

    def due(self, now: float) -> float:
        """When a token goes out that was drawn just now; 0.0: at once, with all that was held back."""
        if not self.pace_s:
            self._due = 0.0
            return 0.0
        self._due = max(now, min(self._due + self.pace_s, now + self.most_s))
        return self._due
