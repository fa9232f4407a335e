"""Drafts: guesses at a request's next tokens, which one forward pass verifies together.

Prompt lookup (Saxena, "Prompt Lookup Decoding", 2023) guesses without a second model: what followed the
last tokens when they occurred before. The Speculator decides whether guessing pays. Neither knows the runner.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from .step_sizes import StepSizes

# So many tokens must have occurred before, in this order.
MIN_MATCH = 3
# After so many it is a copy, and likely to go on.
VERBATIM = 12
LONGEST = 15
# A step with a draft has one of these sizes: products take rows in fours, and larger groups are cheaper yet.
STEP_ROWS = (4, 8, 16)
# With as many others in the batch the rows are as well used without guessing.
MAX_OTHERS = 2
# Drafts have to be worth more than the noise of estimates and costs.
_GAIN = 1.1
# Where fewer are expected, no row is cheap enough.
_LEAST_EXPECTED = 0.3
_MEMORY = 0.8
# What guesses are worth before any was tried, by place as in _Acceptance: who was right goes on being right.
_LOOSE_PRIOR = (0.3, 0.7, 0.85, 0.95)
_VERBATIM_PRIOR = (0.8, 0.9, 0.95, 0.95)
_PRIOR_TRIALS = 2.0
_WORD_BITS = 32


class Proposal(NamedTuple):
    """Guessed tokens, and how many tokens before them had been as guessed."""

    tokens: list[int]
    n_matched: int = MIN_MATCH


class Proposer(Protocol):
    def propose(self, tokens: list[int], limit: int) -> Proposal:
        """At most `limit` tokens that may follow `tokens`, which are mostly those of the last call and more."""
        ...


class PromptLookup:
    """Finds the newest earlier occurrence of the last tokens, and follows it for as long as it is right."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._last = 0
        self._n_read = 0
        self._source: int | None = None
        self._n_matched = 0

    def propose(self, tokens: list[int], limit: int) -> Proposal:
        self._read(tokens)
        if self._source is None:
            return Proposal([], 0)
        guesses: list[int] = []
        for at in range(self._source, self._source + limit):
            # a source that reaches the end repeats itself
            guesses.append(tokens[at] if at < len(tokens) else guesses[at - len(tokens)])
        return Proposal(guesses, self._n_matched)

    def _read(self, tokens: list[int]) -> None:
        if len(tokens) < self._n_read:  # some were taken back
            self._ends.clear()
            self._last, self._n_read, self._source = 0, 0, None
        mask = (1 << (_WORD_BITS * MIN_MATCH)) - 1
        earlier: int | None = None
        for at in range(self._n_read, len(tokens)):
            self._follow(tokens, at)
            self._last = (self._last << _WORD_BITS | tokens[at]) & mask
            if at + 1 >= MIN_MATCH:
                earlier = self._ends.get(self._last)
                self._ends[self._last] = at + 1
        if self._source is None and self._n_read < len(tokens) and earlier is not None:
            self._source, self._n_matched = earlier, _common_end(tokens, earlier)
        self._n_read = len(tokens)

    def _follow(self, tokens: list[int], at: int) -> None:
        if self._source is not None and tokens[self._source] == tokens[at]:
            self._source += 1
            self._n_matched += 1
        else:
            self._source = None


class Speculator:
    """One request's gate: a draft as long as pays at what rows cost and guesses have been worth, mostly none.

    Guesses are compared with what follows, drafted or not, and beyond what was drafted. So a proposer that
    is always wrong costs no rows, and one that becomes right is noticed.
    """

    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer
        self._loose = _Acceptance(_LOOSE_PRIOR)
        self._verbatim = _Acceptance(_VERBATIM_PRIOR)
        self._trial: _Trial | None = None

    def draft(self, tokens: list[int], n_rows: int, sizes: StepSizes, limit: int) -> list[int]:
        """Guesses at what follows `tokens`, at most `limit`. `n_rows`: what the step holds without them."""
        if n_rows - 1 > MAX_OTHERS:
            return []
        if self._trial and not self._trial.goes_on(tokens):
            self._trial = None
        guesses, n_matched = self._proposer.propose(tokens, LONGEST)
        if not guesses:
            return []
        acceptance = self._verbatim if n_matched >= VERBATIM else self._loose
        n_drafted = _best_length(acceptance, n_rows, sizes, min(limit, len(guesses)))
        if n_drafted or self._trial is None:
            self._trial = _Trial(acceptance, guesses, len(tokens))
        return guesses[:n_drafted]


class _Trial:
    """Guesses made when the request had `start` tokens; of the first `n_seen` is known what became of them."""

    def __init__(self, acceptance: _Acceptance, guesses: list[int], start: int) -> None:
        self._acceptance = acceptance
        self._guesses = guesses
        self._start = start
        self._n_seen = 0

    def goes_on(self, tokens: list[int]) -> bool:
        """Learns from what came since the last look. False once a guess was wrong, or all were right."""
        for guess, token in zip(self._guesses[self._n_seen :], tokens[self._start + self._n_seen :], strict=False):
            self._acceptance.learn(self._n_seen, guess == token)
            self._n_seen += 1
            if guess != token:
                return False
        return self._n_seen < len(self._guesses)


class _Acceptance:
    """How likely a guess is right where those before it were, by its place: 0, 1-2, 3-6, 7-14."""

    def __init__(self, prior: tuple[float, ...]) -> None:
        self._trials = [_PRIOR_TRIALS] * len(prior)
        self._hits = [_PRIOR_TRIALS * share for share in prior]

    def learn(self, place: int, right: bool) -> None:
        group = (place + 1).bit_length() - 1
        self._trials[group] = self._trials[group] * _MEMORY + 1
        self._hits[group] = self._hits[group] * _MEMORY + right

    def expected(self, n: int) -> float:
        """How many of `n` guesses will be accepted on average."""
        total, still_right = 0.0, 1.0
        for place in range(n):
            group = (place + 1).bit_length() - 1
            still_right *= self._hits[group] / self._trials[group]
            total += still_right
        return total


def _best_length(acceptance: _Acceptance, n_rows: int, sizes: StepSizes, limit: int) -> int:
    """The length that brings most tokens per second, all streams of the step counted; 0: none brings more."""
    if acceptance.expected(limit) < _LEAST_EXPECTED:
        return 0
    n_idle = sizes.idle_rows(n_rows, n_rows)
    best, best_rate = 0, _GAIN * n_rows / sizes.costs.seconds(n_rows + n_idle, n_rows)
    for n in (total - n_rows for total in STEP_ROWS):
        if 0 < n <= limit:
            rate = (n_rows + acceptance.expected(n)) / sizes.costs.seconds(n_rows + n, n_rows + n)
            if rate > best_rate:
                best, best_rate = n, rate
    return best


def _common_end(tokens: list[int], end: int) -> int:
    """How many tokens before `end` equal the last ones, as far as it matters."""
    n = MIN_MATCH
    while n < min(VERBATIM, end) and tokens[end - 1 - n] == tokens[-1 - n]:
        n += 1
    return n
