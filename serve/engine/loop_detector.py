"""Notices a thought that goes in circles, in constant time a token. Knows token ids, and which hold a letter or digit.

Three tests: the same run of tokens over and over; a cumulative sum over word sequences that were there
before, for circles that are not exact; and nothing but punctuation for a long time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

_N_GRAM = 6
# Exact repetition: so many tokens, and the run three times beyond its first.
_MIN_PERIODIC = 96
_MIN_ROUNDS = 3
# Cumulative sum: a thought may repeat this share of its 6-grams for good. The limit is reached by 225 tokens of
# pure repetition; in 227 thoughts of R1 models that ended by themselves the sum stayed below 60.
_REPEATED_SHARE = 0.6
_SUM_LIMIT = 90.0
# An old phrase that comes back is a memory, not a circle.
_MEMORY = 2048
_MAX_PUNCTUATION = 160


@dataclass(frozen=True, slots=True)
class Loop:
    """What was noticed, at which token of the thought; `period` in tokens, of the exact test only."""

    test: Literal["period", "repeats", "punctuation"]
    at: int
    period: int | None = None

    def in_words(self) -> str:
        what = {
            "period": f"the same {f'{self.period} tokens' if self.period != 1 else 'token'} over and over",
            "repeats": "mostly what was said before",
            "punctuation": "nothing but punctuation",
        }
        return f"{what[self.test]}, noticed at token {self.at}"


class LoopDetector:
    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._last_seen: dict[tuple[int, ...], int] = {}
        self._window: deque[int] = deque(maxlen=_N_GRAM)
        self._period = 0
        self._n_periodic = 0
        self._sum = 0.0
        self._n_punctuation = 0

    def accept(self, token: int, *, has_word: bool) -> Loop | None:
        """The thought's next token; what it completes, if it does. `has_word`: its text has a letter or a digit."""
        self._tokens.append(token)
        self._window.append(token)
        at = len(self._tokens)
        distance = self._distance(at)
        self._sum = max(0.0, self._sum + (1 if distance else 0) - _REPEATED_SHARE)
        self._follow(token, at, distance)
        self._n_punctuation = 0 if has_word else self._n_punctuation + 1
        if self._n_periodic >= max(_MIN_PERIODIC, _MIN_ROUNDS * self._period):
            return Loop("period", at, self._period)
        if self._sum >= _SUM_LIMIT:
            return Loop("repeats", at)
        return Loop("punctuation", at) if self._n_punctuation >= _MAX_PUNCTUATION else None

    def _distance(self, at: int) -> int:
        """How far back the newest 6-gram was last seen; 0 where it was not, or too long ago."""
        if at < _N_GRAM:
            return 0
        n_gram = tuple(self._window)
        distance = at - self._last_seen.get(n_gram, at)
        self._last_seen[n_gram] = at
        return distance if distance <= _MEMORY else 0

    def _follow(self, token: int, at: int, distance: int) -> None:
        """Counts for how long each token has been the one a period before it."""
        if self._period and self._tokens[at - 1 - self._period] == token:
            self._n_periodic += 1
        else:
            self._period = distance
            self._n_periodic = _N_GRAM if distance else 0
