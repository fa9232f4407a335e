"""Draws a request's next token from a row of logits: penalties and bias, the cuts, temperature, the draw.

Knows numpy only; where the row comes from is the runner's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ..errors import InvalidRequestError, NonFiniteLogitsError
from .draw import Draw, Scratch
from .logprobs import Ranking, rank
from .request import NO_BIAS, SamplingParams


class RowSampler:
    """One request's sampler. It remembers what it drew, for the penalties: one draw a row.

    `logits(row)` is float32 [n_vocab] of the last forward pass, and stays as it is. `scratch` may serve all
    samplers of a thread; without it the sampler has its own. Raises InvalidRequestError for a bias on a
    token that the vocabulary lacks.
    """

    def __init__(
        self,
        logits: Callable[[int], np.ndarray],
        n_vocab: int,
        params: SamplingParams,
        prompt: list[int],
        scratch: Scratch | None = None,
    ) -> None:
        check_bias(params, n_vocab)
        self._logits = logits
        self._scratch = scratch or Scratch(n_vocab)
        self._changes = Changes(params, prompt)
        self._draw = Draw(params, self._scratch)

    def sample(self, row: int, bias: Mapping[int, float] = NO_BIAS, allowed: np.ndarray | None = None) -> int:
        """The next token; sampling accepts it too, so it must not be accepted again."""
        logits = self._logits(row)
        check_finite(logits)
        logits = self._changes.apply(logits, self._scratch.row)
        logits = biased(logits, bias, self._scratch.row) if bias else logits
        token = self._draw(logits) if allowed is None else self._draw.among(allowed, logits)
        self._changes.count(token)
        return token

    def rank(self, row: int, token: int, n_top: int) -> Ranking:
        """Log probabilities before any change: of `token`, and of the `n_top` likeliest."""
        return rank(self._logits(row), token, n_top, self._scratch.mass)

    def accept(self, token: int) -> None:
        """`token` was put there without a draw; the penalties count it all the same."""
        self._changes.count(token)

    def retract(self, token: int) -> None:
        """`token` was taken back; the penalties count it no more."""
        self._changes.discount(token)

    def close(self) -> None:
        """Nothing outside of Python is held."""


class Changes:
    """What a request adds to logits: repetition penalty for prompt and output, frequency and presence, as
    OpenAI has them, for the output only, then its bias.
    """

    def __init__(self, params: SamplingParams, prompt: list[int]) -> None:
        self._repetition = params.repetition_penalty
        self._frequency, self._presence = params.frequency_penalty, params.presence_penalty
        self._seen = TokenCounts(prompt) if params.repetition_penalty != 1.0 else None
        self._written = TokenCounts() if params.frequency_penalty or params.presence_penalty else None
        self._biased = np.fromiter(params.logit_bias, np.intp, len(params.logit_bias))
        self._bias = np.fromiter(params.logit_bias.values(), np.float32, len(params.logit_bias))

    def apply(self, logits: np.ndarray, into: np.ndarray) -> np.ndarray:
        """`logits` where there is nothing to change, else `into`. They stay as they are."""
        if self._seen is None and self._written is None and not len(self._bias):
            return logits
        np.copyto(into, logits)
        if self._seen is not None:
            seen = into[self._seen.tokens]
            # dividing would make what is negative likelier
            into[self._seen.tokens] = np.where(seen <= 0, seen * self._repetition, seen / self._repetition)
        if self._written is not None:
            into[self._written.tokens] -= self._written.counts * self._frequency + self._presence
        into[self._biased] += self._bias
        return into

    def count(self, token: int) -> None:
        for counts in (self._seen, self._written):
            if counts is not None:
                counts.add(token)

    def discount(self, token: int) -> None:
        for counts in (self._seen, self._written):
            if counts is not None:
                counts.remove(token)


class TokenCounts:
    """How often each token occurred; as arrays, because the changes to a row are made in one go."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        ids, counts = np.unique(np.fromiter(tokens, np.intp), return_counts=True)
        self._places: dict[int, int] = {token: place for place, token in enumerate(ids.tolist())}
        self._tokens = np.concatenate([ids, np.zeros(64, np.intp)])
        self._counts = np.concatenate([counts, np.zeros(64)]).astype(np.float32)

    @property
    def tokens(self) -> np.ndarray:
        return self._tokens[: len(self._places)]

    @property
    def counts(self) -> np.ndarray:
        return self._counts[: len(self._places)]

    def add(self, token: int) -> None:
        place = self._places.setdefault(token, len(self._places))
        if place == len(self._tokens):
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._tokens[place] = token
        self._counts[place] += 1

    def remove(self, token: int) -> None:
        """Once less; the last of the tokens takes the place of one that occurs no more."""
        place = self._places[token]
        self._counts[place] -= 1
        if self._counts[place] == 0:
            del self._places[token]
            last = len(self._places)
            if place != last:
                self._tokens[place], self._counts[place] = self._tokens[last], self._counts[last]
                self._places[int(self._tokens[place])] = place
            self._counts[last] = 0


def biased(logits: np.ndarray, bias: Mapping[int, float], into: np.ndarray) -> np.ndarray:
    """`into`, which may be `logits` already, with `bias` added; -inf forbids a token."""
    if logits is not into:
        np.copyto(into, logits)
    for token, value in bias.items():
        into[token] += value
    return into


def check_finite(logits: np.ndarray) -> None:
    """The greatest logit tells: NaN spreads to it, and all -inf leaves nothing greater.

    Raises NonFiniteLogitsError. Costs some ten microseconds for 150,000 logits.
    """
    if not np.isfinite(logits.max()):
        raise NonFiniteLogitsError(
            "The model produced non-finite logits: its file is damaged, or its numbers overflowed."
        )


def check_bias(params: SamplingParams, n_vocab: int) -> None:
    """Raises InvalidRequestError for a bias on a token that the vocabulary lacks."""
    if bad := [token for token in params.logit_bias if not 0 <= token < n_vocab]:
        raise InvalidRequestError(f"There is no token {bad[0]}; the vocabulary has {n_vocab}.", param="logit_bias")
